"""Score a model's predictions against labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_image, read_label
from core.evaluation.metrics import ConfusionMatrix
from core.evaluation.predictor import Predictor
from core.events import Scores, Warned
from core.labels import LabelSpace

Progress = Callable[[int, int], None]  # done, total
Cancelled = Callable[[], bool]
OnProblem = Callable[[Warned], None]

logger = logging.getLogger(__name__)


def evaluate(
    predictor: Predictor,
    pairs: Sequence[Pair],
    space: LabelSpace,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    on_problem: OnProblem | None = None,
) -> Scores:
    """Score predictions against labels, in percent, at the labels' full size.

    Pairs without a label are passed over; one that cannot be read, or whose sizes differ, is reported and left out.
    When cancelled, the scores are those of the pairs so far; without any pair they are NaN.

    Raises:
        ValueError: the label space has another number of classes than the model.
        PredictionError: the device's memory does not suffice.
    """
    if space.num_classes != predictor.segmenter.num_classes:
        raise ValueError(
            f"The labels have {space.num_classes} classes, the model {predictor.segmenter.num_classes}: "
            "choose the label space that the model was trained with."
        )
    matrix = ConfusionMatrix(space.num_classes, predictor.device)
    labelled = [pair for pair in pairs if pair.label is not None]
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    for done, pair in enumerate(labelled, start=1):
        if cancelled is not None and cancelled():
            break
        if (sample := _read_pair(pair, space, on_problem)) is not None:
            if waiting and waiting[0][0].shape != sample[0].shape:
                _score(predictor, matrix, waiting)
            waiting.append(sample)
        if len(waiting) == predictor.batch_size:
            _score(predictor, matrix, waiting)
        if progress is not None:
            progress(done, len(labelled))
    if waiting:
        _score(predictor, matrix, waiting)
    return matrix.scores(space.classes)


def _score(predictor: Predictor, matrix: ConfusionMatrix, waiting: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Count the waiting samples, all of one size, and forget them."""
    matrix.update(np.stack([label for _, label in waiting]), predictor.ids([image for image, _ in waiting]))
    waiting.clear()


def _read_pair(pair: Pair, space: LabelSpace, on_problem: OnProblem | None) -> tuple[np.ndarray, np.ndarray] | None:
    assert pair.label is not None
    try:
        image, label = read_image(pair.image), read_label(pair.label, space)
    except (ReadError, OSError) as error:
        return report(on_problem, "unreadable", f"{error} It is left out.", pair.image)
    if image.shape[:2] != label.shape:
        sizes = f"{image.shape[1]} × {image.shape[0]}", f"{label.shape[1]} × {label.shape[0]}"
        message = f"{pair.image} is {sizes[0]} pixels, its label {sizes[1]}. It is left out."
        return report(on_problem, "size_mismatch", message, pair.image)
    return image, label


def report(on_problem: OnProblem | None, code: str, message: str, path: Path) -> None:
    logger.warning("%s", message)
    if on_problem is not None:
        on_problem(Warned(code, message, path))
