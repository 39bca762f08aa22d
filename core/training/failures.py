"""What ended a run, or why a change of its settings is refused, in a sentence that says what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from core.configuration.config import RunConfig
from core.configuration.settings import is_live, with_changes
from core.configuration.training import TrainingConfig
from core.errors import ConfigError, RunError
from core.memory import is_out_of_memory


def in_words(error: BaseException, training: TrainingConfig) -> str | None:
    """Return the sentence for a known failure; None for one that only its traceback explains."""
    if isinstance(error, RunError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"The device has too little memory for this run (batch {training.batch_size}, crop {training.crop_size}). "
            f"{_less_memory(training)} The run keeps its last checkpoint."
        )
    if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
        return (
            f"Batch norm cannot train on one image whose features are a single pixel (crop {training.crop_size}). Raise "
            "training.crop_size, training.batch_size or training.target_batch_size, or use fewer processes."
        )
    if isinstance(error, RuntimeError) and _has_lost_the_device(error):
        reason = str(error).splitlines()[0]
        return f"{reason}. This process can no longer use the device: restart the program and resume the run."
    return None


def _less_memory(training: TrainingConfig) -> str:
    """Name what needs less memory and is not set yet: first what leaves the result as it is."""
    remedies = []
    if not training.gradient_checkpointing:
        remedies.append("set training.gradient_checkpointing to true")
    if training.batch_size > training.accumulation and training.target_batch > training.accumulation:
        remedies.append(f"raise training.accumulation above {training.accumulation}")
    remedies.append("lower training.crop_size or training.batch_size")
    return f"Start a new run and {', or '.join(remedies)}."


def _has_lost_the_device(error: RuntimeError) -> bool:
    """Return whether the CUDA context is unusable from now on, so that only a new process helps."""
    kind = getattr(torch, "AcceleratorError", None)  # torch >= 2.8; before, the message alone tells
    return (kind is not None and isinstance(error, kind)) or str(error).startswith("CUDA error")


def refusal(config: RunConfig, changes: Mapping[str, Any]) -> str:
    """Return why these changes cannot be made while the run trains; empty when they can."""
    if fixed := [path for path in changes if not is_live(path)]:
        return f"{', '.join(fixed)} cannot change while a run trains."
    try:
        with_changes(config, changes)
    except ConfigError as error:
        return str(error)
    return ""
