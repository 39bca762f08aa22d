"""One training step of MaskTwins, in the order of the paper's method section.

The random draws of a step are an argument (:class:`StepDraws`): training draws them from (seed, t), tests inject recorded
ones. Each loss is back-propagated as soon as it is known, so that the peak memory is that of the twins' graph alone.
Nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from core.config import AugmentConfig, MaskDomain, RunConfig, TwinForward
from core.data.augment import ColourDraw, colour_jitter, draw_colour, gaussian_blur
from core.data.sampling import Batch
from core.method.losses import consistency, cross_entropy, resize, twin_cross_entropy
from core.method.masks import draw_keep_masks
from core.method.mixing import draw_classes, mix, paste_mask
from core.method.teacher import Teacher, batch_norms, pseudo_label, untouched_statistics
from core.pixels import Normalisation

BLUR_SIGMA = (0.15, 1.15)
BLUR_PROBABILITY = 0.5

Generators = Callable[[str], np.random.Generator]  # purpose -> generator of this step


@dataclass(frozen=True)
class AugmentDraw:
    """Colour jitter and blur of a batch of images; None: left out in this step."""

    colour: ColourDraw | None = None
    sigma: float | None = None


@dataclass(frozen=True)
class StepDraws:
    """All randomness of one step but the network's own dropout."""

    pasted_classes: np.ndarray | None = None  # bool (B, 256): ClassMix
    mixed: AugmentDraw = AugmentDraw()
    target: AugmentDraw = AugmentDraw()
    target_masks: tuple[np.ndarray, ...] = ()  # bool (B, 1, H, W) each, True = visible
    source_masks: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Images:
    """A batch on the device. Images are float32 (B, 3, H, W) in 0..1."""

    source: Tensor
    source_label: Tensor  # uint8 (B, H, W)
    target: Tensor
    target_valid: Tensor  # bool (B, H, W)


@dataclass
class Student:
    """θ with what its forwards need to know."""

    network: nn.Module
    normalisation: Normalisation
    autocast: Callable[[], AbstractContextManager] = nullcontext
    norms: list = field(init=False)

    def __post_init__(self) -> None:
        self.norms = batch_norms(self.network)

    def __call__(self, image: Tensor, *, move_statistics: bool = True) -> Tensor:
        with untouched_statistics(self.norms, enabled=not move_statistics), self.autocast():
            return self.network(image)


def part(name: str) -> AbstractContextManager:
    """Label a part of the step for profilers; costs next to nothing without one."""
    return record_function(f"masktwins::{name}")


def draw(config: RunConfig, batch: Batch, rng: Generators) -> StepDraws:
    """Draw what step t needs, each purpose from a generator of its own."""
    num_images, _, H, W = batch.target_image.shape
    mask = config.mask
    on_target = mask.domain in (MaskDomain.TARGET, MaskDomain.BOTH)
    on_source = mask.domain in (MaskDomain.SOURCE, MaskDomain.BOTH)
    return StepDraws(
        pasted_classes=draw_classes(batch.source_label.numpy(), rng("classmix")) if config.augment.class_mix else None,
        mixed=_draw_augment(config.augment, num_images, rng("augment-mixed")),
        target=_draw_augment(config.augment, num_images, rng("augment-target")),
        target_masks=draw_keep_masks(mask, num_images, H, W, rng("mask-target")) if on_target else (),
        source_masks=draw_keep_masks(mask, num_images, H, W, rng("mask-source")) if on_source else (),
    )


def _draw_augment(augment: AugmentConfig, num_images: int, rng: np.random.Generator) -> AugmentDraw:
    colour = draw_colour(rng, num_images, augment.jitter_strength)
    jitters = rng.random() < augment.jitter_probability and augment.colour_jitter
    blurs = rng.random() < BLUR_PROBABILITY and augment.blur
    return AugmentDraw(colour if jitters else None, float(rng.uniform(*BLUR_SIGMA)) if blurs else None)


def source_step(student: Student, images: Images) -> dict[str, Tensor]:
    """A step on the labelled camera alone: L_S. Gradients are left in the parameters; losses are returned detached."""
    with part("source"):
        loss = cross_entropy(student(student.normalisation.apply(images.source)), images.source_label)
        loss.backward()
    return {"source": loss.detach()}


