"""Does a written file say the same as the network? Measured on real target images before it counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.dataset.reading import ReadError, read_image
from core.export.errors import ExportError
from core.export.portable import Run
from core.pixels import evenly_spaced, shrunk

NUM_IMAGES = 4
LONGEST_SIDE = 1024  # pixels: larger images are reduced, so that comparing stays a matter of seconds
# (height, width) besides the images' own: most fit no stride, one is below the smallest side.
SMALL_SIZES = ((97, 131), (192, 160), (40, 210))
LEAST_EQUAL = 0.999  # share of pixels with the same class

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    name: str
    image: np.ndarray  # (N, 3, H, W) float32 in 0..1


@dataclass(frozen=True)
class Parity:
    """The largest difference of a logit, and the smallest share of pixels with the same class, over the samples."""

    largest_difference: float
    equal_pixels: float  # 0..1
    samples: tuple[str, ...]


def choose_samples(images: Sequence[Path]) -> tuple[Sample, ...]:
    """Up to four of the images, evenly spread, and the first again at small sizes; a drawn one where none is given.

    Raises:
        ExportError: images are given, and none of those tried can be read.
    """
    samples = []
    for path in evenly_spaced(images, NUM_IMAGES):
        try:
            samples.append(_sample(path.name, shrunk(read_image(path), LONGEST_SIDE)))
        except (ReadError, OSError) as error:
            logger.warning("not compared on this image: %s", error)
    if images and not samples:
        raise ExportError(f"None of the images to compare on can be read, {images[0]} among them; check that folder.")
    if not samples:
        samples.append(_sample("generated", _generated()))
    first = np.ascontiguousarray(samples[0].image[0].transpose(1, 2, 0))
    for height, width in SMALL_SIZES:
        resized = cv2.resize(first, (width, height), interpolation=cv2.INTER_AREA)
        batch = _batch(resized)
        samples.append(Sample(samples[0].name, np.concatenate([batch, batch[..., ::-1]])))  # and mirrored: two at once
    return tuple(samples)


def compare(reference: Run, candidate: Run, samples: Sequence[Sample], name: str) -> Parity:
    """Run both on every sample. Raises ExportError where fewer than 99.9 % of a sample's pixels get the same class."""
    differences, shares, titles = [], [], []
    for sample in samples:
        height, width = sample.image.shape[2:]
        title = f"{sample.name} at {width} × {height}"
        expected = reference(sample.image)
        got = candidate(sample.image)
        if got.shape != expected.shape:
            raise ExportError(f"{name} gives {got.shape} for {title}, not {expected.shape}; it is not kept.")
        differences.append(float(np.abs(got - expected).max()))
        shares.append(float(np.mean(got.argmax(1) == expected.argmax(1))))
        titles.append(title)
        if not shares[-1] >= LEAST_EQUAL or not np.isfinite(differences[-1]):
            raise ExportError(
                f"{name} gives another class than the network on {1 - shares[-1]:.2%} of the pixels of {title} "
                f"(logits differ by up to {differences[-1]:.2g}); it is not kept: choose another format."
            )
    return Parity(max(differences), min(shares), tuple(titles))


def _sample(name: str, image: np.ndarray) -> Sample:
    return Sample(name, _batch(image.astype(np.float32) / np.float32(255)))


def _batch(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def _generated() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(coarse, (256, 192), interpolation=cv2.INTER_CUBIC)
