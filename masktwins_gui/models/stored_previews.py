"""Read the previews in a run's folder, in a job's thread."""

from __future__ import annotations

from pathlib import Path

from core.events import PreviewReady
from core.runs import previews
from core.runs.folder import RunFolder


def list_previews(run: Path) -> tuple[int, ...]:
    """Return the steps that have a preview in the run's folder, rising."""
    return tuple(previews.preview_steps(RunFolder(run).previews_path))


def read_preview(run: Path, step: int) -> PreviewReady:
    """Read one preview as the run sent it. Raises ValueError where it is gone or cannot be used."""
    found = previews.read_preview(RunFolder(run).previews_path, step)
    return PreviewReady(found.step, found.frames, found.names)
