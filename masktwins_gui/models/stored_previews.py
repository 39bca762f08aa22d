"""Read the previews in a run's folder, in a job's thread."""

from __future__ import annotations

from pathlib import Path

from core.events import PreviewReady


def list_previews(run: Path) -> tuple[int, ...]:
    """Return the steps that have a preview in the run's folder, rising."""
    return ()


def read_preview(run: Path, step: int) -> PreviewReady:
    """Read one preview. Raises OSError or ValueError where it is gone or cannot be used."""
    raise FileNotFoundError(run, step)
