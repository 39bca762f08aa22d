"""Which settings differ between runs, in words a user knows from the forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication

from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.settings import Setting

SEED = "training.seed"


def differing(configs: Sequence[RunConfig]) -> tuple[str, ...]:
    """Return the dotted paths of the settings that are not the same in all configurations."""
    return tuple(
        path for path in _settings() if any(settings.get(c, path) != settings.get(configs[0], path) for c in configs)
    )


def changes_in_words(before: RunConfig, after: RunConfig) -> str:
    """Name every setting that changed, with its old and its new value; empty where none did."""
    return ", ".join(
        f"{title(path)} {value_in_words(settings.get(before, path))} → {value_in_words(settings.get(after, path))}"
        for path in differing((before, after))
    )


def values_in_words(changes: Mapping[str, Any]) -> str:
    """Name settings by dotted path with their values."""
    return ", ".join(f"{title(path)} {value_in_words(value)}" for path, value in changes.items())


def title(path: str) -> str:
    """Return a setting's title; an unknown one, of another version's run, keeps its path."""
    known = _settings().get(path)
    return known.title if known else path


def value_in_words(value: Any) -> str:
    """Write one setting's value as short as it can be read."""
    match value:
        case None | "":
            return _tr("none")
        case bool():
            return _tr("on") if value else _tr("off")
        case float():
            return f"{value:g}"
        case Path():
            return value.name
        case list() | tuple():
            return " × ".join(value_in_words(v) for v in value)
    return str(value)


def without_seed(config: RunConfig) -> str:
    """Return a text that is the same for runs that differ by their seed alone."""
    same = config.model_copy(
        update={"data_fingerprint": "", "training": config.training.model_copy(update={"seed": 0})}
    )
    return same.model_dump_json()


@cache
def _settings() -> dict[str, Setting]:
    return {setting.path: setting for setting in settings.settings()}


def _tr(text: str) -> str:
    return QCoreApplication.translate("Differences", text)
