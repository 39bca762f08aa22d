"""The project in hand: its file, its configuration, and undo for every change of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.paths import resolve_paths
from core.configuration.projects import Stamp, backup_of, save_project
from core.errors import ConfigError

MERGE_SECONDS = 0.8  # a slider that is dragged makes one undo step


class ProjectChangedError(RuntimeError):
    """The project's file on disk has been changed by another program since it was read."""


class ProjectModel(QObject):
    """Holds one RunConfig. Every change is validated first and can be undone. GUI thread only."""

    changed = Signal(object)  # the new RunConfig
    path_changed = Signal()
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.config = RunConfig()
        self.path: Path | None = None
        self._saved: RunConfig | None = self.config  # None: what is open stands in no file
        self._stamp: Stamp | None = None  # of the file as it was read or written last
        self._past: list[RunConfig] = []
        self._future: list[RunConfig] = []
        self._floor = 0  # undo does not go below: set when a run starts
        self._last: tuple[frozenset[str], float] = (frozenset(), 0.0)
        self._own: tuple[RunConfig, list[RunConfig], list[RunConfig]] | None = None  # while a run's settings are shown

    @property
    def own(self) -> RunConfig:
        """The project's own settings, which are saved."""
        return self.config if self._own is None else self._own[0]

    @property
    def folder(self) -> Path | None:
        return None if self.path is None else self.path.parent

    @property
    def modified(self) -> bool:
        return self.own != self._saved

    @property
    def title(self) -> str:
        return self.path.stem if self.path else self.tr("Untitled")

    # Changes -----------------------------------------------------------------------------------

    def change(self, changes: Mapping[str, Any]) -> None:
        """Replace settings by dotted path. Raises ConfigError and leaves everything alone."""
        config = resolve_paths(settings.with_changes(self.config, changes), self.folder or Path.cwd())
        if config == self.config:
            return
        names, now = frozenset(changes), time.monotonic()
        merges = names == self._last[0] and now - self._last[1] < MERGE_SECONDS and len(self._past) > self._floor
        if not merges:
            self._past.append(self.config)
        self._last = (names, now)
        self._future.clear()
        self._set(config)

    def undo(self) -> None:
        if self.can_undo:
            self._future.append(self.config)
            self._step(self._past.pop())

    def redo(self) -> None:
        if self.can_redo:
            self._past.append(self.config)
            self._step(self._future.pop())

    @property
    def can_undo(self) -> bool:
        return len(self._past) > self._floor

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def hold_history(self, hold: bool) -> None:
        """While held, undo stops at this point: a running engine takes no change of what it started with."""
        self._floor = len(self._past) if hold else 0
        if hold:
            self._future.clear()
        self._last = (frozenset(), 0.0)
        self.history_changed.emit()

    def enter_run(self, config: RunConfig) -> None:
        """Show the settings of a run that goes on, until `leave_run`. The folders stay; the project's own settings wait."""
        if self._own is None:
            self._own = (self.config, self._past, self._future)
        self._past, self._future, self._floor = [], [], 0
        self._step(config.model_copy(update={"data": self.config.data, "data_fingerprint": ""}))

    def leave_run(self) -> None:
        """Show the project's own settings again, with their history."""
        if self._own is not None:
            config, self._past, self._future = self._own
            self._own, self._floor = None, 0
            self._step(config)

    def _step(self, config: RunConfig) -> None:
        self._last = (frozenset(), 0.0)
        self._set(config)

    def _set(self, config: RunConfig) -> None:
        self.config = config
        self.changed.emit(config)
        self.history_changed.emit()

    # Files -------------------------------------------------------------------------------------

    def new(self, config: RunConfig | None = None) -> None:
        self._replace(config or RunConfig(), None)

    def open(self, path: Path) -> None:
        """Read a project. Raises ConfigError with the file and the setting."""
        stamp = Stamp.of(path)
        self._replace(settings.load(path), path.resolve())
        self._stamp = stamp

    def open_backup(self, path: Path) -> None:
        """Read the backup of a project that cannot be read; saving puts it in the project's place. Raises ConfigError."""
        stamp = Stamp.of(path)
        self._replace(settings.load(backup_of(path)), path.resolve())
        self._saved, self._stamp = None, stamp
        self.path_changed.emit()

    @property
    def changed_on_disk(self) -> bool:
        """Whether another program has written other settings into the project's file since it was read or written here."""
        if self.path is None or self._stamp is None or self._stamp.still_holds(self.path) or not self.path.exists():
            return False
        try:
            return settings.load(self.path) not in (self.own, self._saved)
        except ConfigError:
            return True

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the project and stay with that file.

        Args:
            overwrite: also over what another program has written into it.

        Raises:
            ProjectChangedError: another program has written into the file; nothing was written.
            OSError: it cannot be written.
        """
        if not overwrite and path.resolve() == self.path and self.changed_on_disk:
            raise ProjectChangedError(str(path))
        save_project(self.own, path)
        self.path, self._saved, self._stamp = path.resolve(), self.own, Stamp.of(path)
        self.path_changed.emit()

    def _replace(self, config: RunConfig, path: Path | None) -> None:
        self.path, self._saved, self._stamp, self._own = path, config, None, None
        self._past.clear()
        self._future.clear()
        self._floor = 0
        self.path_changed.emit()
        self._step(config)
