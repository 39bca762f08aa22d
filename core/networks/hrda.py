"""Build HRDA (Hoyer et al., ECCV 2022) around any network.

It sees the whole crop in half resolution for context, and a sub-crop of half its sides in full resolution for detail. An
attention chooses between them per class and place.

Shapes: B images, C classes, H × W pixels of the crop, h × w cells of the low-resolution logits. The sub-crop's logits have
h × w cells too, and the fused logits 2h × 2w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.daformer import ConvNormRelu, Embedding, last_stages
from core.networks.prediction import Box, OnFeatures, Prediction
from core.networks.segmenter import Segmenter, padded_side, resize

NUM_STAGES = 4  # that the attention looks at
SMALLEST_CELLS = 2  # strides in the smallest padded side: half of it then holds two of the network's own
_OFFSET_STEP = 8  # pixels: the released code's, for logits at stride 4


class ScaleAttention(nn.Module):
    """Decide how much of each class is read from the detail, from the features of the whole crop at half resolution.

    Each stage goes through a Linear; these are resized to the finest stage's size, concatenated, and fused by a 1×1
    convolution, batch norm and ReLU. As in `core.networks.segformer`, each stage goes through the product of its two
    matrices at its own resolution instead, which differs by rounding. The released code has the dropout before the
    classifier too: it makes this head from the same settings as the other.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, channels: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.embed_layers = nn.ModuleList(Embedding(number, channels) for number in in_channels)
        self.fuse_layer = ConvNormRelu(nn.Conv2d(len(in_channels) * channels, channels, 1, bias=False))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the attention before the sigmoid, (B, C, h', w') at the finest stage's resolution."""
        stages = last_stages(features, len(self.embed_layers))
        size = stages[0].shape[2:]
        fuses = self.fuse_layer.conv.weight.flatten(1).chunk(len(stages), dim=1)
        fused: Tensor | None = None
        for stage, embed, fuse in zip(stages, self.embed_layers, fuses, strict=True):
            assert isinstance(embed, Embedding)
            with torch.autocast(stage.device.type, enabled=False):  # two small matrices: keep their product exact
                weight, bias = fuse @ embed.proj.weight, fuse @ embed.proj.bias
            part = F.conv2d(stage, weight[:, :, None, None], bias)
            if part.shape[2:] != size:
                part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
            fused = part if fused is None else fused + part
        assert fused is not None
        return self.classifier(self.dropout(F.relu(self.fuse_layer.bn(fused), inplace=True)))


