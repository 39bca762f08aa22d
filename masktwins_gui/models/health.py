"""How the models do without labels on the new camera: the readings of a run, their curves, the verdict at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from core.evaluation.choice import PREFIX, TERMS
from masktwins_gui.models.curves import CurveStore

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


def readings(rows: Sequence[tuple[int, Mapping[str, float]]], source_steps: int) -> list[Reading]:
    """The readings among (step, numbers by column); runs of earlier versions have none.

    Args:
        source_steps: the row at their end is the source-only model's.
    """
    column = PREFIX + SCORE
    return [
        reading(step, numbers, numbers[column], is_source=step <= source_steps)
        for step, numbers in rows
        if math.isfinite(numbers.get(column, math.nan))
    ]


class HealthModel(QObject):
    """The newest reading of the source-only model and of the teacher, all of them as curves, and the verdict."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.curves = CurveStore(smoothing=0.0, parent=self)
        self.source: Reading | None = None
        self.adapted: Reading | None = None
        self.verdict = ""

    def add(self, found: Iterable[Reading]) -> None:
        points = []
        for one in found:
            if one.is_source:
                self.source = one
            else:
                self.adapted = one
            known = {SCORE: one.score, **one.values}
            points.append((one.step, {name: known[name] for name in CURVES if name in known}))
        if points:
            self.curves.add(points)
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
