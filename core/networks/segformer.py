"""Compute the SegFormer decoder at the stages' own resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SegformerDecoder(nn.Module):
    """Replace segmentation-models-pytorch's SegFormer decoder: same parameters, names and results, a fraction of its work.

    The library embeds each stage (Linear, E channels), resizes all to stage 1's size, concatenates, and fuses them by a 1×1
    convolution from 4E to E channels at that size. For MiT-B0 that is half of the whole network's arithmetic. There is no
    non-linearity between these steps, and a 1×1 convolution commutes with resizing. So each stage goes through the product
    of its two matrices at its own resolution, and only the sum is left for stage 1's. The result differs by rounding.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.mlp_stage = decoder.mlp_stage  # deepest stage first
        self.fuse_stage = decoder.fuse_stage  # convolution without bias, batch norm, ReLU

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse the encoder's features, finest first with the image itself in front, to (B, E, H/4, W/4)."""
        size = [side // 4 for side in features[0].shape[2:]]
        stages = [f for f in features[1:] if f.size(1) > 0][::-1]  # a transformer's stage at stride 2 has no channels
        convolution, *norm_and_activation = self.fuse_stage.children()  # type: ignore[union-attr]
        assert isinstance(convolution, nn.Conv2d)
        fuses = convolution.weight.flatten(1).chunk(len(stages), dim=1)
        fused: Tensor | None = None
        for feature, mlp, fuse in zip(stages, self.mlp_stage, fuses, strict=True):  # type: ignore[arg-type]
            with torch.autocast(feature.device.type, enabled=False):  # two small matrices: keep their product exact
                weight, bias = fuse @ mlp.linear.weight, fuse @ mlp.linear.bias
            stage = F.conv2d(feature, weight[:, :, None, None], bias)
            if list(stage.shape[2:]) != size:
                stage = F.interpolate(stage, size=size, mode="bilinear", align_corners=False)
            fused = stage if fused is None else fused + stage
        for layer in norm_and_activation:
            fused = layer(fused)
        assert fused is not None
        return fused
