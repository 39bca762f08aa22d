"""Give the source's features the target's style (AdaIN: figure 1 of the paper; the released code does not have it).

In every feature map that the head receives, each channel of the student's features of a source image gets a new mean and
a new standard deviation over the pixels: those of the teacher's features of the unmasked target image (Huang & Belongie,
ICCV 2017, equation 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-5  # added to the variance


@dataclass(frozen=True)
class Style:
    """Hold the mean and the standard deviation (B, C, 1, 1) of each feature map of the target images.

    None stands for a map without channels, which a transformer has at stride 2.
    """

    moments: tuple[tuple[Tensor, Tensor] | None, ...]

    def apply(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Restyle the source's feature maps (B, C, h, w). The first entry, the image itself, does not change.

        Where there are fewer target than source images, they are used in turn.
        """
        pairs = zip(features[1:], self.moments, strict=True)
        return [features[0], *(f if moments is None else _restyled(f, *moments) for f, moments in pairs)]


def style_of(features: Sequence[Tensor]) -> Style:
    """Return the style of a network's features, whose first entry is the image itself. It has no gradient."""
    return Style(tuple(_moments(f.detach()) if f.size(1) else None for f in features[1:]))


def _moments(feature: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(feature.float(), dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def _restyled(feature: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    own_mean, own_std = _moments(feature)
    mean, std = (in_turn(m, len(feature)) for m in (mean, std))
    return ((feature.float() - own_mean) / own_std * std + mean).to(feature.dtype)


def in_turn(target: Tensor, count: int) -> Tensor:
    """Return `count` rows of a target batch that may be shorter: row i is the (i mod B)-th."""
    if len(target) == count:
        return target
    return target.repeat(-(-count // len(target)), *[1] * (target.dim() - 1))[:count]
