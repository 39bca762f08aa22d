"""Score a model's predictions against labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_image, read_label_and_unknown
from core.dataset.unknown import UnknownValues
from core.evaluation.metrics import ConfusionMatrix
from core.evaluation.predictor import Predictor
from core.events import Scores, Warned
from core.labels import LabelSpace
from core.loading.prefetch import Prefetcher, default_threads

Progress = Callable[[int, int], None]  # done, total
Cancelled = Callable[[], bool]
OnProblem = Callable[[Warned], None]

EXCHANGED = 0.5  # share of a class's pixels that are predicted as the other

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

    Raises as `evaluate_all` does, and takes the same arguments for one model.
    """
    return evaluate_all([predictor], pairs, space, progress, cancelled, on_problem)[0]


def evaluate_all(
    predictors: Sequence[Predictor],
    pairs: Sequence[Pair],
    space: LabelSpace,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    on_problem: OnProblem | None = None,
) -> list[Scores]:
    """Score several models on the same images. Takes and raises what `evaluation_steps` does, in one call.

    Args:
        progress: called with (images done, images in all).
    """
    steps = evaluation_steps(predictors, pairs, space, cancelled, on_problem)
    while True:
        try:
            done, total = next(steps)
        except StopIteration as finished:
            return finished.value
        if progress is not None:
            progress(done, total)


def evaluation_steps(
    predictors: Sequence[Predictor],
    pairs: Sequence[Pair],
    space: LabelSpace,
    cancelled: Cancelled | None = None,
    on_problem: OnProblem | None = None,
) -> Generator[tuple[int, int], None, list[Scores]]:
    """Score several models on the same images, each image read once and ahead of the models.

    Yields (images done, images in all) after each image, and returns the scores of each model. Close it to break it off.

    Pairs without a label are not counted. A pair that cannot be read, or whose sizes differ, is reported and left out.
    After a cancellation the scores are those of the pairs so far; without any pair they are NaN. Pixels whose values the
    label space does not know count nowhere; the scores say which values these are, and `on_problem` is told.

    Raises:
        ValueError: the label space has another number of classes than a model.
        PredictionError: the device's memory does not suffice.
    """
    for predictor in predictors:
        if space.num_classes != predictor.segmenter.num_classes:
            raise ValueError(
                f"The labels have {space.num_classes} classes, the model {predictor.segmenter.num_classes}: "
                "choose the label space that the model was trained with."
            )
    counts = _Counts(predictors, space)
    labelled = [pair for pair in pairs if pair.label is not None]
    _ = space.table  # cached here, before several threads ask for it at once
    with Prefetcher(lambda pair: _read_pair(pair, space), labelled, default_threads()) as samples:
        for done in range(1, len(labelled) + 1):
            if cancelled is not None and cancelled():
                break
            sample = next(samples)
            if isinstance(sample, Warned):
                report(on_problem, sample)
            else:
                counts.add(sample)
            yield done, len(labelled)
    if counts.unknown.counts and counts.unknown.example is not None:
        report(on_problem, Warned("unknown_values", counts.unknown.words(), counts.unknown.example))
    return counts.scores()


class _Counts:
    """Collects images of one size until a batch is full, and counts what each model predicts for them."""

    def __init__(self, predictors: Sequence[Predictor], space: LabelSpace) -> None:
        self._predictors = predictors
        self._space = space
        self.unknown = UnknownValues(space)
        self._matrices = [ConfusionMatrix(space.num_classes, predictor.device) for predictor in predictors]
        self._together = min(predictor.batch_size for predictor in predictors)
        self._images: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, sample: _Sample) -> None:
        image, label = sample.image, sample.label
        self.unknown.add(sample.path, label.size, sample.unknown)
        if self._images and self._images[0].shape != image.shape:
            self._count()
        self._images.append(image)
        self._labels.append(label)
        if len(self._images) == self._together:
            self._count()

    def _count(self) -> None:
        labels = np.stack(self._labels)
        for predictor, matrix in zip(self._predictors, self._matrices, strict=True):
            matrix.update(labels, predictor.ids(self._images))
        self._images, self._labels = [], []

    def scores(self) -> list[Scores]:
        """Count what is left and return the scores of each model. Waits for the device."""
        if self._images:
            self._count()
        scores = (matrix.scores(self._space.classes, self._space.counted) for matrix in self._matrices)
        return [replace(one, unknown=self.unknown.shares()) for one in scores]


class _Sample(NamedTuple):
    image: np.ndarray  # RGB uint8 (H, W, 3)
    label: np.ndarray  # ids uint8 (H, W)
    unknown: Mapping[int, int]  # pixels by value that the label space does not know
    path: Path  # of the label


def _read_pair(pair: Pair, space: LabelSpace) -> _Sample | Warned:
    """Read an image and its label, or say why they cannot be used. Called by the threads that read ahead."""
    assert pair.label is not None
    try:
        image = read_image(pair.image)
        label, unknown = read_label_and_unknown(pair.label, space)
    except (ReadError, OSError) as error:
        return Warned("unreadable", f"{error} It is left out.", pair.image)
    if image.shape[:2] != label.shape:
        sizes = f"{image.shape[1]} × {image.shape[0]}", f"{label.shape[1]} × {label.shape[0]}"
        return Warned(
            "size_mismatch", f"{pair.image} is {sizes[0]} pixels, its label {sizes[1]}. It is left out.", pair.image
        )
    return _Sample(image, label, unknown, pair.label)


def report(on_problem: OnProblem | None, problem: Warned) -> None:
    """Log a problem, and pass it on where somebody listens."""
    logger.warning("%s", problem.message)
    if on_problem is not None:
        on_problem(problem)


def likely_exchanged(scores: Scores, names: Sequence[str]) -> str:
    """Say which two classes are probably exchanged between model and labels; "" for none.

    Two classes are, where most pixels of each are predicted as the other.
    """
    matrix = np.array(scores.confusion, float)
    rows = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    for i in range(len(rows)):
        for j in range(i):
            if min(rows[i, j], rows[j, i]) > EXCHANGED and min(matrix[i].sum(), matrix[j].sum()) > 0:
                return (
                    f"Most pixels labelled {names[i]!r} are predicted as {names[j]!r}, and the reverse. The two are probably "
                    "exchanged in the labels: exchange their values in a label space for these labels (masktwins labels DIR "
                    'writes a draft; for masks of 0 and 255 the built-in one is "binary_inverted").'
                )
    return ""
