"""What a model predicts, before and after adapting, as pictures for the model card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.dataset.reading import ReadError, read_image
from core.evaluation.predictor import Predictor
from core.networks.store import LoadedModel
from core.pixels import evenly_spaced, shrunk
from core.render import overlay

NUM_PICTURES = 3
PREDICTED_SIDE = 1024  # pixels: longest side of what is predicted
SHOWN_SIDE = 480
JPEG_QUALITY = 85

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CardPicture:
    """One image as JPEGs: itself, and with what each model predicts laid over it. `before` may be missing."""

    name: str
    image: bytes
    before: bytes | None
    after: bytes


def card_pictures(
    model: LoadedModel, before: LoadedModel | None, images: Sequence[Path], device: str
) -> tuple[CardPicture, ...]:
    """Predict a few of the images, evenly spread; those that cannot be read are left out.

    Args:
        before: the model that has seen the labelled camera only.

    Raises:
        PredictionError: the device has too little memory.
    """
    pictures = []
    for path in evenly_spaced(images, NUM_PICTURES):
        try:
            image = shrunk(read_image(path), PREDICTED_SIDE)
        except (ReadError, OSError) as error:
            logger.warning("no picture in the card: %s", error)
            continue
        first = None if before is None else _predicted(before, image, device)
        pictures.append(CardPicture(path.name, _jpeg(image), first, _predicted(model, image, device)))
    return tuple(pictures)


def _predicted(model: LoadedModel, image: np.ndarray, device: str) -> bytes:
    ids = Predictor(model.segmenter, device).predict(image)
    return _jpeg(overlay(image, ids, model.palette, 0.6))


def _jpeg(picture: np.ndarray) -> bytes:
    small = cv2.cvtColor(shrunk(picture, SHOWN_SIDE), cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return content.tobytes()
