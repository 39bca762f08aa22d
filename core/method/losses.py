"""The losses of MaskTwins (method sections 2, 4 and 5). Logits are (B, C, h, w); labels uint8 or int64 (B, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from core.labels import IGNORE


def cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """CE_w: mean over all pixels of weight · CE, as in the released code.

    Ignored pixels contribute 0 but count in the denominator. Logits are resized bilinearly (align_corners False) to the
    label's size, in float32 whatever the network computed in.

    Args:
        weight: per pixel, (B, H, W); None for 1 everywhere.
    """
    logits = resize(logits.float(), label.shape[-2:])
    per_pixel = F.cross_entropy(logits, label.long(), ignore_index=IGNORE, reduction="none")
    return (per_pixel if weight is None else per_pixel * weight).mean()


def resize(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly (align_corners False); returns the logits themselves where the size is right already."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def twin_cross_entropy(logits: Sequence[Tensor], label: Tensor, weight: Tensor | None, balance: float) -> Tensor:
    """L_cl = λ CE_w(z_D, ŷ; q) + (1 − λ) CE_w(z_{1−D}, ŷ; q); of a single view, its CE_w alone."""
    if len(logits) == 1:
        return cross_entropy(logits[0], label, weight)
    first, second = logits
    return balance * cross_entropy(first, label, weight) + (1 - balance) * cross_entropy(second, label, weight)


def consistency(first: Tensor, second: Tensor) -> Tensor:
    """L_cm: mean squared difference of the twins' raw logits at the decoder's resolution; gradients reach both."""
    return F.mse_loss(first.float(), second.float())
