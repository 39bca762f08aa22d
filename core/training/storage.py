"""Room for checkpoints: whether there is enough, and which ones go."""

from __future__ import annotations

import logging
from pathlib import Path

from core.errors import ConfigError, RunError
from core.evaluation.choice import Best
from core.files import write_atomic
from core.runs.folder import RunFolder
from core.training.checkpoint import delete_checkpoint

logger = logging.getLogger(__name__)


def check_writable(folder: Path) -> None:
    """Raise RunError where no checkpoint can be written to the folder of a run's checkpoints."""
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / ".probe"
        write_atomic(probe, "a checkpoint can be written here\n")
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"No checkpoint can be written to {folder}: {error.strerror or error}. Free some space or make the folder "
            "writable, and start the run again."
        ) from error


def prune(run: RunFolder, best: Best | None) -> None:
    """Delete all checkpoints but the newest ones, the best one and the source-only one."""
    try:
        keep, found = run.config().training.keep_checkpoints, run.checkpoints()
    except (ConfigError, OSError) as error:
        logger.warning("old checkpoints could not be listed: %s", error)
        return
    source = [ref.path for ref in found if ref.is_source]
    steps = [ref.path for ref in found if not ref.is_source]
    for path in [*source[:-1], *steps[:-keep]]:
        if best is None or path.name != best.checkpoint:
            try:
                delete_checkpoint(path)
            except OSError as error:  # another program has it open: deleted the next time
                logger.warning("%s could not be deleted: %s", path, error)
