"""What choosing a preset changes."""

from __future__ import annotations

from functools import cache
from typing import Any

from core.configuration import settings
from core.configuration.config import RunConfig


def preset_changes(name: str) -> dict[str, Any]:
    """Changes by dotted path: what the preset sets, and the defaults of what only others set.

    Else the second of two presets would keep half of the first: HRDA of the paper's in the quick one. Folders, device,
    seed and whatever no preset speaks of are not among them.
    """
    wanted = settings.apply_preset(RunConfig(), name)
    return {path: settings.get(wanted, path) for path in _paths()}


def is_untouched(config: RunConfig) -> bool:
    """Whether everything that a preset sets stands at its default, as in a new project."""
    default = RunConfig()
    return all(settings.get(config, path) == settings.get(default, path) for path in _paths())


@cache
def _paths() -> tuple[str, ...]:
    """The settings that any preset sets to something else than the default."""
    default = RunConfig()
    made = [settings.apply_preset(default, name) for name in settings.presets()]
    return tuple(
        s.path
        for s in settings.settings()
        if any(settings.get(config, s.path) != settings.get(default, s.path) for config in made)
    )
