"""What pages may ask of the program's threads, as protocols: pages know neither the controller nor the workers.

Every callback comes in the GUI thread, and none comes after `cancel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from core.dataset.folders import Pair
from core.evaluation.compare import Comparison, Ranked
from core.events import Model
from masktwins_gui.models.exports import ExportRow

T = TypeVar("T")
Done = Callable[[T], None]
Failed = Callable[[str, str], None]  # what happened in one sentence, details to copy
Progress = Callable[[int, int], None]  # done, total
Colour = tuple[int, int, int]


class TaskContext(Protocol):
    """Passed to a task's function, in its thread."""

    def progress(self, done: int, total: int) -> None: ...

    def cancelled(self) -> bool: ...

    def tell(self, item: Any) -> None: ...


class Handle(Protocol):
    def cancel(self) -> None: ...


class Jobs(Protocol):
    """Runs work that needs no torch on a thread pool. A new task replaces the one with the same key."""

    def submit(
        self,
        key: str,
        function: Callable[[TaskContext], T],
        done: Done[T],
        failed: Failed | None = None,
        progress: Progress | None = None,
    ) -> Handle: ...


class ModelKind(StrEnum):
    """Where a model's predictions come from."""

    WEIGHTS = "weights"  # of a run, a checkpoint, a bundle or a file
    STARTING = "starting"  # the weights that a run started from
    PICTURES = "pictures"  # a folder of predicted PNGs


@dataclass(frozen=True)
class ModelChoice:
    """A model to look at.

    path: a run, a checkpoint, a bundle or a weights file; with PICTURES a folder of PNGs named as the images.
    checkpoint: in a run: last, best or an adaptation step.
    newest: what last and best stand for now, so that a run that trains on gets new predictions. Two choices that differ
        in it or the title alone are the same entry of a list.
    """

    path: Path
    which: Model = Model.TEACHER
    checkpoint: str = "last"
    title: str = field(default="", compare=False)
    kind: ModelKind = ModelKind.WEIGHTS
    newest: str = field(default="", compare=False)


@dataclass(frozen=True)
class Classes:
    """What a model tells apart."""

    names: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()


class Stage(StrEnum):
    """What a prediction waits for, told as it goes along."""

    LIBRARY = "library"  # torch is being loaded, once per start of the program
    MODEL = "model"
    IMAGE = "image"


@dataclass(frozen=True)
class PredictRequest:
    """`image`: RGB (H, W, 3) uint8. `ahead`: nobody waits for it yet, so everything else comes first."""

    image: np.ndarray
    model: ModelChoice
    ahead: bool = False


@dataclass(frozen=True)
class Predicted:
    """`place`: the device in words, and why not another."""

    ranked: Ranked
    classes: Classes
    place: str


@dataclass(frozen=True)
class CompareRequest:
    """Compare two models on many images."""

    pairs: tuple[Pair, ...]
    first: ModelChoice
    second: ModelChoice
    classes: Classes  # of the project, where neither model names any
    run: Path | None  # whose label space counts, where it has one
    label_space: str
    labels: tuple[Path, ...]  # all the label files, to recognise their encoding


@dataclass(frozen=True)
class ImageFacts:
    """Two models on one image, in numbers."""

    image: Path
    comparison: Comparison
    brightness: float  # of the image, mean over the pixels, 0..1


@dataclass(frozen=True)
class Compared:
    """The end of a comparison of many images, whose classes and facts were told before."""

    place: str
    left_out: tuple[str, ...]  # why an image is missing, in sentences


@dataclass(frozen=True)
class ExportRequest:
    model: ModelChoice
    out: Path
    formats: tuple[str, ...]
    images: tuple[Path, ...]  # real target images, a few of which are compared on


@dataclass(frozen=True)
class Exported:
    """A finished bundle. `licences`: of code and starting weights. `place`: where the comparison was computed."""

    rows: tuple[ExportRow, ...]
    licences: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class PredictFilesRequest:
    """Write predictions of an image, a folder or a video to disk. `kind`: ids, colours or overlay."""

    model: ModelChoice
    source: Path
    output: Path
    kind: str


@dataclass(frozen=True)
class FilesWritten:
    """`kept`: pictures that an earlier call had written."""

    output: Path
    written: int
    kept: int
    left_out: tuple[str, ...]
    place: str


class Inference(Protocol):
    """Runs what needs torch in one thread; a prediction that somebody waits for goes between two images of a long task."""

    def predict(
        self, request: PredictRequest, done: Done[Predicted], failed: Failed, stage: Done[Stage] | None = None
    ) -> Handle: ...

    def compare(
        self,
        request: CompareRequest,
        done: Done[Compared],
        failed: Failed,
        progress: Progress,
        found: Done[ImageFacts | Stage | Classes],
    ) -> Handle: ...

    def export(self, request: ExportRequest, done: Done[Exported], failed: Failed, progress: Progress) -> Handle: ...

    def predict_files(
        self, request: PredictFilesRequest, done: Done[FilesWritten], failed: Failed, progress: Progress
    ) -> Handle: ...
