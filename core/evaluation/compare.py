"""Two models on one image, in numbers: what changes between them, and with labels what gets better or worse.

A is the model before, B the one after. H × W pixels, C classes, K likeliest classes per pixel. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import cv2
import numpy as np

from core.evaluation.boundary import boundary_counts
from core.evaluation.scores import iou_per_class
from core.labels import IGNORE

CERTAIN = 255  # probability 1 in the maps of `Ranked`
KEPT_REGIONS = 200  # of an image, the largest


@dataclass(frozen=True)
class Ranked:
    """A model's likeliest classes of each pixel.

    classes: (K, H, W) uint8, the likeliest first.
    probabilities: (K, H, W) uint8, 255 = 1; None where only the classes are known.
    entropy: mean over the pixels, 0..1 of log C; None where it is not known.
    features: the encoder's deepest features, mean over the image, (F,) float32; None where there is no encoder.
    """

    classes: np.ndarray
    probabilities: np.ndarray | None = None
    entropy: float | None = None
    features: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """Predicted classes (H, W) uint8."""
        return self.classes[0]

    @property
    def confidence(self) -> np.ndarray | None:
        """Probability of the predicted class (H, W) uint8, 255 = 1."""
        return None if self.probabilities is None else self.probabilities[0]

    @property
    def num_bytes(self) -> int:
        return self.classes.nbytes + (0 if self.probabilities is None else self.probabilities.nbytes)

    def at(self, x: int, y: int) -> list[tuple[int, float | None]]:
        """Classes of one pixel with their probabilities in 0..1, the likeliest first."""
        shares = [None] * len(self.classes) if self.probabilities is None else self.probabilities[:, y, x] / CERTAIN
        return [(int(c), None if p is None else float(p)) for c, p in zip(self.classes[:, y, x], shares, strict=True)]


class Outcome(IntEnum):
    """What became of a labelled pixel between A and B."""

    NEUTRAL = 0  # both right, or not labelled
    FIXED = 1  # A wrong, B right
    BROKEN = 2  # A right, B wrong
    BOTH_WRONG = 3


@dataclass(frozen=True)
class Region:
    """Connected pixels, with the change that most of them underwent."""

    x: int
    y: int
    width: int
    height: int
    area: int  # pixels
    before: int  # A's class
    after: int  # B's class


@dataclass(frozen=True)
class Counts:
    """A (C, C) matrix of pixel counts by its cells that are not 0: of many images few classes meet."""

    cells: np.ndarray  # row · C + column
    pixels: np.ndarray

    @staticmethod
    def of(matrix: np.ndarray) -> Counts:
        cells = np.flatnonzero(matrix)
        return Counts(cells.astype(np.uint32), matrix.ravel()[cells].astype(np.uint32))

    def cell(self, row: int, column: int, num_classes: int) -> int:
        """Pixels of one cell."""
        return int(self.pixels[self.cells == row * num_classes + column].sum())


@dataclass(frozen=True)
class Comparison:
    """A and B on one image. Confusion, boundary and gain need a label; confidence and entropy need B's probabilities."""

    changes: Counts  # [A's class][B's class]
    change: float  # share of pixels whose class differs
    disagreement: float  # see `disagreement`
    confidence: float | None  # B's mean probability of the predicted class
    entropy: float | None  # B's
    confusion_a: Counts | None = None  # [label][prediction]
    confusion_b: Counts | None = None
    boundary_a: np.ndarray | None = None  # (C, 2), see `core.evaluation.boundary`
    boundary_b: np.ndarray | None = None
    gain: float | None = None  # B's mean IoU on this image minus A's, 0..1
    features_a: np.ndarray | None = None  # see `Ranked`
    features_b: np.ndarray | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over images. The last four are zero where no image has a label."""

    images: int
    labelled: int
    changes: np.ndarray  # (C, C) int64
    confusion_a: np.ndarray
    confusion_b: np.ndarray
    boundary_a: np.ndarray  # (C, 2) int64
    boundary_b: np.ndarray


def compare(a: Ranked, b: Ranked, label: np.ndarray | None, num_classes: int) -> Comparison:
    """Compare two predictions of one image.

    Args:
        label: class ids and IGNORE (H, W) uint8; None, or of another size: without a label.

    Raises:
        ValueError: A and B differ in size.
    """
    changes = count_pairs(a.ids, b.ids, num_classes)
    unlabelled = Comparison(
        changes=Counts.of(changes),
        change=1 - float(np.trace(changes)) / max(1, changes.sum()),
        disagreement=disagreement(a, b),
        confidence=None if b.confidence is None else float(b.confidence.mean()) / CERTAIN,
        entropy=b.entropy,
        features_a=a.features,
        features_b=b.features,
    )
    if label is None or label.shape != a.ids.shape:
        return unlabelled
    confusion_a, confusion_b = (count_pairs(label, side.ids, num_classes) for side in (a, b))
    mean_a, mean_b = _mean_iou(confusion_a), _mean_iou(confusion_b)
    return replace(
        unlabelled,
        confusion_a=Counts.of(confusion_a),
        confusion_b=Counts.of(confusion_b),
        boundary_a=boundary_counts(label, a.ids, num_classes),
        boundary_b=boundary_counts(label, b.ids, num_classes),
        gain=None if mean_a is None or mean_b is None else mean_b - mean_a,
    )


def count_pairs(first: np.ndarray, second: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by their class in both, (C, C) int64, [first][second]; values that are no class count nowhere.

    Raises:
        ValueError: sizes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"sizes differ: {first.shape} and {second.shape}")
    # Of all pairs of bytes, so that no pixel has to be looked at twice.
    pairs = np.bincount((first.astype(np.uint16) << 8 | second).ravel(), minlength=65536)
    return pairs.reshape(256, 256)[:num_classes, :num_classes]


def disagreement(a: Ranked, b: Ranked) -> float:
    """Distance of the two models' probabilities, mean over the pixels: 0 = the same, 1 = nothing in common.

    The total variation distance, as far as the likeliest classes tell it. Where a model's probabilities are not known, its
    class counts as certain.
    """
    overlap = np.zeros(a.ids.shape, np.uint16)
    for class_a, p_a in _layers(a):
        for class_b, p_b in _layers(b):
            overlap += np.where(class_a == class_b, np.minimum(p_a, p_b), 0)
    # What lies outside the likeliest classes is left out, so that two equal predictions would not quite agree.
    known = np.minimum(_known(a), _known(b))
    return float(np.mean((known - overlap) / np.maximum(known, 1)))


def outcomes(first: np.ndarray, second: np.ndarray, label: np.ndarray) -> np.ndarray:
    """What became of each pixel: (H, W) uint8 of `Outcome`."""
    right_a, right_b = first == label, second == label
    result = np.full(label.shape, Outcome.NEUTRAL, np.uint8)
    result[~right_a & right_b] = Outcome.FIXED
    result[right_a & ~right_b] = Outcome.BROKEN
    result[~right_a & ~right_b] = Outcome.BOTH_WRONG
    result[label == IGNORE] = Outcome.NEUTRAL
    return result


def regions(mask: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[Region, ...]:
    """Connected regions of a mask (H, W), the largest first."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:KEPT_REGIONS] + 1
    return tuple(_region(numbers, stats[index], int(index), first, second) for index in order)


