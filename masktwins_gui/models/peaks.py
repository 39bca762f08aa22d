"""Fewer points that draw the same line: the lowest and the highest of each pixel column."""

from __future__ import annotations

import numpy as np


def peaks(x: np.ndarray, y: np.ndarray, columns: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the points between `low` and `high` of rising x, at most about two for each column.

    Args:
        x, y: (N,). NaN in y is left out where its column has other values.
        columns: width of the drawing in pixels.
    """
    first = max(0, int(np.searchsorted(x, low)) - 1)  # one more on each side, so that the line reaches the border
    last = min(len(x), int(np.searchsorted(x, high, side="right")) + 1)
    x, y = x[first:last], y[first:last]
    size = len(x) // max(1, columns)
    if size < 2:
        return x, y
    whole = len(x) // size * size
    blocks = y[:whole].reshape(-1, size)
    pairs = np.stack([np.fmin.reduce(blocks, axis=1), np.fmax.reduce(blocks, axis=1)], axis=1)
    rest = slice(whole, len(x))
    return np.concatenate([np.repeat(x[:whole:size], 2), x[rest]]), np.concatenate([pairs.ravel(), y[rest]])
