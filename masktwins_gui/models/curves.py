"""The numbers behind the curves: points by series, smoothed as they come, and marks along the steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from masktwins_gui.models.smoothing import Smoother


class Series:
    """Points (step, value) in growing arrays, and their debiased exponential mean."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self._data = np.empty((3, 256))
        self._count = 0
        self.smoothing = smoothing
        self._smoother = Smoother(smoothing)

    def __len__(self) -> int:
        return self._count

    @property
    def x(self) -> np.ndarray:
        return self._data[0, : self._count]

    @property
    def y(self) -> np.ndarray:
        return self._data[1, : self._count]

    @property
    def smooth(self) -> np.ndarray:
        return self._data[2, : self._count]

    def append(self, step: float, value: float) -> None:
        """Add one point. A value that is not finite breaks the line and leaves the mean alone."""
        self.extend(np.array([step]), np.array([value]))

    def extend(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Add points by rising step."""
        end = self._count + len(steps)
        if end > self._data.shape[1]:
            grown = np.empty((3, max(end, 2 * self._data.shape[1])))
            grown[:, : self._count] = self._data[:, : self._count]
            self._data = grown
        self._data[:, self._count : end] = steps, values, self._smoother.smooth(np.asarray(values, float))
        self._count = end

    def set_smoothing(self, smoothing: float) -> None:
        """Average again with another inertia in [0, 1)."""
        self.smoothing, self._smoother = smoothing, Smoother(smoothing)
        self._data[2, : self._count] = self._smoother.smooth(self.y)

    def cut_after(self, step: float) -> None:
        """Forget the points after a step: a resumed run goes on from its checkpoint."""
        self._count = int(np.searchsorted(self.x, step, side="right"))
        self.set_smoothing(self.smoothing)

    def nearest(self, step: float) -> int | None:
        """Return the index of the point closest to a step."""
        if not self._count:
            return None
        right = int(np.clip(np.searchsorted(self.x, step), 1, max(1, self._count - 1)))
        if self._count == 1:
            return 0
        return right if abs(self.x[right] - step) < abs(self.x[right - 1] - step) else right - 1


class TrainingTime:
    """Seconds trained up to each step: the sum of the steps' own durations, without pauses, evaluations and previews."""

    def __init__(self) -> None:
        self._points = Series()

    def add(self, steps: np.ndarray, seconds_per_step: np.ndarray) -> None:
        """Append logged steps, each with the mean seconds of the steps since the one before."""
        last_step = float(self._points.x[-1]) if len(self._points) else 0.0
        last_time = float(self._points.y[-1]) if len(self._points) else 0.0
        durations = np.nan_to_num(seconds_per_step) * np.diff(steps, prepend=last_step)
        self._points.extend(steps, last_time + np.cumsum(durations))

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Return the seconds trained at each step; all 0 while nothing is known."""
        if not len(self._points):
            return np.zeros(len(steps))
        return np.interp(steps, np.append(0.0, self._points.x), np.append(0.0, self._points.y))

    def step_at(self, seconds: float) -> float:
        """Return the step that was reached after so many seconds."""
        if not len(self._points):
            return 0.0
        return float(np.interp(seconds, np.append(0.0, self._points.y), np.append(0.0, self._points.x)))

    def cut_after(self, step: float) -> None:
        self._points.cut_after(step)

    def clear(self) -> None:
        self._points = Series()


@dataclass(frozen=True)
class Mark:
    """A vertical line: a checkpoint, a pause, a change, a phase."""

    step: int
    kind: str
    text: str


class CurveStore(QObject):
    """All series of one panel. `changed` is sent once per `add`, however many points it brought."""

    changed = Signal()
    marked = Signal()

    def __init__(self, smoothing: float = 0.9, time: TrainingTime | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.series: dict[str, Series] = {}
        self.marks: list[Mark] = []
        self.smoothing = smoothing
        self.time = time or TrainingTime()

    def add(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Append rows of (step, values by series)."""
        columns: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for step, values in points:
            for name, value in values.items():
                columns[name].append((step, value))
        for name, pairs in columns.items():
            steps, values = np.array(pairs).T
            self.series.setdefault(name, Series(self.smoothing)).extend(steps, values)
        self.changed.emit()

    def take(self, series: Mapping[str, Series], marks: Iterable[Mark] = ()) -> None:
        """Replace everything by whole curves, as read from a file."""
        self.series = dict(series)
        self.marks = list(marks)
        for one in self.series.values():
            if one.smoothing != self.smoothing:
                one.set_smoothing(self.smoothing)
        self.changed.emit()
        self.marked.emit()

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
