"""Compute the losses of MaskTwins (sections 2, 4 and 5 of the guide's method chapter).

Logits are (B, C, h, w), labels uint8 or int64 (B, H, W).

Weights and ramp are applied in `core.method.step`; the settings are `LossConfig`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.labels import IGNORE
from core.networks.prediction import Prediction
from core.networks.segmenter import resize

DETAIL_WEIGHT = 0.1  # of HRDA's sub-crop in the loss


def cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return CE_w, the mean over all pixels of weight · CE, as in the released code.

    Ignored pixels contribute 0 but count in the denominator. Logits are resized bilinearly (align_corners False) to the
    label's size, in float32 whatever the network computed in.

    Args:
        weight: per pixel, (B, H, W); None for 1 everywhere.
    """
    logits = resize(logits.float(), label.shape[-2:])
    per_pixel = F.cross_entropy(logits, label.long(), ignore_index=IGNORE, reduction="none")
    return (per_pixel if weight is None else per_pixel * weight).mean()


def segmentation_loss(prediction: Prediction, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return CE_w of a prediction.

    With HRDA's sub-crop: 0.9 CE_w(fused) + 0.1 CE_w(detail), the label and the weight cut to its box.
    """
    whole = cross_entropy(prediction.logits, label, weight)
    if prediction.detail is None or prediction.box is None:
        return whole
    y1, y2, x1, x2 = prediction.box
    part = None if weight is None else weight[:, y1:y2, x1:x2]
    detail = cross_entropy(prediction.detail, label[:, y1:y2, x1:x2], part)
    return (1 - DETAIL_WEIGHT) * whole + DETAIL_WEIGHT * detail


def twin_cross_entropy(views: Sequence[Prediction], label: Tensor, weight: Tensor | None, balance: float) -> Tensor:
    """Return L_cl = λ CE_w(z_D, ŷ; q) + (1 − λ) CE_w(z_{1−D}, ŷ; q).

    With one view its CE_w, with more than two the mean.
    """
    losses = [segmentation_loss(view, label, weight) for view in views]
    if len(losses) == 2:
        return balance * losses[0] + (1 - balance) * losses[1]
    return torch.stack(losses).mean()


def consistency(views: Sequence[Tensor]) -> Tensor:
    """Return L_cm, the mean squared difference of the views' raw logits at the decoder's resolution.

    Gradients reach all views. With more than two: the mean over the pairs.
    """
    pairs = list(combinations([z.float() for z in views], 2))
    return torch.stack([F.mse_loss(first, second) for first, second in pairs]).mean()
