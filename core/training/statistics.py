"""Estimate the batch-norm statistics that the teacher is measured, saved and exported with ("precise batch norm")."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from torch import nn

from core.configuration.training import TrainingConfig
from core.dataset.listing import Listing
from core.evaluation.health import readable
from core.evaluation.predictor import Predictor
from core.events import Event, Measuring
from core.method.teacher import Teacher
from core.training.device import Compute

logger = logging.getLogger(__name__)

NUM_IMAGES = 16  # target images, the same ones at each estimate


def estimate_statistics(
    teacher: Teacher, student: nn.Module, listing: Listing, compute: Compute, training: TrainingConfig
) -> Iterator[Event]:
    """Show the teacher whole clean target images, and yield the progress.

    Where the memory is short, crops of the training's size slide over the images. Where it is still short, the statistics
    stay as they are: no reason to lose a checkpoint.
    """
    if teacher.has_precise_statistics:
        return
    total = min(NUM_IMAGES, len(listing.target))
    for window in (None, training.crop_hw):
        predictor = Predictor(teacher.network, compute.device, window, precision=compute.precision)  # type: ignore[arg-type]
        try:
            with teacher.estimating_statistics(student, training.teacher_target_share):
                for done, image in enumerate(readable(listing.target, NUM_IMAGES), 1):
                    predictor.logits(image)
                    yield Measuring("estimating batch-norm statistics", done, total)
        except RuntimeError as error:  # memory, most often
            logger.warning("the teacher's statistics were not estimated with window %s: %s", window, error)
        else:
            return