def masktwins_step(
    student: Student, teacher: Teacher, images: Images, draws: StepDraws, config: RunConfig, t: int
) -> dict[str, Tensor]:
    """Adaptation step t: update the teacher, then accumulate the gradients of L in the student's parameters.

    Args:
        t: adaptation steps done before this one; 0 copies the student into the teacher.

    Returns:
        The losses with their weights applied, detached, on the device; their sum is L.
    """
    weight = config.loss
    with part("ema"):
        teacher.update(student.network, t, config.training.ema_alpha)  # 1

    losses = source_step(student, images)  # 2

    with part("teacher"):  # 3
        x_T = student.normalisation.apply(images.target)
        with student.autocast():
            z_T = teacher.logits(x_T)
        plabel, q = pseudo_label(resize(z_T.float(), x_T.shape[-2:]), config.training.pseudo_label_threshold)
        pweight = q[:, None, None] * images.target_valid

    if draws.pasted_classes is not None and weight.mix_weight > 0:  # 4
        with part("mix"):
            mixed_image, mixed_label, mixed_weight = mixed(images, plabel, pweight, draws, student.normalisation)
            loss = weight.mix_weight * cross_entropy(student(mixed_image), mixed_label, mixed_weight)
            loss.backward()
        losses["mix"] = loss.detach()

    for masks, image, label, pixel_weight in (  # 5
        (draws.target_masks, images.target, plabel, pweight),
        (draws.source_masks, images.source, images.source_label, None),
    ):
        if masks and weight.twin_weight + weight.consistency_weight > 0:
            with part("twins"):
                x = augmented(image, draws.target, student.normalisation)
                found = twin_losses(student, x, masks, label, pixel_weight, config)
            for name, loss in found.items():
                losses[name] = losses[name] + loss if name in losses else loss
    return losses


def mixed(
    images: Images, plabel: Tensor, pweight: Tensor, draws: StepDraws, normalisation: Normalisation
) -> tuple[Tensor, Tensor, Tensor]:
    """Source classes pasted onto the target: normalised images, labels, and weights (1 on source pixels, q elsewhere)."""
    assert draws.pasted_classes is not None
    mask = paste_mask(images.source_label, torch.from_numpy(draws.pasted_classes).to(plabel.device, non_blocking=True))
    image = augmented(mix(mask, images.source, images.target), draws.mixed, normalisation)
    label = mix(mask, images.source_label.long(), plabel)
    return image, label, mix(mask, torch.ones_like(pweight), pweight)


def augmented(image: Tensor, draw: AugmentDraw, normalisation: Normalisation) -> Tensor:
    """Jitter the colours of images in 0..1, normalise, then blur. Returns normalised images."""
    if draw.colour is not None:
        image = colour_jitter(image, draw.colour)
    image = normalisation.apply(image)
    return image if draw.sigma is None else gaussian_blur(image, draw.sigma)


def twin_losses(
    student: Student,
    x: Tensor,
    masks: tuple[np.ndarray, ...],
    label: Tensor,
    pixel_weight: Tensor | None,
    config: RunConfig,
) -> dict[str, Tensor]:
    """Forward the masked copies of x, back-propagate L_cl and L_cm, return both detached. One view alone has no L_cm."""
    training, weight = config.training, config.loss
    twins = [x * torch.from_numpy(mask).to(x.device, non_blocking=True) for mask in masks]
    if training.twin_forward is TwinForward.BATCHED:
        logits = student(torch.cat(twins), move_statistics=training.masked_statistics).chunk(len(twins))
    else:
        logits = [student(twin, move_statistics=training.masked_statistics) for twin in twins]

    losses: dict[str, Tensor] = {}
    if weight.twin_weight > 0:
        losses["twins"] = weight.twin_weight * twin_cross_entropy(logits, label, pixel_weight, weight.twin_balance)
    if weight.consistency_weight > 0 and len(logits) == 2:
        losses["consistency"] = weight.consistency_weight * consistency(*logits)
    if losses:
        torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}
