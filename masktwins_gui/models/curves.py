"""The numbers behind the curves: points by series, smoothed as they come, and marks along the steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal


class Series:
    """Points (step, value) in growing arrays, and their debiased exponential mean."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self._data = np.empty((256, 3))
        self._count = 0
        self._smoothing = smoothing
        self._mean, self._weight = 0.0, 0.0

    def __len__(self) -> int:
        return self._count

    @property
    def x(self) -> np.ndarray:
        return self._data[: self._count, 0]

    @property
    def y(self) -> np.ndarray:
        return self._data[: self._count, 1]

    @property
    def smooth(self) -> np.ndarray:
        return self._data[: self._count, 2]

    def append(self, step: float, value: float) -> None:
        """Add one point. A value that is not finite breaks the line and leaves the mean alone."""
        if self._count == len(self._data):
            self._data = np.concatenate([self._data, np.empty_like(self._data)])
        self._data[self._count] = (step, value, self._averaged(value))
        self._count += 1

    def _averaged(self, value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        keep = self._smoothing
        self._mean = keep * self._mean + (1 - keep) * value
        self._weight = keep * self._weight + (1 - keep)
        return self._mean / self._weight  # debiased: the first points are not drawn towards 0

    def set_smoothing(self, smoothing: float) -> None:
        """Average again with another inertia in [0, 1)."""
        self._smoothing, self._mean, self._weight = smoothing, 0.0, 0.0
        self._data[: self._count, 2] = [self._averaged(v) for v in self.y]

    def cut_after(self, step: float) -> None:
        """Forget the points after a step: a resumed run goes on from its checkpoint."""
        self._count = int(np.searchsorted(self.x, step, side="right"))
        self.set_smoothing(self._smoothing)

    def nearest(self, step: float) -> int | None:
        """Index of the point closest to a step."""
        if not self._count:
            return None
        right = int(np.clip(np.searchsorted(self.x, step), 1, max(1, self._count - 1)))
        if self._count == 1:
            return 0
        return right if abs(self.x[right] - step) < abs(self.x[right - 1] - step) else right - 1


@dataclass(frozen=True)
class Mark:
    """A vertical line: a checkpoint, a pause, a change."""

    step: int
    kind: str
    text: str


class CurveStore(QObject):
    """All series of one panel. `changed` is sent once per `add`, however many points it brought."""

    changed = Signal()
    marked = Signal()

    def __init__(self, smoothing: float = 0.9, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.series: dict[str, Series] = {}
        self.marks: list[Mark] = []
        self.smoothing = smoothing

    def add(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Append rows of (step, values by series)."""
        for step, values in points:
            for name, value in values.items():
                self.series.setdefault(name, Series(self.smoothing)).append(step, value)
        self.changed.emit()

    def mark(self, mark: Mark) -> None:
        self.marks.append(mark)
        self.marked.emit()

    def set_smoothing(self, smoothing: float) -> None:
        self.smoothing = smoothing
        for series in self.series.values():
            series.set_smoothing(smoothing)
        self.changed.emit()

    def cut_after(self, step: int) -> None:
        for series in self.series.values():
            series.cut_after(step)
        self.marks = [m for m in self.marks if m.step <= step]
        self.changed.emit()
        self.marked.emit()

    def clear(self) -> None:
        self.series.clear()
        self.marks.clear()
        self.changed.emit()
        self.marked.emit()
