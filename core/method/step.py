"""One training step of MaskTwins, in the order of the paper's method section.

The numbers in the comments are the sections of "One step" in the guide (resources/guide/method.md). The random draws of a
step are an argument (`core.method.draws.StepDraws`). Each loss is back-propagated as soon as it is known, so the peak
memory is that of the twins' graph alone. Nothing here waits for the device: `tests/core/training/test_device_traffic.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.configuration.choices import JitterModel, MaskLevel, TwinForward
from core.configuration.config import RunConfig
from core.method.augment import colour_jitter, gaussian_blur
from core.method.draws import AugmentDraw, BoxDraws, StepDraws
from core.method.feature_distance import FeatureAnchor
from core.method.losses import consistency, segmentation_loss, twin_cross_entropy
from core.method.masking import mask_features, pixel_masks
from core.method.mixing import mix, paste_mask
from core.method.parts import part
from core.method.student import Student, chunk
from core.method.style import Style, in_turn, style_of
from core.method.teacher import Teacher, pseudo_label
from core.method.transfer import to_device
from core.networks.prediction import Box, Prediction
from core.networks.segmenter import resize
from core.pixels import Normalisation

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Images:
    """Hold a batch on the device. Images are float32 (B, 3, H, W) in 0..1. There may be fewer target than source images."""

    source: Tensor
    source_label: Tensor  # uint8 (B, H, W)
    target: Tensor
    target_valid: Tensor  # bool (B, H, W)


@dataclass(frozen=True)
class PseudoLabel:
    """Hold what the teacher predicts for the target images."""

    label: Tensor  # ŷ, int64 (B, H, W)
    weight: Tensor  # q where the pixel is valid, else 0; float32 (B, H, W)
    style: Style | None = None  # of its features, for AdaIN

    def repeated(self, count: int) -> PseudoLabel:
        """Return `count` rows: the images in turn, where there are fewer."""
        return PseudoLabel(in_turn(self.label, count), in_turn(self.weight, count), self.style)


@dataclass(frozen=True)
class Unmasked:
    """Hold images that are masked, and what the student must predict from each masked copy."""

    image: Tensor  # float32 (B, 3, H, W) in 0..1
    label: Tensor  # (B, H, W)
    weight: Tensor | None  # per pixel, (B, H, W); None for 1
    masks: Sequence[np.ndarray]  # bool (B, 1, h, w) each, one value per block
    augment: AugmentDraw


def source_step(
    student: Student,
    images: Images,
    config: RunConfig,
    *,
    box: Box | None = None,
    style: Style | None = None,
    anchor: FeatureAnchor | None = None,
    last: bool = True,
) -> Losses:
    """Back-propagate the losses of the labelled camera: L_S, and λ_fd L_fd with an anchor.

    Gradients are added to those of the parameters.

    Args:
        box: HRDA's sub-crop.
        style: of the target, for AdaIN.
        last: whether no other loss follows in this step.

    Returns:
        The losses with their weights applied, detached, on the device.
    """
    seen: list[Tensor] = []

    def on_features(features: list[Tensor], where: Box | None) -> list[Tensor]:
        if where is None:
            seen[:] = features
        return features if style is None else style.apply(features)

    hook = None if style is None and anchor is None else on_features
    with part("source"), student.accumulating(last=last):
        prediction = student(student.normalisation.apply(images.source), box=box, on_features=hook)
        losses = {"source": segmentation_loss(prediction, images.source_label)}
        if anchor is not None:
            with student.autocast():
                distance = anchor.distance(seen, images.source_label)
            losses["feature_distance"] = config.loss.feature_distance_weight * distance
        torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}


def masktwins_step(
    student: Student,
    teacher: Teacher,
    images: Images,
    draws: StepDraws,
    config: RunConfig,
    t: int,
    anchor: FeatureAnchor | None = None,
) -> Losses:
    """Make adaptation step t: update the teacher, then accumulate the gradients of L in the student's parameters.

    Args:
        t: adaptation steps done before this one; 0 copies the student into the teacher.
        anchor: for L_fd.

    Returns:
        The losses with their weights applied, detached, on the device; their sum is L.
    """
    with part("ema"):
        teacher.update(student.network, t, config.training.ema_alpha)  # 1
    with part("teacher"):  # 3, before 2: AdaIN needs its features, and neither changes the other
        labelled = _label_target(teacher, student, images, config)
    ramp, boxes = ramp_up(t, config.loss.ramp_steps), draws.boxes
    mixes = draws.pasted_classes is not None and config.loss.mix_weight > 0
    masked = to_mask(images, labelled, draws, config)

    losses = source_step(  # 2
        student, images, config,
        box=boxes and boxes.source, style=labelled.style, anchor=anchor, last=not mixes and not masked,
    )  # fmt: skip
    if mixes:  # 4
        with part("mix"), student.accumulating(last=not masked):
            image, label, pixel_weight = mixed(images, labelled, draws, student.normalisation, config)
            prediction = student(image, box=boxes and boxes.mixed)
            loss = ramp * config.loss.mix_weight * segmentation_loss(prediction, label, pixel_weight)
            loss.backward()
        losses["mix"] = loss.detach()
    for unmasked in masked:  # 5
        with part("twins"):
            found = twin_losses(student, unmasked, boxes, config, ramp=ramp, last=unmasked is masked[-1])
        for name, loss in found.items():
            losses[name] = losses[name] + loss if name in losses else loss
    return losses


def ramp_up(t: int, steps: int) -> float:
    """Return the weight of the losses without labels at adaptation step t: linear to 1 over `steps`."""
    return min(1.0, (t + 1) / steps) if steps else 1.0


def _label_target(teacher: Teacher, student: Student, images: Images, config: RunConfig) -> PseudoLabel:
    x_T = student.normalisation.apply(images.target)
    styles: list[Style] = []

    def keep_style(features: list[Tensor], where: Box | None) -> list[Tensor]:
        if where is None:
            styles.append(style_of(features))
        return features

    options = {"on_features": keep_style} if config.augment.adain else {}
    with student.autocast():
        z_T = teacher.logits(x_T, **options)
    training = config.training
    z_T = resize(z_T.float(), x_T.shape[-2:])
    plabel, q = pseudo_label(z_T, training.pseudo_label_threshold, training.pseudo_label_share)
    return PseudoLabel(plabel, q[:, None, None] * images.target_valid, styles[0] if styles else None)


def mixed(
    images: Images, labelled: PseudoLabel, draws: StepDraws, normalisation: Normalisation, config: RunConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Paste source classes onto the target. Return normalised images, labels, and weights (1 on source pixels, else q)."""
    assert draws.pasted_classes is not None
    count = len(images.source)
    labelled = labelled.repeated(count)
    pasted = to_device(draws.pasted_classes, labelled.label.device)
    mask = paste_mask(images.source_label, pasted)
    image = mix(mask, images.source, in_turn(images.target, count))
    image = augmented(image, draws.mixed, normalisation, config.augment.jitter_model)
    label = mix(mask, images.source_label.long(), labelled.label)
    return image, label, mix(mask, torch.ones_like(labelled.weight), labelled.weight)


