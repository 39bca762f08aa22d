"""The demo: a project on the generated two-camera data, and its measurement without a window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.configuration.config import RunConfig
from core.configuration.settings import apply_preset, load, save, with_changes
from core.control import RunControl
from core.demo.data import ORACLE_LABELS, make_demo
from core.errors import RunError

PROJECT_FILE = "project.toml"

Progress = Callable[[int, int], None]


def make_project(directory: Path, *, seed: int = 0, steps: int | None = None, progress: Progress | None = None) -> Path:
    """Make the demo's images and its project file, or take those that are there. Returns the project file.

    Args:
        steps: adaptation steps; half as many source-only ones come before them. None: the preset's.

    Raises:
        RunError: the folder cannot be written.
    """
    project = directory.resolve() / PROJECT_FILE
    try:
        if not project.exists():
            data = make_demo(directory.resolve(), seed=seed, progress=progress)
            save(apply_preset(RunConfig(data=data), "demo"), project)
        changes = {"training.seed": seed}
        if steps is not None:
            changes |= {"training.steps": steps, "training.source_steps": max(1, steps // 2)}
        save(with_changes(load(project), changes), project)
    except OSError as error:
        raise RunError(
            f"The demo cannot be written to {directory}: {error.strerror or error}. Choose another folder."
        ) from error
    return project


def run_headless(project: Path, control: RunControl, on_event: Callable[[str, Any], None]) -> dict[str, Any]:
    """Adapt on the demo and measure the gap that is closed; see `core.commands.gap.measure_gap`."""
    from core.commands.gap import measure_gap

    folder = project.parent
    return measure_gap(load(project), folder / ORACLE_LABELS, folder / "runs", control, on_event)
