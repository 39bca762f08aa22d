"""What the inference thread does with its models. Torch-bearing modules are imported inside the functions it calls."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_label
from core.evaluation.compare import Ranked, compare
from core.evaluation.errors import PredictionError
from core.labels import LabelSpace
from core.memory import is_out_of_memory
from core.runs.folder import RunFolder
from masktwins_gui.models.exports import ExportRow
from masktwins_gui.models.look import LabelSource
from masktwins_gui.models.pictures import brightness, read_pixels, read_predicted
from masktwins_gui.models.services import (
    Classes,
    Compared,
    CompareRequest,
    Exported,
    ExportRequest,
    FilesWritten,
    ImageFacts,
    ModelChoice,
    ModelKind,
    Predicted,
    PredictFilesRequest,
    PredictRequest,
    Stage,
    TaskContext,
)

if TYPE_CHECKING:
    from core.evaluation.viewing import Viewer
    from core.export.bundle import ExportReport
    from core.networks.store import LoadedModel

KEPT_MODELS = 4
LetPass = Callable[[], bool]  # called between two images; whether the task was cancelled
Say = Callable[[Stage], None]


@dataclass(frozen=True)
class Opened:
    """A model that is ready to predict."""

    model: LoadedModel
    viewer: Viewer

    @property
    def classes(self) -> Classes:
        return Classes(tuple(self.model.classes), tuple(self.model.palette))


class Models:
    """The models used last. Inference thread only.

    They are told apart by their weights file and its time: a run's status changes every few seconds, its checkpoints never.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], Opened] = OrderedDict()

    def get(self, choice: ModelChoice, say: Say) -> Opened:
        if "torch" not in sys.modules:
            say(Stage.LIBRARY)
        from core.networks.store import locate

        weights = starting_weights(choice.path) if choice.kind is ModelKind.STARTING else choice.path
        weights = locate(weights, choice.which, choice.checkpoint)
        status = weights.stat()
        key = (weights, status.st_mtime_ns, status.st_size)
        if key not in self._kept:
            say(Stage.MODEL)
            self._kept[key] = _open(weights)
            while len(self._kept) > KEPT_MODELS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def starting_weights(run: Path) -> Path:
    """The weights that a run started from."""
    return Path(RunFolder(run).config().network.weights)


def _open(weights: Path) -> Opened:
    from core.evaluation.viewing import Viewer, place_of
    from core.networks.origin import origin_of
    from core.networks.store import load_model

    model, origin = load_model(weights), origin_of(weights)
    return Opened(model, Viewer(model.segmenter, place_of(origin.config.training if origin else None)))


def predict(request: PredictRequest, models: Models, task: TaskContext) -> Predicted:
    """Predict one image with one model; cancelled between two windows of a large one."""
    opened = models.get(request.model, task.tell)
    task.tell(Stage.IMAGE)
    ranked = opened.viewer.rank(request.image, task.cancelled)
    return Predicted(ranked, opened.classes, opened.viewer.place.note)


# Many images ---------------------------------------------------------------------------------------


def compare_all(request: CompareRequest, models: Models, task: TaskContext, let_pass: LetPass) -> Compared:
    """Compare two models image by image; each image's facts are told as soon as they are known.

    Raises:
        ValueError: the models tell different numbers of classes apart.
    """
    sides = [_Side(choice, models, task) for choice in (request.first, request.second)]
    known = [side.classes for side in sides if side.classes.names] or [request.classes]
    if len({len(classes.names) for classes in known}) > 1:
        numbers = " and ".join(str(len(classes.names)) for classes in known)
        raise ValueError(f"The models tell {numbers} classes apart: choose two that were trained on the same classes.")
    num_classes = len(known[-1].names)
    task.tell(known[-1])
    space = LabelSource(request.run, request.label_space, request.labels).space() if request.labels else None
    if space is not None and space.num_classes != num_classes:
        raise ValueError(
            f"The labels have {space.num_classes} classes, the models {num_classes}: "
            "choose the label space that the models were trained with."
        )
    left_out = []
    for done, pair in enumerate(request.pairs, start=1):
        if let_pass():
            break
        try:
            task.tell(_facts(pair, sides, space, num_classes, task))
        except (ReadError, PredictionError, OSError) as error:
            if task.cancelled():
                break
            left_out.append(str(error))
        task.progress(done, len(request.pairs))
    return Compared(sides[-1].place, tuple(left_out))


