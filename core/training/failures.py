"""What ended a run, in a sentence that says what to do next."""

from __future__ import annotations

import torch

from core.config import TrainingConfig
from core.events import RunError


def in_words(error: BaseException, training: TrainingConfig) -> str | None:
    """The sentence for a known failure; None for one that only its traceback explains."""
    if isinstance(error, RunError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"The device has too little memory for this run (batch {training.batch_size}, crop {training.crop_size}). "
            "Lower training.crop_size or training.batch_size, or set training.twin_forward to separate; the run keeps "
            "its last checkpoint."
        )
    if isinstance(error, RuntimeError) and _has_lost_the_device(error):
        reason = str(error).splitlines()[0]
        return f"{reason}. The device cannot be used by this process any more: restart the program and resume the run."
    return None


def _has_lost_the_device(error: RuntimeError) -> bool:
    """Whether the CUDA context is unusable from now on, so that only a new process helps."""
    kind = getattr(torch, "AcceleratorError", None)  # torch >= 2.8; before, the message alone tells
    return (kind is not None and isinstance(error, kind)) or str(error).startswith("CUDA error")
