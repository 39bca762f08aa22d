"""Draw everything random in a training step, on the host.

A step takes its draws as an argument. Training draws them from (seed, t), each purpose from a generator of its own;
recorded draws can be given instead.

Draws are made for the whole batch. A process that trains on a share of it (see `Share`) keeps its own part, so the draws
do not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.configuration.choices import MaskDomain, PerImage, SubCrops
from core.configuration.config import RunConfig
from core.configuration.sections import AugmentConfig
from core.loading.sampling import Batch
from core.method.augment import ColourDraw, draw_colour
from core.method.masks import draw_block_masks
from core.method.mixing import draw_classes, draw_classes_of_batch
from core.networks.prediction import Box, draw_box

BLUR_SIGMA = (0.15, 1.15)  # pixels
BLUR_PROBABILITY = 0.5

Generators = Callable[[str], np.random.Generator]  # purpose -> generator of this step


class Share(NamedTuple):
    """Name the part of each batch that a process trains on: the rank-th of `world` equal parts."""

    rank: int = 0
    world: int = 1

    def slice(self, local: int) -> slice:
        """Return this process's part of the whole batch, `local` images of it."""
        return slice(self.rank * local, (self.rank + 1) * local)


WHOLE = Share()


@dataclass(frozen=True)
class AugmentDraw:
    """Hold the colour jitter and the blur of a batch of images. None: left out in this step."""

    colour: ColourDraw | None = None
    sigma: float | None = None


@dataclass(frozen=True)
class BoxDraws:
    """Hold HRDA's sub-crops, one per forward. The twins have either one each or one for all."""

    source: Box
    mixed: Box
    twins: tuple[Box, ...]

    def of_twin(self, index: int) -> Box:
        """Return the sub-crop of one twin, numbered from 0."""
        return self.twins[min(index, len(self.twins) - 1)]


@dataclass(frozen=True)
class StepDraws:
    """Hold all randomness of one step except the network's own dropout and drop path."""

    pasted_classes: np.ndarray | None = None  # bool (B, 256): ClassMix
    mixed: AugmentDraw = AugmentDraw()
    target: AugmentDraw = AugmentDraw()
    source: AugmentDraw = AugmentDraw()  # of masked source images
    target_masks: tuple[np.ndarray, ...] = ()  # bool (B, 1, h, w) each, one value per block, True = visible
    source_masks: tuple[np.ndarray, ...] = ()
    boxes: BoxDraws | None = None  # None: the network has no sub-crop


def draw(config: RunConfig, batch: Batch, rng: Generators, detail_step: int = 0, share: Share = WHOLE) -> StepDraws:
    """Draw what step t needs.

    Args:
        detail_step: pixels that HRDA's sub-crop moves by; 0 for a network without a sub-crop.
        share: which part of the whole batch `batch` is.
    """
    B_S, _, H, W = batch.source_image.shape
    B_T = len(batch.target_image)
    mask = config.mask

    def masks(purpose: str, local: int) -> tuple[np.ndarray, ...]:
        return tuple(m[share.slice(local)] for m in draw_block_masks(mask, share.world * local, H, W, rng(purpose)))

    return StepDraws(
        pasted_classes=_draw_pasted(config.augment, batch, rng, share),
        mixed=_draw_augment(config.augment, B_S, rng("augment-mixed"), share),
        target=_draw_augment(config.augment, B_T, rng("augment-target"), share),
        source=_draw_augment(config.augment, B_S, rng("augment-source"), share),
        target_masks=masks("mask-target", B_T) if mask.domain in (MaskDomain.TARGET, MaskDomain.BOTH) else (),
        source_masks=masks("mask-source", B_S) if mask.domain in (MaskDomain.SOURCE, MaskDomain.BOTH) else (),
        boxes=draw_boxes(config, H, W, detail_step, rng("sub-crop")) if detail_step else None,
    )


def draw_boxes(config: RunConfig, height: int, width: int, step: int, rng: np.random.Generator) -> BoxDraws:
    """Draw HRDA's sub-crops in the order of the forwards: source, mixed, twins."""
    training = config.training
    twins = config.mask.views if training.twin_sub_crops is SubCrops.SEPARATE else 1
    source, mixed, *of_twins = (
        draw_box(height, width, step, rng, last_position=training.last_sub_crop) for _ in range(2 + twins)
    )
    return BoxDraws(source, mixed, tuple(of_twins))


def _draw_pasted(augment: AugmentConfig, batch: Batch, rng: Generators, share: Share) -> np.ndarray | None:
    if not augment.class_mix:
        return None
    labels = batch.source_label.numpy()
    if augment.class_mix_from is PerImage.BATCH:
        return draw_classes_of_batch(labels, rng(f"classmix-batch-{share.rank}"))
    first = share.slice(len(labels)).start
    return np.concatenate([draw_classes(labels[i : i + 1], rng(f"classmix-{first + i}")) for i in range(len(labels))])


def _draw_augment(augment: AugmentConfig, local: int, rng: np.random.Generator, share: Share) -> AugmentDraw:
    colour = draw_colour(rng, share.world * local, augment.jitter_strength)
    jitters = rng.random() < augment.jitter_probability and augment.colour_jitter
    blurs = rng.random() < BLUR_PROBABILITY and augment.blur
    sigma = float(rng.uniform(*BLUR_SIGMA)) if blurs else None
    return AugmentDraw(colour[share.slice(local)] if jitters else None, sigma)
