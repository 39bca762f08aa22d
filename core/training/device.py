"""Which device, precision and number of threads a run computes with, and why."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import torch

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.evaluation.predictor import has_bf16

LOG = logging.getLogger(__name__)

_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # Linux


@dataclass(frozen=True)
class Compute:
    """Resolved once when a run starts, stored in its checkpoints, and restored on resume."""

    device: str
    reason: str
    precision: Precision  # FP32 or BF16
    threads: int
    channels_last: bool

    @property
    def autocast(self) -> Callable[[], AbstractContextManager]:
        if self.precision is Precision.BF16:
            return partial(torch.autocast, torch.device(self.device).type, dtype=torch.bfloat16)
        return nullcontext


def choose_device(wanted: str = "auto") -> tuple[str, str]:
    """(device, the reason in words). Raises RunError when a device that was asked for is not there."""
    if wanted.startswith("cuda"):
        index = int(wanted.partition(":")[2] or 0)
        if not torch.cuda.is_available():
            raise RunError(f"Device {wanted}: {_why_no_cuda()}. Set training.device to auto or cpu.")
        if index >= torch.cuda.device_count():
            raise RunError(
                f"Device {wanted} does not exist: this machine has {torch.cuda.device_count()} CUDA device(s)."
            )
        return wanted, f"{torch.cuda.get_device_name(index)}, as chosen"
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise RunError("Device mps is not available here. Set training.device to auto or cpu.")
    if wanted in ("cpu", "mps"):
        return wanted, "as chosen"
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", _why_no_cuda()


def _why_no_cuda() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        if nvidia_card_present():
            return "an NVIDIA card is here, but this torch is a CPU build; install a CUDA build from pytorch.org"
        return "this torch is a CPU build"
    if nvidia_card_present():
        return "an NVIDIA card is here, but its driver does not answer; update or reinstall it"
    return "no CUDA device found"


def nvidia_card_present() -> bool:
    """Whether the system shows an NVIDIA card or its driver, without asking torch."""
    if Path("/proc/driver/nvidia").exists() or Path("/dev/nvidiactl").exists():
        return True
    root = os.environ.get("SYSTEMROOT")
    return bool(root) and (Path(root or "") / "System32" / "nvidia-smi.exe").exists()


def resolve(training: TrainingConfig) -> Compute:
    """Settle device, precision and threads for a new run."""
    device, reason = choose_device(training.device)
    precision = training.precision
    if precision is Precision.AUTO:
        precision = Precision.BF16 if has_bf16(device) else Precision.FP32
    threads = training.threads or torch.get_num_threads()
    return Compute(device, reason, precision, threads, channels_last=device.startswith("cuda"))


def why_not_compiled(device: str) -> str:
    """Try torch.compile on one small kernel: empty when it works, else why not (no C++ compiler, no Triton, an old card)."""
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.ones(8, device=device))
    except Exception as error:  # Dynamo's, Inductor's, Triton's and the system's have no base class in common
        LOG.warning("torch.compile does not work on %s", device, exc_info=True)
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return ""


def apply_threads(compute: Compute) -> None:
    torch.set_num_threads(compute.threads)


def memory_gib(device: str) -> float:
    """Memory in use: the device's on CUDA, else the process's."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved(device) / 2**30
    return psutil.Process().memory_info().rss / 2**30


def reset_peak_memory(device: str) -> None:
    """Let `peak_memory_gib` begin anew, where the system can."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5", encoding="ascii")


def peak_memory_gib(device: str) -> float:
    """The most memory in use since `reset_peak_memory`: the device's on CUDA, else the process's."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return memory_gib(device)
