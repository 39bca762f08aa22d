"""Build DPT (Ranftl et al., ICCV 2021): a pyramid made from the layers of a plain vision transformer."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from torch import Tensor, nn

_FUSED_CHANNELS = ((384, 64), (768, 128))  # up to so many channels of the encoder, so many of the decoder; then 256
_GRID = 16  # the library's reassembly is asked for ×4, ×2, ×1 and ×½ the grid of patches, whatever a patch's side


class DptDecoder(nn.Module):
    """Adapt segmentation-models-pytorch's DPT decoder and head to grids of any size and patches of any side.

    The library doubles sizes step by step, which fits only even grids of 16-pixel patches. Here each step is resized to the
    next one's size, and the last to half the image's size. Two further differences: resizing uses align_corners=False, as
    everywhere in this program, and the class token is not used. The widths are those of Depth Anything V2 (Yang et al.,
    2024) for each size of encoder; for the small one they are a quarter of the paper's.

    Args:
        in_channels: of the four layers, all the same number.
        dropout: probability that a value before the classifier is dropped in training.
    """

    def __init__(self, in_channels: Sequence[int], dropout: float = 0.1) -> None:
        super().__init__()
        width = in_channels[-1]
        channels = next((fused for limit, fused in _FUSED_CHANNELS if width <= limit), 256)
        library = DPTDecoder(
            encoder_out_channels=in_channels,
            encoder_output_strides=[_GRID] * len(in_channels),
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=[max(width >> shift, 8) for shift in (3, 2, 1, 0)],
            fusion_channels=channels,
        )
        self.out_channels = channels
        self.reassemble_blocks = library.reassemble_blocks
        self.fusion_blocks = library.fusion_blocks
        self.output = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse four layers (B, C, h, w), the image (B, 3, H, W) in front of them, to (B, E, H/2, W/2)."""
        image, *layers = features
        pyramid = [block(layer) for block, layer in zip(self.reassemble_blocks, layers, strict=True)]
        sizes = [(image.shape[-2] // 2, image.shape[-1] // 2), *(level.shape[-2:] for level in pyramid[:-1])]
        fused: Tensor | None = None
        for block, level, size in zip(self.fusion_blocks, reversed(pyramid), reversed(sizes), strict=True):
            level = block.residual_conv_block1(level)  # type: ignore[operator]
            level = block.residual_conv_block2(level if fused is None else level + fused)  # type: ignore[operator]
            # The 1×1 projection comes before the resizing, with which it commutes, on a quarter of the cells.
            fused = F.interpolate(block.project(level), size=size, mode="bilinear", align_corners=False)  # type: ignore[operator]
        assert fused is not None
        return self.output(fused)
