"""Pool adaptively by matrix products.

torch's own pooling cannot be written to ONNX for images of any size, and its gradient on CUDA differs from call to call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdaptiveMean(nn.Module):
    """Compute `nn.AdaptiveAvgPool2d` of a square grid, up to rounding.

    Cell i of n is the mean of rows ⌊iH/n⌋ to ⌈(i+1)H/n⌉ − 1.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, values_BCHW: Tensor) -> Tensor:
        """Return means (B, C, n, n) in the values' type, computed in float32."""
        with torch.autocast(values_BCHW.device.type, enabled=False):
            values = values_BCHW if values_BCHW.dtype == torch.double else values_BCHW.float()
            rows, columns = (self._shares(values.shape[dim], values) for dim in (2, 3))
            return (rows @ (values @ columns.T)).to(values_BCHW.dtype)

    def _shares(self, side: int, like: Tensor) -> Tensor:
        """Return the weights (n, side) of a side's pixels in each cell."""
        place = torch.arange(side, device=like.device)
        cell = torch.arange(self.cells, device=like.device)[:, None]
        inside = (place >= cell * side // self.cells) & (place * self.cells < (cell + 1) * side)
        return inside.to(like.dtype) / inside.sum(dim=1, keepdim=True)


def use_adaptive_mean(module: nn.Module) -> None:
    """Replace every `nn.AdaptiveAvgPool2d` of a square grid inside a module. It has no parameters."""
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d) and isinstance(child.output_size, int):
            setattr(module, name, AdaptiveMean(child.output_size))
        else:
            use_adaptive_mean(child)
