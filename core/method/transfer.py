"""From the host's memory to the device's."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copy a tensor of the host to a device, on CUDA without waiting for it.

    CUDA stages what is not pinned before the call returns, and keeps pinned memory until it is copied. MPS reads the host's
    own pages later, when a passing array may be gone: there the copy is waited for.
    """
    device = torch.device(device)
    return tensor.to(device, non_blocking=device.type == "cuda")