class _Side:
    """One of two models: weights, or a folder of pictures that it predicted."""

    def __init__(self, choice: ModelChoice, models: Models, task: TaskContext) -> None:
        self._choice, self._task = choice, task
        self._opened = None if choice.kind is ModelKind.PICTURES else models.get(choice, task.tell)
        self.classes = self._opened.classes if self._opened else Classes()

    @property
    def place(self) -> str:
        return self._opened.viewer.place.note if self._opened else ""

    def rank(self, pair: Pair, image: np.ndarray) -> Ranked:
        if self._opened is None:
            return read_predicted(self._choice.path, pair.name, (image.shape[0], image.shape[1]))
        return self._opened.viewer.rank(image, self._task.cancelled)


def _facts(pair: Pair, sides: list[_Side], space: LabelSpace | None, num_classes: int, task: TaskContext) -> ImageFacts:
    image = read_pixels(pair)
    label = read_label(pair.label, space) if pair.label is not None and space is not None else None
    first, second = (side.rank(pair, image) for side in sides)
    return ImageFacts(pair.image, compare(first, second, label, num_classes), brightness(image))


# To disk -------------------------------------------------------------------------------------------


def export(request: ExportRequest, task: TaskContext, let_pass: LetPass) -> Exported:
    """Write a bundle of the model as its run made it: with the run's settings at that step and the scores it measured."""
    from core.evaluation.viewing import CPU, place_of
    from core.export.bundle import Format
    from core.export.bundle import export as write
    from core.networks.origin import origin_of
    from core.networks.store import load_model

    model = load_model(request.model.path, request.model.which, request.model.checkpoint)
    origin = origin_of(model.path)
    config = origin.config if origin else None
    scores = origin.scores() if origin else None
    source = origin.source_weights() if origin else None
    before = load_model(source) if source else None
    formats = [Format(name) for name in request.formats]

    def write_on(device: str) -> ExportReport:
        return write(
            model, request.out, formats, request.images, task.progress, let_pass, config, scores, device, before
        )

    place = place_of(config.training if config else None)
    try:
        report = write_on(place.device)
    except (RuntimeError, MemoryError) as error:
        if place.device == CPU.device or not is_out_of_memory(error):
            raise
        place = replace(CPU, note=f"CPU: {place.device} has too little free memory")
        report = write_on(place.device)
    rows = []
    for form, parity in report.parity.items():
        path = report.path / f"model.{form.value}"
        rows.append(
            ExportRow(path.name, path.stat().st_size, parity.largest_difference, parity.equal_pixels, parity.samples)
        )
    licences = (model.description.code_licence, model.description.weights_licence)
    return Exported(tuple(rows), licences, place.note)


def predict_files(request: PredictFilesRequest, models: Models, task: TaskContext, let_pass: LetPass) -> FilesWritten:
    """Write predictions to disk; pictures that an earlier call wrote with the same weights are kept."""
    from core.evaluation.files import OutputKind, digest_of, predict_path

    opened = models.get(request.model, lambda stage: None)
    outcome = predict_path(
        opened.viewer,
        request.source,
        request.output,
        OutputKind(request.kind),
        opened.classes.palette,
        progress=task.progress,
        cancelled=let_pass,
        made_by=digest_of(opened.model.path),
    )
    left_out = tuple(problem.message for problem in outcome.problems)
    return FilesWritten(outcome.output, outcome.written, outcome.kept, left_out, opened.viewer.place.note)
