"""What a run's models are worth: scores on target labels where there are any, health without labels always, and which
checkpoint is the best so far."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from core.evaluation.choice import early_warning, score, verdict
from core.evaluation.health import COLUMNS, Health, choose, label_shares, measure_health
from core.evaluation.scoring import likely_exchanged
from core.events import Evaluated, Event, HealthMeasured, Model, Warned
from core.runs.folder import RunFolder
from core.training.session import Session

LOG = logging.getLogger(__name__)

COLUMNS_OF_A_ROW = ("source_miou", "student_miou", "teacher_miou", "health_score", *COLUMNS)


class Judge:
    """Measures the models of a session.

    The best checkpoint is the one with the highest mIoU of its teacher, or, without target labels, of the highest score of
    its health (`core.evaluation.choice`). The source-only model takes part in both.
    """

    def __init__(self, session: Session, run: RunFolder) -> None:
        self._session = session
        self._run = run
        self._images: tuple[Any, ...] | None = None  # of the health; read when first needed
        self._shares: tuple[float, ...] | None = None
        self.row: dict[str, float] = {}  # cells of metrics.csv found since they were last taken
        self.worth = math.nan  # of the last measurement
        self.improved = False  # whether the last measurement was the best so far

    def measure(self, *, source: bool = False) -> Iterator[Event]:
        """Measure student and teacher; at the end of the source-only steps (`source`) the student alone."""
        self._session.settle()
        found = self._session.models()
        worth = math.nan
        if self._session.listing.evaluation:
            models = [m for m in ((Model.STUDENT,) if source else (Model.STUDENT, Model.TEACHER)) if m in found]
            for model, scores in zip(models, self._session.evaluate([found[m] for m in models]), strict=True):
                name = Model.SOURCE if source else model
                self.row[f"{name.value}_miou"] = scores.miou
                self._keep("scores", name, scores.to_json())
                yield Evaluated(self._session.step, name, scores)
                if source and (words := likely_exchanged(scores, self._session.listing.space.classes)):
                    yield Warned("classes_exchanged", words)
                worth = scores.miou  # NaN where no pixel is labelled
        judged = Model.SOURCE if source else Model.TEACHER
        health = self._health(judged) if source or Model.TEACHER in found else None
        if health is not None:
            value = score(health)
            self.row |= {**health.row(), "health_score": value}
            yield HealthMeasured(self._session.step, judged, health.row(), value)
            worth = value if math.isnan(worth) else worth
            if source and self._session.config.training.steps and (words := early_warning(health)):
                yield Warned("health", words)
        best = self._session.best
        self.worth = worth
        self.improved = not math.isnan(worth) and (best is None or worth > best)

    def verdict(self) -> str:
        """Whether the adapted model looks better than the source-only one without labels, in words; empty if unknown."""
        found = self._run.status().get("health", {})
        healths = [found.get(model.value) for model in (Model.SOURCE, Model.TEACHER)]
        if any(health is None for health in healths):
            return ""
        return verdict(*(_read(health) for health in healths))

    def _health(self, model: Model) -> Health | None:
        session = self._session
        if not session.group.is_main or not session.listing.target:
            return None
        if self._images is None:
            self._images = choose(session.listing.target)
            self._shares = label_shares(session.listing.source, session.listing.space)
        if not self._images:
            return None
        of_source = self._run.status().get("health", {}).get(Model.SOURCE.value)
        training = session.config.training
        try:
            health = measure_health(
                session.network,
                session.models().get(Model.TEACHER),  # type: ignore[arg-type]
                self._images,
                session.config.mask,
                training.pseudo_label_threshold,
                self._shares,
                source_shares=of_source["shares"] if of_source and model is not Model.SOURCE else None,
                device=session.compute.device,
                precision=session.compute.precision,
                seed=training.seed,
            )
        except (RuntimeError, ValueError) as error:  # a measurement is not worth a run
            LOG.warning("health not measured: %s", error)
            session.warnings.append(Warned("health", f"The health could not be measured: {error}"))
            return None
        self._keep("health", model, _written(health))
        return health

    def _keep(self, group: str, model: Model, value: dict[str, Any]) -> None:
        self._run.note_status(**{group: {**self._run.status().get(group, {}), model.value: value}})


def _written(health: Health) -> dict[str, Any]:
    """JSON has no NaN."""
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(health).items()}


def _read(values: dict[str, Any]) -> Health:
    """Another version's health may know other fields: what is missing is not known."""
    found = {field.name: values.get(field.name) for field in fields(Health)}
    known: dict[str, Any] = {name: math.nan if v is None else v for name, v in found.items()}
    return Health(**known)
