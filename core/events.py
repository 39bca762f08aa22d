"""What the engine says while it works, and how it is told to pause, resume, stop or change a setting.

Events hold plain numbers, strings, paths and owned uint8 arrays: no tensors. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np


class Phase(StrEnum):
    SOURCE = "source"  # source-only steps
    ADAPT = "adapt"  # steps with both cameras


class Model(StrEnum):
    """The models a run leaves."""

    TEACHER = "teacher"
    STUDENT = "student"
    SOURCE = "source"  # the student at the end of the source-only steps


@dataclass(frozen=True)
class Preparing:
    """Something that takes a while before the first step, in words."""

    message: str


@dataclass(frozen=True)
class Measuring:
    """Progress of something that takes a while between two steps, in words: `done` of `total` images or passes."""

    message: str
    done: int
    total: int


@dataclass(frozen=True)
class RunStarted:
    run: Path
    source_steps: int
    total_steps: int  # source-only and adaptation steps together
    first_step: int  # > 0 when resumed
    device: str
    device_reason: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class PhaseStarted:
    phase: Phase
    step: int


@dataclass(frozen=True)
class StepDone:
    """One row of metrics.csv. `step` counts finished steps, source-only ones included; losses are means since the last row."""

    step: int
    phase: Phase
    losses: Mapping[str, float]  # keys of LOSS_NAMES; absent where the work is not done
    learning_rate: float
    seconds_per_step: float
    images_per_second: float
    seconds_left: float
    memory_gib: float


LOSS_NAMES = ("total", "source", "feature_distance", "mix", "twins", "consistency")


@dataclass(frozen=True)
class Scores:
    """Segmentation quality against labels, in percent. Classes without a pixel in labels and prediction are NaN."""

    miou: float
    pixel_accuracy: float
    per_class: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...]  # [label][prediction], pixels
    unknown: Mapping[str, float] = field(
        default_factory=dict
    )  # share of the labels' pixels by value without a meaning, 0..1

    def to_json(self) -> dict[str, Any]:
        """JSON has no NaN: a class without pixels is null. Unknown values of the labels are told where there are any."""
        unknown = {"unknown_values": dict(self.unknown)} if self.unknown else {}
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "per_class": {name: _number(value) for name, value in self.per_class.items()},
            "confusion": [list(row) for row in self.confusion],
            **unknown,
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any] | None) -> Scores | None:
        """Read what `to_json` gave; None where that is absent."""
        if not stored:
            return None
        per_class = {str(name): _value(cell) for name, cell in stored["per_class"].items()}
        confusion = tuple(tuple(int(n) for n in row) for row in stored.get("confusion") or ())
        return Scores(_value(stored["miou"]), _value(stored["pixel_accuracy"]), per_class, confusion)


def _value(stored: float | None) -> float:
    return math.nan if stored is None else float(stored)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


@dataclass(frozen=True)
class Evaluated:
    step: int
    model: Model
    scores: Scores


@dataclass(frozen=True)
class HealthMeasured:
    """What can be told of a model without labels: the fields of `core.evaluation.health.Health` by metrics.csv column."""

    step: int
    model: Model  # teacher, or source at the end of the source-only steps
    values: Mapping[str, float]
    score: float  # higher is better, see `core.evaluation.choice`


@dataclass(frozen=True)
class PreviewReady:
    """The preview frames as pictures: per frame, RGB uint8 (H, W, 3) by view name, in the order they are shown.

    View names: target; pseudo_label and confidence (what the training uses); student and teacher (their predictions on the
    clean image; teacher is absent in the source-only steps); twin_a, prediction_a, twin_b, prediction_b, disagreement (as far
    as the masks have them); ground_truth (absent without target labels). Previews on disk: `core.runs.previews`.
    """

    step: int
    frames: tuple[Mapping[str, np.ndarray], ...]
    names: tuple[str, ...]  # file name of each frame


@dataclass(frozen=True)
class CheckpointSaved:
    step: int
    path: Path
    seconds: float


@dataclass(frozen=True)
class Warned:
    """Something the user should know; training goes on."""

    code: str
    message: str
    path: Path | None = None


@dataclass(frozen=True)
class SettingsChanged:
    step: int
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Paused:
    step: int


@dataclass(frozen=True)
class Resumed:
    step: int


@dataclass(frozen=True)
class Estimate:
    """What a run of a configuration needs on this machine, from a few real steps. Times in seconds.

    The total counts steps, evaluations, previews and checkpoints, not the loading of torch and of the network.
    """

    device: str
    device_reason: str
    source_step_seconds: float | None  # None without source-only steps
    adapt_step_seconds: float | None  # None without adaptation steps
    evaluation_seconds: float  # one measurement of student and teacher
    preview_seconds: float
    checkpoint_seconds: float
    total_seconds: float
    memory_gib: float  # the device's on CUDA, else the program's
    memory_total_gib: float
    checkpoint_bytes: int
    disk_bytes: int  # of the whole run at its largest
    disk_free_bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Finished:
    """The last event: all steps done, or stopped on request. `result` is what `adapt --json` prints."""

    step: int
    stopped: bool
    result: Mapping[str, Any]


Event = (
    Preparing
    | Measuring
    | Estimate
    | RunStarted
    | PhaseStarted
    | StepDone
    | Evaluated
    | HealthMeasured
    | PreviewReady
    | CheckpointSaved
    | Warned
    | SettingsChanged
    | Paused
    | Resumed
    | Finished
)
