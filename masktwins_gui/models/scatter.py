"""Where the dots of the map lie, and which of them an outline holds. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def on_common_axes(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) of two sets of N features (F,) on the two axes on which all of them differ most.

    Two sets of different widths have no common axes: both come back empty.
    """
    if not first or len({len(vector) for vector in (*first, *second)}) > 1:
        return np.zeros((0, 2)), np.zeros((0, 2))
    together = np.concatenate([np.stack(first), np.stack(second)]).astype(np.float64)
    centred = together - together.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # (F, F): small, however many images there are
    places = centred @ directions[:, -1:-3:-1]
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    return places[: len(first)], places[len(first) :]


def inside(points: np.ndarray, outline: Sequence[tuple[float, float]]) -> np.ndarray:
    """Which points (N, 2) lie inside a closed outline: (N,) bool, by the number of edges that a ray crosses."""
    result = np.zeros(len(points), bool)
    if len(outline) < 3:
        return result
    x, y = points[:, 0], points[:, 1]
    corners = np.asarray(outline, float)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = (x2 - x1) * (y - y1) / (y2 - y1) + x1
        result ^= crosses & (x < at)
    return result
