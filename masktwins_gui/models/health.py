"""How the models do without labels on the new camera: the readings of a run, their curves, the verdict at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.evaluation.choice import PREFIX, TERMS
from masktwins_gui.models.curves import CurveStore, Mark, Series, TrainingTime

SCORE = "score"
DESCRIBED = ("variety", "drift", "twin_disagreement", "agreement", "confidence", "entropy")
CURVES = tuple(dict.fromkeys((SCORE, *TERMS, *DESCRIBED)))  # the score, its terms, and what describes without counting


@dataclass(frozen=True)
class Reading:
    """One measurement; `values` are the fields of `core.evaluation.health.Health` that are known, by name."""

    step: int
    is_source: bool  # of the source-only model, else of the teacher
    score: float
    values: Mapping[str, float]

    @property
    def collapsed(self) -> bool:
        return bool(self.values.get("collapsed", 0))


def reading(step: int, columns: Mapping[str, float], score: float, *, is_source: bool) -> Reading:
    """Make a reading of the columns of metrics.csv."""
    values = {n.removeprefix(PREFIX): v for n, v in columns.items() if n.startswith(PREFIX) and math.isfinite(v)}
    values.pop(SCORE, None)
    return Reading(step, is_source, score, values)


def readings(columns: Mapping[str, np.ndarray], source_steps: int) -> list[Reading]:
    """Return the readings among the columns of metrics.csv; runs of earlier versions have none.

    Args:
        columns: numbers by column name, NaN where a cell is empty.
        source_steps: the row at their end is the source-only model's.
    """
    scores = columns.get(PREFIX + SCORE, np.empty(0))
    found = []
    for row in np.flatnonzero(np.isfinite(scores)):
        step = int(columns["step"][row])
        numbers = {name: float(column[row]) for name, column in columns.items()}
        found.append(reading(step, numbers, float(scores[row]), is_source=step <= source_steps))
    return found


def health_points(found: Iterable[Reading]) -> list[tuple[int, dict[str, float]]]:
    """Return what the curves show of readings: (step, values by curve)."""
    points = []
    for one in found:
        known = {SCORE: one.score, **one.values}
        points.append((one.step, {name: known[name] for name in CURVES if name in known}))
    return points


class HealthModel(QObject):
    """The newest reading of the source-only model and of the teacher, all of them as curves, and the verdict."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None, *, time: TrainingTime | None = None) -> None:
        super().__init__(parent)
        self.curves = CurveStore(smoothing=0.0, time=time, parent=self)
        self.source: Reading | None = None
        self.adapted: Reading | None = None
        self.verdict = ""

    def add(self, found: Iterable[Reading]) -> None:
        """Append readings, and their points to the curves."""
        new = list(found)
        if new:
            self.curves.add(health_points(new))
            self._remember(new)

    def take(self, found: Sequence[Reading], series: Mapping[str, Series], marks: Iterable[Mark], verdict: str) -> None:
        """Replace everything by what was read from a run's folder."""
        self.source = self.adapted = None
        self.verdict = verdict
        self.curves.take(series, marks)
        self._remember(found)

    def _remember(self, found: Iterable[Reading]) -> None:
        for one in found:
            if one.is_source:
                self.source = one
            else:
                self.adapted = one
        self.changed.emit()

    def set_verdict(self, verdict: str) -> None:
        """The sentence of a run's result; empty where there is none."""
        self.verdict = verdict
        self.changed.emit()

    def clear(self) -> None:
        self.source = self.adapted = None
        self.verdict = ""
        self.curves.clear()
        self.changed.emit()
