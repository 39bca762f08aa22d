"""What the engine says while it works, and how it is told to pause, resume, stop or change a setting.

Events hold plain numbers, strings, paths and owned uint8 arrays: no tensors. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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

    def to_json(self) -> dict[str, Any]:
        """JSON has no NaN: a class without pixels is null."""
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "per_class": {name: _number(value) for name, value in self.per_class.items()},
            "confusion": [list(row) for row in self.confusion],
        }


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
class Finished:
    """The last event: all steps done, or stopped on request. `result` is what `adapt --json` prints."""

    step: int
    stopped: bool
    result: Mapping[str, Any]


Event = (
    Preparing
    | Measuring
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