def _region(numbers: np.ndarray, stats: np.ndarray, index: int, first: np.ndarray, second: np.ndarray) -> Region:
    x, y, width, height, area = (int(value) for value in stats)
    box = np.s_[y : y + height, x : x + width]
    inside = numbers[box] == index
    pairs = np.bincount(first[box][inside].astype(np.int64) << 8 | second[box][inside])
    before, after = divmod(int(pairs.argmax()), 256)
    return Region(x, y, width, height, area, before, after)


def total(comparisons: Iterable[Comparison], num_classes: int) -> Totals:
    """Sum the counts of many images."""
    found = list(comparisons)
    labelled = [c for c in found if c.confusion_a is not None and c.confusion_b is not None]
    return Totals(
        images=len(found),
        labelled=len(labelled),
        changes=_sum([c.changes for c in found], num_classes),
        confusion_a=_sum([c.confusion_a for c in labelled if c.confusion_a], num_classes),
        confusion_b=_sum([c.confusion_b for c in labelled if c.confusion_b], num_classes),
        boundary_a=_sum_bands([c.boundary_a for c in labelled if c.boundary_a is not None], num_classes),
        boundary_b=_sum_bands([c.boundary_b for c in labelled if c.boundary_b is not None], num_classes),
    )


def _sum(counts: Sequence[Counts], num_classes: int) -> np.ndarray:
    flat = np.zeros(num_classes * num_classes, np.int64)
    if counts:
        np.add.at(flat, np.concatenate([c.cells for c in counts]), np.concatenate([c.pixels for c in counts]))
    return flat.reshape(num_classes, num_classes)


def _sum_bands(bands: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    return np.sum(bands, axis=0) if bands else np.zeros((num_classes, 2), np.int64)


def _layers(ranked: Ranked) -> list[tuple[np.ndarray, np.ndarray]]:
    if ranked.probabilities is None:
        return [(ranked.ids, np.full(ranked.ids.shape, CERTAIN, np.uint8))]
    return list(zip(ranked.classes, ranked.probabilities, strict=True))


def _known(ranked: Ranked) -> np.ndarray:
    return np.asarray(np.sum([p for _, p in _layers(ranked)], axis=0, dtype=np.uint16))


def _mean_iou(matrix: np.ndarray) -> float | None:
    known = iou_per_class(matrix)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else None
