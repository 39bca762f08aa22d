"""Scores read from a confusion matrix: numpy alone, importable without torch.

Matrices are (C, C), [label][prediction], in pixels, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.events import Scores


def iou_per_class(matrix: np.ndarray) -> np.ndarray:
    """Return the intersection over union (C,) in 0..1; NaN for a class in neither labels nor predictions."""
    hits = np.diagonal(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(matrix), np.nan), where=union > 0)


def scores_of(matrix: np.ndarray, names: Sequence[str], counted: Sequence[str] | None = None) -> Scores:
    """Compute the scores of a (C, C) confusion matrix. mIoU is the mean over classes that occur, NaN if none does.

    Args:
        counted: names of the classes that the mean is over; None: all.
    """
    per_class = 100 * iou_per_class(matrix)
    total = int(matrix.sum())
    is_counted = [counted is None or name in counted for name in names]
    return Scores(
        miou=mean_of_known([value for value, counts in zip(per_class.tolist(), is_counted, strict=True) if counts]),
        pixel_accuracy=100 * float(np.trace(matrix)) / total if total else math.nan,
        per_class=dict(zip(names, per_class.tolist(), strict=True)),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )


def miou_over(scores: Scores, names: Sequence[str]) -> float:
    """Return the mean IoU in percent over the named classes that occur, NaN if none does.

    Raises:
        ValueError: a name is not a class.
    """
    unknown = [name for name in names if name not in scores.per_class]
    if unknown:
        raise ValueError(f"No class is called {', '.join(unknown)}; there are {', '.join(scores.per_class)}.")
    return mean_of_known([scores.per_class[name] for name in names])


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers, NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
