"""Tell whether a run's checkpoints fit the disk, before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import nn

from core.configuration.training import TrainingConfig
from core.errors import RunError

MOMENTS = 2  # values that AdamW keeps for each trained value
SPARE = 64 * 2**20  # bytes for metrics, previews and the log


def checkpoint_bytes(network: nn.Module, *, with_teacher: bool = True) -> int:
    """Return the size of a checkpoint of this network: its weights, the teacher's, and the optimiser's moments."""
    state = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    return state * (2 if with_teacher else 1) + MOMENTS * trained


def space_needed(network: nn.Module, training: TrainingConfig) -> int:
    """Return the most bytes that a run's checkpoints take at once.

    They are the source-only one, the newest ones, the best one, and the one that is being written.
    """
    whole = 0 if not training.steps else min(training.keep_checkpoints, _written(training)) + 2
    source = 1 if training.source_steps else 0
    return whole * checkpoint_bytes(network) + source * checkpoint_bytes(network, with_teacher=False) + SPARE


def _written(training: TrainingConfig) -> int:
    """Checkpoints of the adaptation that are written in the whole run."""
    return -(-training.steps // training.checkpoint_interval)


def check_space(folder: Path, network: nn.Module, training: TrainingConfig) -> None:
    """Refuse a run whose checkpoints do not fit the disk beside those that are there.

    Args:
        folder: the run's checkpoints, some of which a resumed run has already.

    Raises:
        RunError: with the numbers, and what to do.
    """
    there = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) if folder.exists() else 0
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    needed, free = space_needed(network, training) - there, shutil.disk_usage(parent).free
    if needed > free:
        raise RunError(
            f"The run's checkpoints need {_gib(needed)} more ({_gib(checkpoint_bytes(network))} each, "
            f"{training.keep_checkpoints} kept besides the best and the source-only one), but {parent} has {_gib(free)} free. "
            "Free some space, choose another disk, or lower training.keep_checkpoints."
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
