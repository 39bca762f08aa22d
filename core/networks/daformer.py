"""Build the DAFormer head (Hoyer et al., CVPR 2022), with the parameter names of its released code.

Shapes: B images, C_i channels of stage i at h_i × w_i, E channels of each embedded stage and of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.depthwise import DilatedDepthwise


def last_stages(features: Sequence[Tensor], number: int) -> list[Tensor]:
    """Return the last `number` feature maps (B, C_i, h_i, w_i), finest first.

    It leaves out what comes before them: the image itself, a transformer's stage without channels, and stages that are
    finer than those the network was made for.
    """
    return [f for f in features if f.dim() == 4 and f.size(1) > 0][-number:]


class Embedding(nn.Module):
    """Apply a Linear to the channels of a feature map, (B, C_i, h, w) → (B, E, h, w)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, feature: Tensor) -> Tensor:
        # As a convolution: a Linear would need the channels moved to the last dimension and back.
        return F.conv2d(feature, self.proj.weight[:, :, None, None], self.proj.bias)


class ConvNormRelu(nn.Module):
    """Apply a convolution, batch norm (ε 1e-5, momentum 0.1) and ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, values: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(values)), inplace=True)  # these maps are the largest of the whole network


class SeparableConvNormRelu(nn.Module):
    """Apply a dilated depthwise 3×3, then a 1×1 convolution, each with batch norm and ReLU."""

    def __init__(self, in_channels: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvNormRelu(DilatedDepthwise(in_channels, dilation))
        self.pointwise_conv = ConvNormRelu(nn.Conv2d(in_channels, channels, 1, bias=False))

    def forward(self, values: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(values))


class SeparableAspp(nn.Module):
    """Pool an atrous spatial pyramid, without image pooling: one branch per dilation, joined by a 3×3 bottleneck.

    A dilation of 1 is a plain 1×1 convolution, as in the released code.
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.aspp_modules = nn.ModuleList(
            ConvNormRelu(nn.Conv2d(in_channels, channels, 1, bias=False))
            if dilation == 1
            else SeparableConvNormRelu(in_channels, channels, dilation)
            for dilation in dilations
        )
        self.bottleneck = ConvNormRelu(nn.Conv2d(len(dilations) * channels, channels, 3, padding=1, bias=False))

    def forward(self, values: Tensor) -> Tensor:
        return self.bottleneck(torch.cat([branch(values) for branch in self.aspp_modules], dim=1))


class DAFormerDecoder(nn.Module):
    """Embed each stage, resize all to the finest one's size, join them in the order of the stages, and apply the ASPP.

    It works with stages of any strides, also those of a plain vision transformer, which all have one stride.

    Args:
        in_channels: channels of the stages that are used, finest first. Of an encoder with more stages, the last ones.
        channels: E, of each embedded stage and of the result.
        dropout: probability that a channel of the result is dropped in training.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        dropout: float = 0.1,
        dilations: Sequence[int] = (1, 6, 12, 18),
    ) -> None:
        super().__init__()
        self.out_channels = channels
        self.embed_layers = nn.ModuleList(Embedding(number, channels) for number in in_channels)
        self.fuse_layer = SeparableAspp(len(in_channels) * channels, channels, dilations)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode an encoder's features, finest first, with or without the image in front, to (B, E, h_1, w_1).

        Every stage is embedded at its own resolution and then resized, which gives the same result as the reverse order.
        """
        stages = last_stages(features, len(self.embed_layers))
        size = stages[0].shape[2:]
        embedded = [embed(stage) for embed, stage in zip(self.embed_layers, stages, strict=True)]
        resized = [
            e if e.shape[2:] == size else F.interpolate(e, size=size, mode="bilinear", align_corners=False)
            for e in embedded
        ]
        return self.dropout(self.fuse_layer(torch.cat(resized, dim=1)))
