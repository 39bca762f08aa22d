"""Predict single images for people: whole up to a size, in windows above it, on the run's device as long as that works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.evaluation.compare import Ranked
from core.evaluation.errors import PredictionError, PredictionStoppedError
from core.evaluation.predictor import Predictor
from core.networks.device import choose_device
from core.networks.segmenter import Segmenter

WHOLE_PIXELS = 2048 * 1024  # larger images are predicted in windows: memory stays bounded, and cancelling takes effect
WINDOWS = (1024, 512)  # sides in pixels, the second where the first needs too much memory
OVERLAP = 0.25  # of the windows: enough to hide their borders, at 1.8 passes over the image

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a model computes. `note` says in words which device it is, and why not another."""

    device: str
    precision: Precision
    note: str


CPU = Place("cpu", Precision.FP32, "CPU")


def place_of(training: TrainingConfig | None) -> Place:
    """Choose the device and precision of a run; without a run, whatever is best here."""
    wanted = "auto" if training is None else training.device
    precision = Precision.AUTO if training is None else training.precision
    try:
        device, reason = choose_device(wanted)
    except RunError as error:
        logger.info("not on the run's device: %s", error)
        return replace(CPU, note=f"CPU: the run's device {wanted} is unavailable here")
    if device == "cpu":
        return replace(CPU, note="CPU" if reason == "as chosen" else f"CPU: {reason}")
    return Place(device, precision, f"{device}: {reason}")


class Viewer:
    """Predicts with one model; moves to the CPU for good where the device's memory is short."""

    def __init__(self, segmenter: Segmenter, place: Place) -> None:
        self.segmenter = segmenter
        self.place = place

    def rank(self, image: np.ndarray, cancelled: Callable[[], bool] | None = None) -> Ranked:
        """Predict an RGB image (H, W, 3) uint8.

        Raises:
            PredictionStoppedError: cancelled, which is asked between two windows.
            PredictionError: the memory does not suffice, not even on the CPU.
        """
        return self._with_less_memory(image, lambda predictor: predictor.ranked(image, cancelled))

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Class ids (H, W) uint8. Raises as `rank` does."""
        return self.rank(image).ids

    def predictor(self, window: int | None = None) -> Predictor:
        """The model, ready to predict on its device."""
        windows = None if window is None else (window, window)
        together = (
            1 if self.place.device == "cpu" else 4
        )  # windows: more than one saves no time on a CPU, but needs memory
        return Predictor(self.segmenter, self.place.device, windows, OVERLAP, together, self.place.precision)

    def _with_less_memory(self, image: np.ndarray, predict: Callable[[Predictor], Ranked]) -> Ranked:
        sides: list[int | None] = [*WINDOWS]
        if image.shape[0] * image.shape[1] <= WHOLE_PIXELS:
            sides.insert(0, None)
        while True:
            error = None
            for side in sides:
                try:
                    return predict(self.predictor(side))
                except PredictionStoppedError:
                    raise
                except PredictionError as short:
                    logger.warning("%s, window %s: %s", self.place.device, side, short)
                    error = short
            if self.place.device == "cpu":
                assert error is not None
                raise error
            self.place = replace(CPU, note=f"CPU: {self.place.device} has too little free memory")