def fuse(low_BChw: Tensor, high: Tensor, attention_BChw: Tensor, box: Box | None = None) -> Tensor:
    """Return up(att · m) · HR + up((1 − att · m) · LR), (B, C, 2h, 2w). The gradient flows into all three.

    Args:
        low_BChw: logits of the whole crop at half resolution, LR.
        high: logits in full resolution, HR: of the whole crop (B, C, 2h, 2w), or of the box.
        attention_BChw: before the sigmoid.
        box: where `high` lies, in cells of the fused logits, all even; m is 1 there and 0 elsewhere. None: m = 1.
    """
    attention = attention_BChw.sigmoid()
    size = (2 * low_BChw.shape[-2], 2 * low_BChw.shape[-1])
    if box is not None:
        inside = torch.zeros_like(attention[:, :1])
        inside[..., box.y1 // 2 : box.y2 // 2, box.x1 // 2 : box.x2 // 2] = 1
        attention = attention * inside
        high = F.pad(high, (box.x1, size[1] - box.x2, box.y1, size[0] - box.y2))
    return resize(attention, size) * high + resize((1 - attention) * low_BChw, size)


class Hrda(Segmenter):
    """See each image twice, with one encoder and one head for both passes.

    In training it is called with a box, the sub-crop, and returns a `Prediction`: the fused logits, and those of the
    sub-crop for a loss of their own. Without a box (teacher, inference, export) it returns logits as every segmenter does.
    The detail then comes from windows of half the image's sides.

    Args:
        window_batch: windows that go through the network together; None for all nine at once, as released. Fewer need less
            memory. In train mode it decides which windows share batch norm's statistics.
    """

    def __init__(
        self, segmenter: Segmenter, scale_attention: ScaleAttention, *, window_batch: int | None = None
    ) -> None:
        super().__init__(
            segmenter.encoder,
            segmenter.head,
            num_classes=segmenter.num_classes,
            stride=_padding_unit(segmenter.stride, segmenter.logits_stride),
            normalisation=segmenter.normalisation,
            description=replace(segmenter.description, hrda=True),
            notes=segmenter.notes,
        )
        self._logits_stride = segmenter.logits_stride
        self.scale_attention = scale_attention
        self.window_batch = window_batch

    @classmethod
    def around(cls, segmenter: Segmenter, channels: int = 256, dropout: float = 0.1) -> Hrda:
        """Use a network's encoder and head, and add a new attention.

        Args:
            channels: of the attention's embedding.
            dropout: before the attention's classifier.
        """
        channels_of: Any = segmenter.encoder.out_channels  # the image's own in front
        stages = [number for number in channels_of[1:] if number > 0][-NUM_STAGES:]
        return cls(segmenter, ScaleAttention(stages, segmenter.num_classes, channels, dropout))

    @property
    def detail_step(self) -> int:
        """Pixels whose multiples are the offsets of a sub-crop: whole cells of the low-resolution logits."""
        return math.lcm(_OFFSET_STEP, (2 * Fraction(self.logits_stride).limit_denominator()).numerator)

    @overload  # type: ignore[override]
    def forward(self, image_BCHW: Tensor, box: None = None, on_features: OnFeatures | None = None) -> Tensor: ...
    @overload
    def forward(self, image_BCHW: Tensor, box: Box, on_features: OnFeatures | None = None) -> Prediction: ...
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, image_BCHW: Tensor, box: Box | None = None, on_features: OnFeatures | None = None
    ) -> Tensor | Prediction:
        """Predict normalised images (B, 3, H, W).

        Args:
            box: the sub-crop, in pixels.
            on_features: changes the encoder's features before the head. It is called with None for the whole crop, and
                with its box for each part in full resolution.

        Returns:
            With a box, the prediction. Without, raw logits (B, C, 2h, 2w), or (B, C, H, W) where the sides had to be
            padded to multiples of `stride`, at least two, as `Segmenter.forward` says.

        Raises:
            ValueError: the box is not half of the crop on whole cells of the logits.
        """
        if box is not None:
            return self._with_detail(image_BCHW, box, on_features)
        height, width = image_BCHW.shape[-2:]
        if height % self.stride == 0 and width % self.stride == 0:
            return self.fitting_logits(image_BCHW, on_features)
        smallest = SMALLEST_CELLS * self.stride
        rows, columns = (max(padded_side(side, self.stride), smallest) for side in (height, width))
        padded_BCHW = F.pad(image_BCHW, (0, columns - width, 0, rows - height), mode="replicate")
        return resize(self.fitting_logits(padded_BCHW, on_features), (rows, columns))[..., :height, :width]

    def fitting_logits(self, image_BCHW: Tensor, on_features: OnFeatures | None = None) -> Tensor:
        """Return logits (B, C, 2h, 2w) of images whose sides are multiples of `stride`.

        The nine windows of half the image's sides overlap by half. The code compares no sizes and slices by no computed
        amount, so it can be traced for images of any size.
        """
        low_BChw, attention_BChw = self._whole(image_BCHW, on_features)
        return fuse(low_BChw, self._details(image_BCHW, on_features), attention_BChw)

    def _with_detail(self, image_BCHW: Tensor, box: Box, on_features: OnFeatures | None) -> Prediction:
        self._check(box, *image_BCHW.shape[-2:])
        low_BChw, attention_BChw = self._whole(image_BCHW, on_features)
        features = self.encoder(image_BCHW[..., box.y1 : box.y2, box.x1 : box.x2])
        detail = self.head(features if on_features is None else on_features(list(features), box))
        cells = _in_cells(box, image_BCHW.shape[-2:], low_BChw.shape[-2:])
        return Prediction(fuse(low_BChw, detail, attention_BChw, cells), detail, box)

    def _whole(self, image_BCHW: Tensor, on_features: OnFeatures | None) -> tuple[Tensor, Tensor]:
        """Return logits and attention (B, C, h, w) of the whole crop. It comes before the details: batch norm sees the order."""
        half = (image_BCHW.shape[-2] // 2, image_BCHW.shape[-1] // 2)
        features = self.encoder(resize(image_BCHW, half))
        if on_features is not None:
            features = on_features(list(features), None)
        low_BChw, attention = self.head(features), self.scale_attention(features)
        return low_BChw, resize(attention, (low_BChw.shape[-2], low_BChw.shape[-1]))

    def _details(self, image_BCHW: Tensor, on_features: OnFeatures | None) -> Tensor:
        windows = sliding_windows(image_BCHW)
        boxes = sliding_boxes(image_BCHW.shape[-2], image_BCHW.shape[-1])
        number = self.window_batch or len(windows)
        logits: list[Tensor] = []
        for start in range(0, len(windows), number):
            part = windows[start : start + number]
            features = self.encoder(torch.cat(part))
            if on_features is not None:
                features = _apply_to_each(on_features, features, boxes[start : start + number])
            logits += _split(self.head(features), len(part))
        rows = [_blend(logits[first : first + 3], dim=3) for first in (0, 3, 6)]
        return _blend(rows, dim=2)

    def _check(self, box: Box, height: int, width: int) -> None:
        if height % self.stride or width % self.stride:
            raise ValueError(
                f"HRDA trains on crops whose sides are multiples of {self.stride} pixels, not on {height} × {width}: "
                "change training.crop_size."
            )
        step = self.detail_step
        if (box.y2 - box.y1, box.x2 - box.x1) != (height // 2, width // 2) or box.y1 % step or box.x1 % step:
            raise ValueError(f"{box} is not half of {height} × {width} pixels at offsets that are multiples of {step}")


def sliding_windows(image_BCHW: Tensor) -> list[Tensor]:
    """Cut nine windows (B, C, H/2, W/2) that overlap by half, row by row. H and W are multiples of 4."""
    quarters = image_BCHW.unflatten(3, (4, -1)).unflatten(2, (4, -1))
    return [quarters[:, :, y : y + 2, :, x : x + 2].flatten(4, 5).flatten(2, 3) for y in range(3) for x in range(3)]


def sliding_boxes(height: int, width: int) -> list[Box]:
    """Return where `sliding_windows` lie, in pixels."""
    h, w = height // 4, width // 4
    return [Box(y * h, (y + 2) * h, x * w, (x + 2) * w) for y in range(3) for x in range(3)]


def _blend(windows: Sequence[Tensor], dim: int) -> Tensor:
    """Join three windows that overlap by half along a side. Where two overlap, take their mean."""
    (a, b), (c, d), (e, f) = (window.unflatten(dim, (2, -1)).unbind(dim) for window in windows)
    return torch.cat([a, (b + c) / 2, (d + e) / 2, f], dim)


def _split(values: Tensor, parts: int) -> tuple[Tensor, ...]:
    return values.unflatten(0, (parts, -1)).unbind(0)


def _apply_to_each(on_features: OnFeatures, features: Sequence[Tensor], boxes: Sequence[Box]) -> list[Tensor]:
    """Change the features of windows that lie one after another in the batch, each with its own box."""
    of_windows = zip(*(_split(feature, len(boxes)) for feature in features), strict=True)
    changed = [on_features(list(own), box) for own, box in zip(of_windows, boxes, strict=True)]
    return [torch.cat(parts) for parts in zip(*changed, strict=True)]


def _in_cells(box: Box, sides: Sequence[int], low: Sequence[int]) -> Box:
    """Convert a box from pixels to cells of the fused logits, which has twice as many as the low resolution."""
    y1, y2 = (2 * y * low[0] // sides[0] for y in (box.y1, box.y2))
    x1, x2 = (2 * x * low[1] // sides[1] for x in (box.x1, box.x2))
    return Box(y1, y2, x1, x2)


def _padding_unit(stride: int, logits_stride: float) -> int:
    """Return the pixels that sides are padded to a multiple of.

    Halves of the image then fit the network, and quarters, by which the windows move, are whole cells of the logits.
    """
    return math.lcm(2 * stride, 4, (4 * Fraction(logits_stride).limit_denominator()).numerator)