def augmented(image: Tensor, draw: AugmentDraw, normalisation: Normalisation, model: JitterModel) -> Tensor:
    """Jitter the colours of images in 0..1, normalise, then blur. Return normalised images."""
    if draw.colour is not None:
        image = colour_jitter(image, draw.colour, model)
    image = normalisation.apply(image)
    return image if draw.sigma is None else gaussian_blur(image, draw.sigma)


def to_mask(images: Images, labelled: PseudoLabel, draws: StepDraws, config: RunConfig) -> list[Unmasked]:
    """Return what is masked in this step, by `mask.domain`. Leave out what no loss would use."""
    weight = config.loss
    found = (
        Unmasked(images.target, labelled.label, labelled.weight, draws.target_masks, draws.target),
        Unmasked(images.source, images.source_label, None, draws.source_masks, draws.source),
    )
    return [u for u in found if (u.masks and weight.twin_weight) or (len(u.masks) > 1 and weight.consistency_weight)]


def twin_losses(
    student: Student, unmasked: Unmasked, boxes: BoxDraws | None, config: RunConfig, *, ramp: float, last: bool
) -> Losses:
    """Forward the masked copies and back-propagate L_cl and L_cm. Return both, detached. One view alone has no L_cm."""
    weight = config.loss
    x = augmented(unmasked.image, unmasked.augment, student.normalisation, config.augment.jitter_model)
    keeps = pixel_masks(unmasked.masks, x.shape[-2:], x.device)
    with student.accumulating(last=last):
        views = masked_predictions(student, x, keeps, boxes, config)
        losses: Losses = {}
        if weight.twin_weight:
            cross_entropies = twin_cross_entropy(views, unmasked.label, unmasked.weight, weight.twin_balance)
            losses["twins"] = ramp * weight.twin_weight * cross_entropies
        if weight.consistency_weight and len(views) > 1:
            losses["consistency"] = ramp * weight.consistency_weight * consistency([v.logits for v in views])
        torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}


def masked_predictions(
    student: Student, x: Tensor, keeps: Sequence[Tensor], boxes: BoxDraws | None, config: RunConfig
) -> list[Prediction]:
    """Return the student's prediction for each masked copy of the normalised images x.

    The copies go through the network in one batch, or one after another with `twin_forward = separate`.
    """
    moves = config.training.masked_statistics
    first = boxes and boxes.of_twin(0)
    if config.mask.level is MaskLevel.FEATURES:
        hook = mask_features(keeps, x.shape[-2:])
        return chunk(student(x, box=first, on_features=hook, move_statistics=moves), len(keeps))
    twins = [x * keep for keep in keeps]
    if config.training.twin_forward is TwinForward.BATCHED:
        return chunk(student(torch.cat(twins), box=first, move_statistics=moves), len(twins))
    return [student(twin, box=boxes and boxes.of_twin(i), move_statistics=moves) for i, twin in enumerate(twins)]
