"""What the user has chosen for every project: theme, device, threads, and where downloaded weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QSettings, QStandardPaths

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import ConfigError
from masktwins_gui.theme import Theme

CACHE_VARIABLE = "HF_HUB_CACHE"  # huggingface_hub reads it when it is first imported


class Preferences:
    """Reads and writes a QSettings store, whose text a user may have edited: what cannot be used counts as not set."""

    def __init__(self, store: QSettings) -> None:
        self._store = store

    @property
    def theme(self) -> Theme:
        text = str(self._store.value("theme", ""))
        return Theme(text) if text in list(Theme) else Theme.DARK

    @theme.setter
    def theme(self, chosen: Theme) -> None:
        self._store.setValue("theme", chosen.value)

    @property
    def device(self) -> str:
        """The device of a new project: "auto", "cpu", "cuda:1" …"""
        return str(self._store.value("device", "auto"))

    @device.setter
    def device(self, device: str) -> None:
        self._store.setValue("device", device)

    @property
    def threads(self) -> int:
        """The number of CPU threads of a new project; 0: torch decides."""
        text = str(self._store.value("threads", 0))
        return int(text) if text.isdecimal() else 0

    @threads.setter
    def threads(self, number: int) -> None:
        self._store.setValue("threads", number)

    @property
    def cache(self) -> Path | None:
        """The folder of downloaded weights; None for the hub's own."""
        text = str(self._store.value("cache", "") or "")
        return Path(text) if text else None

    @cache.setter
    def cache(self, folder: Path | None) -> None:
        self._store.setValue("cache", "" if folder is None else str(folder))

    def new_config(self) -> RunConfig:
        """Return the settings that a new project begins with."""
        try:
            return settings.with_changes(
                RunConfig(), {"training.device": self.device, "training.threads": self.threads}
            )
        except ConfigError:
            return RunConfig()

    def use_cache(self) -> None:
        """Tell the hub's library where to keep weights. The environment counts more than the choice in the window."""
        if self.cache is not None:
            os.environ.setdefault(CACHE_VARIABLE, str(self.cache))


def default_cache() -> Path:
    """Return the folder that the hub's library uses where nothing else is said."""
    home = Path(
        os.environ.get("HF_HOME", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface")
    )
    return Path(os.environ.get(CACHE_VARIABLE, home / "hub"))


def data_home() -> Path:
    """Return the folder for data of projects that have no file yet."""
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation))
