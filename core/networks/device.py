"""Choose the device and the precision that a network computes with. Training, evaluation and the window share it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch

from core.configuration.choices import Precision
from core.errors import RunError


def choose_device(wanted: str = "auto") -> tuple[str, str]:
    """Return the device and the reason for it in words.

    Args:
        wanted: auto, cpu, mps, cuda, or cuda:N.

    Raises:
        RunError: the device that was asked for does not exist here.
    """
    if wanted.startswith("cuda"):
        return wanted, f"{_cuda_name(wanted)}, as chosen"
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise RunError("Device mps is not available here. Set training.device, or --device, to auto or cpu.")
    if wanted in ("cpu", "mps"):
        return wanted, "as chosen"
    if wanted != "auto":
        raise RunError(f"There is no device {wanted!r}. Choose auto, cpu, cuda, cuda:1 and so on, or mps.")
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", why_no_cuda()


def _cuda_name(wanted: str) -> str:
    number = wanted.partition(":")[2] or "0"
    if not number.isdecimal():
        raise RunError(f"There is no device {wanted!r}. Write cuda, cuda:0, cuda:1 and so on.")
    if not torch.cuda.is_available():
        raise RunError(f"Device {wanted}: {why_no_cuda()}. Set training.device, or --device, to auto or cpu.")
    if int(number) >= torch.cuda.device_count():
        raise RunError(f"Device {wanted} does not exist: this machine has {torch.cuda.device_count()} CUDA device(s).")
    return torch.cuda.get_device_name(int(number))


def why_no_cuda() -> str:
    """Say why this process has no CUDA device, and what helps where an NVIDIA card is present."""
    if torch.version.cuda is None and torch.version.hip is None:
        if nvidia_card_present():
            return "an NVIDIA card is here, but this torch is a CPU build; install a CUDA build from pytorch.org"
        return "this torch is a CPU build"
    if nvidia_card_present():
        return "an NVIDIA card is here, but its driver does not answer; update or reinstall it"
    return "no CUDA device found"


def nvidia_card_present() -> bool:
    """Return whether the system shows an NVIDIA card or its driver, without asking torch."""
    if Path("/proc/driver/nvidia").exists() or Path("/dev/nvidiactl").exists():
        return True
    root = os.environ.get("SYSTEMROOT")
    return bool(root) and (Path(root or "") / "System32" / "nvidia-smi.exe").exists()


def has_bf16(device: torch.device | str) -> bool:
    """Return whether this is a CUDA card with bf16 arithmetic in hardware."""
    device = torch.device(device)
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):  # torch asks the current device
        return torch.cuda.is_bf16_supported(including_emulation=False)


def resolve_precision(wanted: Precision, device: torch.device | str) -> Precision:
    """Return FP32 or BF16. `auto` is BF16 on CUDA cards that have it in hardware, and FP32 everywhere else."""
    if wanted is not Precision.AUTO:
        return wanted
    return Precision.BF16 if has_bf16(device) else Precision.FP32


def autocast(precision: Precision, device: torch.device | str) -> Callable[[], AbstractContextManager]:
    """Return what makes the context of a forward in this precision (FP32 or BF16)."""
    if precision is Precision.BF16:
        return partial(torch.autocast, torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext


def set_float32_policy(precision: Precision, device: torch.device | str) -> None:
    """Set what float32 means on a CUDA card, for the whole process.

    With FP32 it is exact: convolutions and matrix products use no TF32, so that a result can be compared with a CPU's.
    With BF16, TF32 is allowed in the little that stays in float32. Other devices are left alone.
    """
    if torch.device(device).type != "cuda":
        return
    allowed = precision is Precision.BF16
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
