"""What a measurement of a run's models has found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.evaluation.choice import score, worth
from core.evaluation.health import COLUMNS, Health
from core.events import Model, Scores

COLUMNS_OF_A_ROW = ("source_miou", "student_miou", "teacher_miou", "health_score", *COLUMNS)


@dataclass(frozen=True)
class Measurement:
    """Hold scores on the labelled target images, if there are any, and health without labels, if it could be measured."""

    step: int
    judged: Model  # whose worth and health these are: the source-only model at the end of its steps, then the teacher
    scores: Mapping[Model, Scores]
    health: Health | None

    @property
    def health_score(self) -> float:
        return math.nan if self.health is None else score(self.health)

    @property
    def worth(self) -> float:
        """Return how good the judged model is (see `core.evaluation.choice`); NaN where nothing is known."""
        scores = self.scores.get(self.judged)
        return worth(math.nan if scores is None else scores.miou, self.health_score)

    def row(self) -> dict[str, float]:
        """Return cells of metrics.csv by column name."""
        cells = {f"{model.value}_miou": scores.miou for model, scores in self.scores.items()}
        return cells if self.health is None else {**cells, **self.health.row(), "health_score": self.health_score}


def health_to_json(health: Health) -> dict[str, Any]:
    """Convert a health to JSON, which has no NaN: what is unknown becomes null."""
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(health).items()}


def health_from_json(values: Mapping[str, Any]) -> Health:
    """Read a health that another version may have written: fields it did not know are unknown."""
    found = {field.name: values.get(field.name) for field in fields(Health)}
    known: dict[str, Any] = {name: v if isinstance(v, int | float) else math.nan for name, v in found.items()}
    return Health(**{**known, "shares": tuple(values.get("shares") or ())})
