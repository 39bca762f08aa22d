"""Debiased exponential smoothing of a whole curve at once."""

from __future__ import annotations

import math

import numpy as np

LARGEST_EXPONENT = 200.0  # of ten: keep^-n within a block stays far inside a double's range


class Smoother:
    """Average values with inertia `keep` in [0, 1). Remembers its state, so that a curve may come in pieces."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._mean, self._weight = 0.0, 0.0

    def smooth(self, values: np.ndarray) -> np.ndarray:
        """Return the running mean at each value. A value that is not finite gives NaN and leaves the mean alone."""
        result = np.full(len(values), math.nan)
        finite = np.isfinite(values)
        result[finite] = self._smooth_finite(values[finite])
        return result

    def _smooth_finite(self, values: np.ndarray) -> np.ndarray:
        if self._keep == 0:
            return values
        length = max(1, int(LARGEST_EXPONENT * math.log(10) / -math.log(self._keep)))
        blocks = [self._smooth_block(values[start : start + length]) for start in range(0, len(values), length)]
        return np.concatenate(blocks) if blocks else values

    def _smooth_block(self, values: np.ndarray) -> np.ndarray:
        """Solve m_j = k m_(j-1) + (1 - k) x_j for the whole block: m_j = k^j (m_0 + (1 - k) Σ x_i / k^i)."""
        powers = self._keep ** np.arange(1, len(values) + 1)
        means = powers * (self._mean + (1 - self._keep) * np.cumsum(values / powers))
        weights = 1 - (1 - self._weight) * powers
        self._mean, self._weight = float(means[-1]), float(weights[-1])
        return means / weights  # debiased: the first points are not drawn towards 0
