"""What a run's folder tells of its training: curves, marks, messages and pictures. Read off the GUI thread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication

from core.configuration.config import RunConfig
from core.errors import ConfigError
from core.events import LOSS_NAMES
from core.labels import LabelSpaceError, load_space
from core.runs.folder import LABEL_SPACE_FILE, RunFolder
from masktwins_gui.models.curves import Mark, Series, TrainingTime
from masktwins_gui.models.differences import values_in_words
from masktwins_gui.models.health import Reading, health_points, readings

LOG_LINES = 500
MIOU = "_miou"

Columns = Mapping[str, np.ndarray]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class RunHistory:
    """A run as it can be shown without training it. Steps count source-only ones too."""

    path: Path
    config: RunConfig
    losses: dict[str, Series]
    quality: dict[str, Series]  # mIoU in percent by model
    health: dict[str, Series]
    readings: tuple[Reading, ...]
    time: TrainingTime
    marks: tuple[Mark, ...]
    log: tuple[str, ...]
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]

    def panel(self, name: str) -> dict[str, Series]:
        """The curves of one panel: losses, quality or health."""
        return {"losses": self.losses, "quality": self.quality, "health": self.health}[name]


def read_history(path: Path, smoothing: float = 0.0) -> RunHistory:
    """Read a run's files.

    Args:
        smoothing: inertia of the losses' smooth curves; the few points of the others are not smoothed.

    Raises:
        ConfigError: run.toml cannot be used.
    """
    folder = RunFolder(path)
    config = folder.config()
    columns = columns_of(folder.metrics())
    steps = columns.get("step", np.empty(0))
    time = TrainingTime()
    if "seconds_per_step" in columns:
        time.add(*_known(steps, columns["seconds_per_step"]))
    found = tuple(readings(columns, config.training.source_steps))
    classes, palette = _classes(path)
    return RunHistory(
        path=path,
        config=config,
        losses={n: s for n in LOSS_NAMES if len(s := _series(columns, n, smoothing))},
        quality={n.removesuffix(MIOU): s for n in columns if n.endswith(MIOU) and len(s := _series(columns, n))},
        health=_health_series(found),
        readings=found,
        time=time,
        marks=_marks(folder, config),
        log=_log(folder),
        classes=classes,
        palette=palette,
    )


def columns_of(rows: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Turn rows of metrics.csv into one float array per column; NaN where a cell holds no number.

    Rows without a step are left out, and so is the column of the phase.
    """
    kept = [row for row in rows if row.get("step", "").isdecimal()]
    names = [name for name in (kept[0] if kept else ()) if name != "phase"]
    return {name: np.array([_number(row[name]) for row in kept]) for name in names}


def _series(columns: Columns, name: str, smoothing: float = 0.0) -> Series:
    series = Series(smoothing)
    if name in columns:
        series.extend(*_known(columns["step"], columns[name]))
    return series


def _health_series(found: Sequence[Reading]) -> dict[str, Series]:
    series: dict[str, Series] = {}
    for step, values in health_points(found):
        for name, value in values.items():
            series.setdefault(name, Series()).append(step, value)
    return series


def _known(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _marks(folder: RunFolder, config: RunConfig) -> tuple[Mark, ...]:
    training = config.training
    marks = [Mark(ref.step, "checkpoint", _tr("Checkpoint {0}").format(ref.path.name)) for ref in folder.checkpoints()]
    marks += [Mark(step, "change", values_in_words(changes)) for step, changes in folder.changes()]
    if training.source_steps and training.steps:
        marks.append(Mark(training.source_steps, "phase", _tr("adaptation begins")))
    return tuple(sorted(marks, key=lambda mark: mark.step))


def _log(folder: RunFolder) -> tuple[str, ...]:
    """The run's own log, what was changed in it, and how it ended."""
    status = folder.status()
    try:
        written = folder.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        written = []
    facts = [
        _tr("State: {0}, step {1} of {2}").format(status.get("state"), status.get("step"), status.get("total_steps")),
        _tr("Device: {0} ({1})").format(status.get("device"), status.get("device_reason"))
        if "device" in status
        else "",
        str(status.get("reason") or ""),
        str((status.get("result") or {}).get("verdict") or ""),
    ]
    changes = [_tr("Step {0}: changed {1}").format(step, values_in_words(c)) for step, c in folder.changes()]
    return (*written[-LOG_LINES:], *changes, *filter(None, facts))


def _classes(path: Path) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    try:
        space = load_space(path / LABEL_SPACE_FILE)
    except (LabelSpaceError, ConfigError, OSError):
        return (), ()
    return space.classes, space.palette


def _tr(text: str) -> str:
    return QCoreApplication.translate("History", text)
