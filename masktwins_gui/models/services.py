"""What pages may ask of the program's threads, as protocols: pages know neither the controller nor the workers.

Every callback comes in the GUI thread, and none comes after `cancel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from core.configuration.config import RunConfig
from core.events import Model, Scores
from masktwins_gui.models.exports import ExportRow

T = TypeVar("T")
Done = Callable[[T], None]
Failed = Callable[[str, str], None]  # what happened in one sentence, details to copy
Progress = Callable[[int, int], None]  # done, total


class TaskContext(Protocol):
    """Passed to a task's function, in its thread."""

    def progress(self, done: int, total: int) -> None: ...

    def cancelled(self) -> bool: ...


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


@dataclass(frozen=True)
class ModelChoice:
    """One model of one run: `checkpoint` is last, best or an adaptation step."""

    path: Path
    which: Model
    checkpoint: str = "last"
    title: str = ""


@dataclass(frozen=True)
class Prediction:
    """An image with what two models say about it; all (H, W), ids uint8."""

    image: np.ndarray
    first: np.ndarray
    second: np.ndarray
    label: np.ndarray | None
    palette: tuple[tuple[int, int, int], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class PredictRequest:
    image: Path
    label: Path | None
    first: ModelChoice
    second: ModelChoice
    label_space: str = "auto"
    labels: tuple[Path, ...] = ()  # all the label files, to recognise their encoding
    device: str = "cpu"


@dataclass(frozen=True)
class MeasureRequest:
    """Evaluate two models on labelled images."""

    images: Path
    labels: Path
    first: ModelChoice
    second: ModelChoice
    label_space: str = "auto"
    device: str = "cpu"


@dataclass(frozen=True)
class ExportRequest:
    model: ModelChoice
    out: Path
    formats: tuple[str, ...]
    images: tuple[Path, ...]
    config: RunConfig | None = None


class Inference(Protocol):
    """Runs what needs torch, one thing after the other, in one thread."""

    def predict(self, request: PredictRequest, done: Done[Prediction], failed: Failed) -> Handle: ...

    def measure(
        self, request: MeasureRequest, done: Done[tuple[Scores, Scores]], failed: Failed, progress: Progress
    ) -> Handle: ...

    def export(
        self, request: ExportRequest, done: Done[tuple[ExportRow, ...]], failed: Failed, progress: Progress
    ) -> Handle: ...
