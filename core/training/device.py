"""Which device, precision and number of threads a run computes with, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.networks.device import autocast, choose_device, resolve_precision, set_float32_policy

logger = logging.getLogger(__name__)

_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # Linux


@dataclass(frozen=True)
class Compute:
    """What a run computes with: resolved once when it starts, stored in its checkpoints, and restored on resume."""

    device: str
    reason: str
    precision: Precision  # FP32 or BF16
    threads: int
    channels_last: bool

    @property
    def autocast(self) -> Callable[[], AbstractContextManager]:
        """Return what makes the context of each forward."""
        return autocast(self.precision, self.device)


def resolve(training: TrainingConfig) -> Compute:
    """Resolve device, precision and threads for a new run."""
    device, reason = choose_device(training.device)
    precision = resolve_precision(training.precision, device)
    threads = training.threads or torch.get_num_threads()
    return Compute(device, reason, precision, threads, channels_last=device.startswith("cuda"))


def why_not_compiled(device: str) -> str:
    """Try torch.compile on one small kernel: empty when it works, else why not (no C++ compiler, no Triton, an old card)."""
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.ones(8, device=device))
    except Exception as error:  # Dynamo's, Inductor's, Triton's and the system's have no base class in common
        logger.warning("torch.compile does not work on %s", device, exc_info=True)
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return ""


def apply(compute: Compute) -> None:
    """Set the process's threads and its float32 policy, once, before the networks are made."""
    torch.set_num_threads(compute.threads)
    set_float32_policy(compute.precision, compute.device)


def memory_gib(device: str) -> float:
    """Return the memory in use: the device's on CUDA, else the process's."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved(device) / 2**30
    return psutil.Process().memory_info().rss / 2**30


def reset_peak_memory(device: str) -> None:
    """Let `peak_memory_gib` start from zero again, where the system can."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5", encoding="ascii")


def peak_memory_gib(device: str) -> float:
    """Return the most memory in use since `reset_peak_memory`: the device's on CUDA, else the process's."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return memory_gib(device)
