"""Measure what a run's models are worth: by scores on target labels where there are any, by health without labels always.

Which checkpoint is the best one is decided by `core.evaluation.choice`.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property

import numpy as np

from core.errors import RunError
from core.evaluation.choice import early_warning
from core.evaluation.health import Health, choose, health_steps, label_shares
from core.evaluation.predictor import PredictionError, Predictor
from core.evaluation.scores import scores_of
from core.evaluation.scoring import evaluation_steps, likely_exchanged
from core.events import Evaluated, Event, HealthMeasured, Measuring, Model, Scores, Warned
from core.networks.build import Segmenter
from core.training.interruption import InterruptedByStop, Stopping, interruptible
from core.training.measurement import Measurement
from core.training.session import Session

logger = logging.getLogger(__name__)

EVALUATED_TOGETHER = 4  # images, memory allowing
REPORT_EVERY = 16  # images between two reports of the progress


class Judge:
    """Measure the models of a session. Every process of the run calls `measure` together; only the main one measures the health."""

    def __init__(self, session: Session, stopping: Stopping) -> None:
        self._session = session
        self._stopping = stopping

    @cached_property
    def _images(self) -> tuple[np.ndarray, ...]:
        return choose(self._session.listing.target)

    @cached_property
    def _label_shares(self) -> tuple[float, ...] | None:
        return label_shares(self._session.listing.source, self._session.listing.space)

    def measure(
        self, source_health: Health | None, *, source: bool = False
    ) -> Generator[Event, None, Measurement | None]:
        """Measure student and teacher, and yield the progress and what is found.

        Args:
            source_health: of the source-only model, where it is known.
            source: at the end of the source-only steps: the student alone is measured, as the source-only model.

        Returns:
            What was found; None where a stop came first.
        """
        session = self._session
        yield from session.estimate_statistics()
        judged, models = (Model.SOURCE if source else Model.TEACHER), session.models()
        scores: dict[Model, Scores] | None = {}
        health, stopped = None, False
        with interruptible(list(models.values()), self._stopping):
            if session.listing.evaluation:
                names = {Model.STUDENT: judged} if source else {model: model for model in models}
                scores = yield from self._scores({name: models[model] for model, name in names.items()})
                if scores is None:
                    return None
                for name, found in scores.items():
                    yield Evaluated(session.step, name, found)
                    if source and (words := likely_exchanged(found, session.listing.space.classes)):
                        yield Warned("classes_exchanged", words)
            if source or Model.TEACHER in models:
                try:
                    health = yield from self._health(judged, source_health)
                except InterruptedByStop:
                    stopped = True
        if session.group.any(stopped)[0]:
            return None
        measurement = Measurement(session.step, judged, scores, health)
        if health is not None:
            yield HealthMeasured(session.step, judged, health.row(), measurement.health_score)
            if source and session.config.training.steps and (words := early_warning(health)):
                yield Warned("health", words)
        return measurement

    # Scores ------------------------------------------------------------------------------------

    def _scores(self, models: Mapping[Model, Segmenter]) -> Generator[Event, None, dict[Model, Scores] | None]:
        """Score models on the labelled target images, which are read once for all; None where a stop came first.

        Each process takes its share of the images, and all get the scores of all. Several images at once may be too many
        where one is not, and a whole one too large where its crops are not.
        """
        session = self._session
        session.group.align(list(models.values()))
        for window, together in ((None, EVALUATED_TOGETHER), (None, 1), (session.config.training.crop_hw, 1)):
            confusions, short, stopped = [], False, False
            try:
                confusions = yield from self._confusions(
                    [self._predictor(m, window, together) for m in models.values()]
                )
            except InterruptedByStop:
                stopped = True
            except PredictionError as error:
                short = True
                logger.warning("not evaluated with window %s: %s", window, error)
            stopped, short = session.group.any(stopped, short)
            if stopped:
                return None
            if not short:
                totals = [session.group.sum(confusion) for confusion in confusions]
                space = session.listing.target_space
                return {
                    model: scores_of(total, space.classes, space.counted)
                    for model, total in zip(models, totals, strict=True)
                }
        raise RunError(
            "The device has too little memory to evaluate the model beside the training. Lower training.batch_size or "
            "training.crop_size, or leave data.target_labels empty."
        )

    def _confusions(self, predictors: Sequence[Predictor]) -> Generator[Event, None, list[np.ndarray]]:
        """Count (label, prediction) pairs per model over this process's share of the images."""
        session = self._session
        pairs = session.listing.evaluation[session.group.share.rank :: session.group.share.world]
        steps = evaluation_steps(predictors, pairs, session.listing.target_space, on_problem=session.warnings.append)
        while True:
            try:
                done, total = next(steps)
            except StopIteration as finished:
                return [np.array(scores.confusion) for scores in finished.value]
            if done % REPORT_EVERY == 0 or done == total:
                yield Measuring("scoring on the labelled target images", done, total)

    def _predictor(self, model: Segmenter, window: tuple[int, int] | None, together: int) -> Predictor:
        """Predict in the run's precision on its device."""
        compute = self._session.compute
        return Predictor(model, compute.device, window, batch_size=together, precision=compute.precision)

    # Health ------------------------------------------------------------------------------------

    def _health(self, judged: Model, source_health: Health | None) -> Generator[Event, None, Health | None]:
        """Measure without labels, in the main process; None where that is impossible. Raises InterruptedByStop."""
        session, training = self._session, self._session.config.training
        if not session.group.is_main or not session.listing.target or not self._images:
            return None
        try:
            steps = health_steps(
                session.network,
                session.models().get(Model.TEACHER),  # type: ignore[arg-type]
                self._images,
                session.config.mask,
                training.pseudo_label_threshold,
                self._label_shares,
                source_shares=None if judged is Model.SOURCE else self._shares_of(source_health),
                device=session.compute.device,
                precision=session.compute.precision,
                seed=training.seed,
            )
            while True:
                try:
                    done, total = next(steps)
                except StopIteration as finished:
                    return finished.value
                yield Measuring("measuring without labels", done, total)
        except (RuntimeError, ValueError) as error:  # a measurement is not worth a run
            logger.warning("health not measured: %s", error)
            session.warnings.append(Warned("health", f"The health could not be measured: {error}"))
            return None

    def _shares_of(self, health: Health | None) -> tuple[float, ...] | None:
        """Return its class shares; None where they are unknown or belong to other classes."""
        if health is None or len(health.shares) != self._session.listing.space.num_classes:
            return None
        return health.shares
