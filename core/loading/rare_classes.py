"""Sample source images by class, rare classes more often (DAFormer, Hoyer et al., CVPR 2022, section 3.3).

A class c is drawn with P(c) ∝ exp((1 − f_c)/T), f_c its share of the labelled pixels, and then one of the images that hold
enough of it. The crop is drawn again while it holds less than the minimum of c: 3000 pixels at a crop of 1024², as much
less as the crop is smaller. DAFormer's code draws crops by the same rule with half that minimum and keeps the last one;
here the best one is kept.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from core.configuration.sections import DataConfig
from core.loading.cropping import cut_label

MIN_PIXELS = 3000  # of the class in a crop of REFERENCE_AREA
REFERENCE_AREA = 1024 * 1024
MAX_REDRAWS = 10


def class_probabilities(counts: np.ndarray, temperature: float) -> np.ndarray:
    """Return P(c) ∝ exp((1 − f_c)/T) from pixels per image and class (N, C): float64 (C,), sum 1; 0 for classes never seen.

    Raises:
        ValueError: no class has a pixel.
    """
    pixels = counts.sum(axis=0, dtype=np.float64)
    present = pixels > 0
    if not present.any():
        raise ValueError(
            "No label holds a pixel of any class; check the labels, or set data.rare_class_sampling to false."
        )
    exponents = np.where(present, (1 - pixels / pixels.sum()) / temperature, -np.inf)
    weights = np.exp(exponents - exponents.max())  # a small T would overflow without the difference
    return weights / weights.sum()


def min_pixels(crop_hw: tuple[int, int]) -> int:
    """Return how many pixels of its class a crop of this size must hold, at least 1."""
    return max(1, round(MIN_PIXELS * crop_hw[0] * crop_hw[1] / REFERENCE_AREA))


@dataclass(frozen=True)
class Wish:
    """Hold what is drawn for one place in the batch: a class, and where in the list of its images to begin, in [0, 1)."""

    class_id: int
    start: float


class RareClasses:
    """Choose classes and images by the pixels per image and class."""

    def __init__(self, counts: np.ndarray, temperature: float, crop_hw: tuple[int, int]) -> None:
        """See `class_probabilities` for the arguments and what is raised."""
        self._cumulative = np.cumsum(class_probabilities(counts, temperature))
        self._crop_hw = crop_hw
        self._min_pixels = min_pixels(crop_hw)
        self._members = [self._holders(counts[:, class_id]) for class_id in range(counts.shape[1])]

    def _holders(self, pixels: np.ndarray) -> np.ndarray:
        """Return the images that hold enough of the class; where none does, all that hold it."""
        enough = np.flatnonzero(pixels >= self._min_pixels)
        return enough if enough.size else np.flatnonzero(pixels)

    def wish(self, draws: np.ndarray) -> Wish:
        """Turn two numbers in [0, 1) into a class and a place in its list."""
        # Scaled by the last sum, which rounding may make different from 1, so that no absent class at the end is hit.
        class_id = int(np.searchsorted(self._cumulative, draws[0] * self._cumulative[-1], side="right"))
        return Wish(class_id, float(draws[1]))

    def images(self, wish: Wish) -> Iterator[int]:
        """Yield the images of the class, each once, from the drawn one on. Those after it replace unreadable ones."""
        members = self._members[wish.class_id]
        first = int(wish.start * len(members))
        for i in range(len(members)):
            yield int(members[(first + i) % len(members)])

    def best_draws(self, class_id: int, label: np.ndarray, data: DataConfig, tries: np.ndarray) -> np.ndarray:
        """Choose a crop of a label uint8 (H, W) among the `tries` (1 + MAX_REDRAWS, 4): the first with enough of the class.

        Returns:
            A row of `tries`; where no crop holds enough, the one that holds most.
        """
        best, most = tries[0], -1
        for draws in tries:
            held = cv2.countNonZero((cut_label(label, self._crop_hw, data, draws) == class_id).view(np.uint8))
            if held >= self._min_pixels:
                return draws
            if held > most:
                best, most = draws, held
        return best
