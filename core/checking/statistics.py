"""Numbers about images and labels: what the domain card and the class table show.

Each image is measured on about MAX_PIXELS pixels on a regular grid (sharpness: on its middle), so that measuring costs
little beside decoding. Importable without torch.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.labels import IGNORE, UNKNOWN, LabelSpace

MAX_PIXELS = 16_384
NUM_BINS = 32
SHARPNESS_SIDE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Measure:
    """One image: brightness and its spread (0..255), saturation (0..1), histogram (3, NUM_BINS) of shares, sharpness."""

    hw: tuple[int, int]
    brightness: float
    contrast: float
    saturation: float
    histogram: np.ndarray
    sharpness: float


@dataclass(frozen=True)
class DomainStatistics:
    """One camera's images.

    `brightness_mean` and `brightness_std`: mean over the images of a picture's mean brightness, and of its standard
    deviation, 0..255. `brightness_spread`: standard deviation of the pictures' mean brightness. `saturation`: 0..1.
    `histograms`: per RGB channel the share of pixels in 32 equal bins. `sharpness`: median over the images of the variance
    of the Laplacian of the brightness; noise raises it too. Numbers are NaN without a readable image.
    """

    num_images: int
    num_labels: int
    num_read: int
    sizes: tuple[tuple[tuple[int, int], int], ...]  # ((height, width), number of images), most frequent first
    brightness_mean: float
    brightness_std: float
    brightness_spread: float
    saturation: float
    sharpness: float
    histograms: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class DomainGap:
    """How far the target's images are from the source's, before any model: 0 everywhere for the same camera.

    `brightness`, `contrast`: difference of the means in grey levels (target minus source). `saturation`: difference, -1..1.
    `colour`: mean over the channels of the distance of the histograms in grey levels (how far a pixel's value must be
    moved on average, 1-Wasserstein). `sharpness`, `size`: ratio target to source, logarithm to base 2.
    """

    brightness: float
    contrast: float
    saturation: float
    colour: float
    sharpness: float
    size: float


@dataclass(frozen=True)
class Statistics:
    """All of it. The class numbers are by class name, and the source's where nothing else is said."""

    domains: Mapping[str, DomainStatistics] = field(default_factory=dict)  # source, target, evaluation
    gap: DomainGap | None = None  # target against source
    class_shares: Mapping[str, float] = field(default_factory=dict)  # of the labelled pixels
    class_images: Mapping[str, int] = field(default_factory=dict)  # labels in which the class occurs
    target_class_shares: Mapping[str, float] = field(
        default_factory=dict
    )  # the same for the target; empty without labels
    target_class_images: Mapping[str, int] = field(default_factory=dict)
    ignored_share: float = 0.0  # of all pixels of the labels, unknown values included


def measure(image: np.ndarray) -> Measure:
    """Measure an RGB image, uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    pixels = sample(image)
    luma = pixels.astype(np.float32) @ LUMA
    red, green, blue = pixels.T
    high = np.maximum(np.maximum(red, green), blue).astype(np.float32)  # 20 times as fast as max(axis=1)
    low = np.minimum(np.minimum(red, green), blue)
    histogram = np.stack([np.bincount(pixels[:, c] // (256 // NUM_BINS), minlength=NUM_BINS) for c in range(3)])
    return Measure(
        (height, width),
        float(luma.mean()),
        float(luma.std()),
        float(((high - low) / np.maximum(high, 1)).mean()),
        histogram / len(pixels),
        _sharpness(image),
    )


def sample(image: np.ndarray) -> np.ndarray:
    """About MAX_PIXELS pixels of an image (H, W, 3) on a regular grid, all of a smaller one: (N, 3)."""
    height, width = image.shape[:2]
    step = max(1, math.ceil(math.sqrt(height * width / MAX_PIXELS)))
    return np.ascontiguousarray(image[::step, ::step]).reshape(-1, 3)


def _sharpness(image: np.ndarray) -> float:
    height, width = image.shape[:2]
    top, left = max(0, height - SHARPNESS_SIDE) // 2, max(0, width - SHARPNESS_SIDE) // 2
    grey = image[top : top + SHARPNESS_SIDE, left : left + SHARPNESS_SIDE].astype(np.float32) @ LUMA
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(laplacian.var())


@dataclass
class DomainTally:
    """Collects the measures of one camera's images."""

    num_images: int = 0
    num_labels: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rows: array[float] = field(default_factory=lambda: array("d"))  # four numbers an image, without an object for each
    histogram: np.ndarray = field(default_factory=lambda: np.zeros((3, NUM_BINS)))

    def add(self, one: Measure) -> None:
        self.sizes[one.hw] += 1
        self.rows.extend((one.brightness, one.contrast, one.saturation, one.sharpness))
        self.histogram += one.histogram

    def result(self) -> DomainStatistics:
        num_read = len(self.rows) // 4
        rows = np.array(self.rows or [math.nan] * 4).reshape(-1, 4)
        means = rows.mean(axis=0)
        shares = self.histogram / max(1, num_read)
        return DomainStatistics(
            num_images=self.num_images,
            num_labels=self.num_labels,
            num_read=num_read,
            sizes=tuple(sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))),
            brightness_mean=float(means[0]),
            brightness_std=float(means[1]),
            brightness_spread=float(rows[:, 0].std()),
            saturation=float(means[2]),
            sharpness=float(np.median(rows[:, 3])),
            histograms=tuple(tuple(channel) for channel in shares.tolist()),
        )


@dataclass
class ClassTally:
    """Collects pixels by id, uint8 ids with IGNORE and UNKNOWN among them, over labels."""

    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, counts: np.ndarray) -> None:
        """Add one label's number of pixels by id, int64 (256,)."""
        self.pixels += counts
        self.images += counts > 0

    def shares(self, space: LabelSpace) -> dict[str, float]:
        labelled = self.pixels[: space.num_classes]
        return dict(zip(space.classes, (labelled / max(1, labelled.sum())).tolist(), strict=True))

    def occurrences(self, space: LabelSpace) -> dict[str, int]:
        return dict(zip(space.classes, self.images[: space.num_classes].tolist(), strict=True))

    @property
    def ignored_share(self) -> float:
        return float((self.pixels[IGNORE] + self.pixels[UNKNOWN]) / max(1, self.pixels.sum()))


def gap(source: DomainStatistics, target: DomainStatistics) -> DomainGap | None:
    """Compare two cameras; None where one has no readable image."""
    if not source.num_read or not target.num_read:
        return None
    cumulative = np.cumsum(np.array(source.histograms) - np.array(target.histograms), axis=1)
    return DomainGap(
        brightness=target.brightness_mean - source.brightness_mean,
        contrast=target.brightness_std - source.brightness_std,
        saturation=target.saturation - source.saturation,
        colour=float(np.abs(cumulative).sum(axis=1).mean() * (256 / NUM_BINS)),
        sharpness=_log_ratio(source.sharpness, target.sharpness),
        size=_log_ratio(_side(source), _side(target)),
    )


def _side(domain: DomainStatistics) -> float:
    (height, width), _ = domain.sizes[0]
    return math.sqrt(height * width)


def _log_ratio(source: float, target: float) -> float:
    """log2(target / source), with both kept off 0 so that flat images do not give infinities."""
    return math.log2((target + 1e-3) / (source + 1e-3))
