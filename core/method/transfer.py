"""Copy tensors from the host's memory to the device's without making the host wait."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_device(values: Tensor | np.ndarray, device: torch.device | str) -> Tensor:
    """Copy values from the host to a device.

    On CUDA the host goes on at once. The copy of pageable memory may wait until the stream has done its earlier work, so
    such memory is first copied to page-locked (pinned) memory, which torch keeps and uses again. The copy itself starts
    when its turn in the stream comes.

    Other devices: MPS reads the host's memory later, when it may hold something else, so the host waits for the copy.
    """
    device = torch.device(device)
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type != "cuda":
        return tensor.to(device)
    return _pinned(tensor).to(device, non_blocking=True)


def _pinned(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_pinned() else tensor.pin_memory()
