"""Build the linear head that DINOv2 (Oquab et al., 2023) measures features with: batch norm, then a 1×1 classifier.

It shows what an encoder knows by itself, trains quickly, and leaves almost nothing but the encoder to adapt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.daformer import last_stages


class LinearDecoder(nn.Module):
    """Apply batch norm to each stage at its own resolution, resize all to the finest one's size, and concatenate them.

    With the last stage alone it is DINOv2's "linear". A pyramid's last stage has stride 32, which is too coarse for
    borders, so all stages of a pyramid are used.

    Args:
        in_channels: channels of the stages that are used, finest first. Of an encoder with more stages, the last ones.
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = sum(in_channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(number) for number in in_channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Join an encoder's features, finest first, with or without the image in front, to (B, ΣC_i, h_1, w_1)."""
        stages = last_stages(features, len(self.norms))
        size = stages[0].shape[2:]
        normed = [norm(stage) for norm, stage in zip(self.norms, stages, strict=True)]
        return torch.cat(
            [
                n if n.shape[2:] == size else F.interpolate(n, size=size, mode="bilinear", align_corners=False)
                for n in normed
            ],
            dim=1,
        )
