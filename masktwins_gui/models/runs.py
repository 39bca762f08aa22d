"""The runs of a project: what stands on disk, and the Qt model that lists them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QDateTime,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from core.configuration.config import RunConfig
from core.errors import ConfigError
from core.evaluation.choice import best_checkpoints, score_of
from core.runs.folder import CheckpointRef, RunFolder
from core.runs.notes import Notes, read_notes
from masktwins_gui.models.differences import changes_in_words
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex

TAIL_BYTES = 8192  # of metrics.csv: some tens of rows


@dataclass(frozen=True)
class Outcome:
    """How good the model was before and after adapting; None where it is not known (yet).

    `measured`: mIoU in percent against labels. Else the score without labels, at most 1.
    """

    before: float | None
    after: float | None
    measured: bool

    def in_words(self) -> str:
        """Write the two numbers, such as "34.8 → 63.0"; empty where neither is known."""
        if self.before is None and self.after is None:
            return ""
        return " → ".join(
            "–" if v is None else f"{v:.1f}" if self.measured else f"{v:.2f}" for v in (self.before, self.after)
        )


UNKNOWN = Outcome(None, None, measured=False)


@dataclass(frozen=True)
class RunInfo:
    """One run as it stands on disk."""

    path: Path
    state: str
    step: int
    total: int
    updated: str
    checkpoints: tuple[tuple[str, int], ...]  # names and total steps of the adaptation checkpoints, rising
    has_source: bool
    crashed: bool  # it says that it runs, and no process holds it
    best: str | None
    scores: dict[str, Any]
    source_steps: int = 0
    verdict: str = ""  # whether adaptation helped, told without labels; empty for runs that have not ended
    trains: bool = False  # a process holds it
    created: float = 0.0  # seconds since 1970
    saved_step: int = 0  # total steps of the newest checkpoint: a resume goes on from there
    reason: str = ""  # why it failed
    outcome: Outcome = UNKNOWN
    seconds_per_step: float = math.nan
    config: RunConfig = field(default_factory=RunConfig)
    config_now: RunConfig = field(default_factory=RunConfig)  # with the changes made up to the newest checkpoint
    notes: Notes = field(default_factory=Notes)
    changed: str = ""  # settings that differ from the run before, in words
    chosen: str = ""  # name of the checkpoint that was kept as the best when the run was stopped
    best_by: Mapping[str, str] = field(default_factory=dict)  # "miou" and "health": the name of the best checkpoint

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def title(self) -> str:
        """What the user calls it."""
        return self.notes.label or self.path.name

    @property
    def resumable(self) -> bool:
        return self.crashed or (not self.trains and self.state in ("created", "stopped", "failed", "interrupted"))

    @property
    def lost_steps(self) -> int:
        """Steps that a resume makes again."""
        return max(0, self.step - self.saved_step)


def list_runs(project_folder: Path) -> tuple[RunInfo, ...]:
    """List every run below `<project>/runs`, the newest first. A folder that cannot be read is left out. Reads the disk."""
    found = []
    runs = project_folder / "runs"
    for path in runs.iterdir() if runs.is_dir() else ():
        if not path.name.startswith(".") and RunFolder.is_run(path) and (info := read_run(path)) is not None:
            found.append(info)
    return tuple(sorted(_compared(found), key=lambda run: (run.updated, run.name), reverse=True))


def _compared(runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Say of each run what differs from the one that was made before it."""
    by_age = sorted(runs, key=lambda run: (run.created, run.name))
    before = [None, *by_age][: len(by_age)]
    return [
        run if older is None else replace(run, changed=changes_in_words(older.config, run.config))
        for run, older in zip(by_age, before, strict=True)
    ]


def read_run(path: Path) -> RunInfo | None:
    """Read one run from the disk; None where its files cannot be used."""
    folder = RunFolder(path)
    try:
        return _read(folder)
    except (ConfigError, OSError, ValueError, TypeError, AttributeError):  # trust no file: a status is only JSON
        return None


def _read(folder: RunFolder) -> RunInfo:
    config, checkpoints = folder.config(), folder.checkpoints()
    status = folder.status()
    state = str(status.get("state", "created"))
    says_it_runs = state in ("running", "paused")
    held = says_it_runs and folder.is_held()
    result = status.get("result") or {}
    step = int(status.get("step", 0))
    last_row = _last_row(folder) if says_it_runs else {}
    saved_step = max((ref.step for ref in checkpoints), default=0)
    chosen = str(status.get("chosen_checkpoint") or "")
    chosen_step = next((ref.step for ref in checkpoints if ref.path.name == chosen and not ref.is_source), None)
    return RunInfo(
        path=folder.path,
        state=state,
        step=max(step, int(last_row.get("step") or 0)),
        total=config.training.total_steps,
        updated=str(status.get("updated", "")),
        checkpoints=tuple((ref.path.name, ref.step) for ref in checkpoints if not ref.is_source),
        has_source=any(ref.is_source for ref in checkpoints),
        crashed=says_it_runs and not held,
        best=status.get("best_checkpoint"),
        scores=dict(status.get("scores") or {}),
        source_steps=config.training.source_steps,
        verdict=str(result.get("verdict") or ""),
        trains=held,
        created=folder.config_path.stat().st_mtime,
        saved_step=saved_step,
        reason=str(status.get("reason") or ""),
        outcome=_outcome(folder, status, chosen_step),
        seconds_per_step=float(result.get("seconds_per_step") or last_row.get("seconds_per_step") or math.nan),
        config=config,
        config_now=folder.config_at(saved_step),
        notes=read_notes(folder.path),
        best_by=_best_by(folder, checkpoints),
        chosen=chosen,
    )


def _outcome(folder: RunFolder, status: Mapping[str, Any], chosen: int | None) -> Outcome:
    """The scores before and after adapting; those of the checkpoint that was kept as the best, where one was.

    Args:
        chosen: its total steps.
    """
    found = outcome_of(status)
    column = "teacher_miou" if found.measured else "health_score"
    rows = folder.metrics() if chosen is not None else []
    values = [float(row[column]) for row in rows if row.get("step") == str(chosen) and row.get(column)]
    return replace(found, after=values[-1]) if values else found


def _best_by(folder: RunFolder, checkpoints: Sequence[CheckpointRef]) -> Mapping[str, str]:
    """Name the best checkpoints on disk; none where metrics.csv cannot be understood."""
    try:
        return best_checkpoints(folder.metrics(), {ref.step: ref.path.name for ref in checkpoints})
    except ValueError:
        return {}


def outcome_of(status: Mapping[str, Any]) -> Outcome:
    """Read the scores before and after adapting from a run's status: against labels where there are any."""
    scores, health = status.get("scores") or {}, status.get("health") or {}
    measured = [(scores.get(name) or {}).get("miou") for name in ("source", "teacher")]
    if any(value is not None for value in measured):
        return Outcome(measured[0], measured[1], measured=True)
    proxies = [_proxy(health.get(name)) for name in ("source", "teacher")]
    return Outcome(proxies[0], proxies[1], measured=False)


def _proxy(health: Mapping[str, Any] | None) -> float | None:
    if not health:
        return None
    known = {name: float(v) for name, v in health.items() if isinstance(v, int | float)}
    value = score_of(known)
    return None if math.isnan(value) else value


def _last_row(folder: RunFolder) -> Mapping[str, str]:
    """The newest row of metrics.csv that logs a step, from the file's end: status.json is up to two seconds older."""
    try:
        with folder.metrics_path.open("rb") as file:
            names = file.readline().decode("utf-8", "replace").strip().split(",")
            file.seek(max(file.tell(), folder.metrics_path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")[:-1]  # what follows the last newline is torn
    except OSError:
        return {}
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines if line.count(",") == len(names) - 1]
    logged = [row for row in rows if row.get("seconds_per_step")]
    return logged[-1] if logged else {}


class RunsModel(QAbstractListModel):
    """The project's runs, the newest first. Each can be ticked, to be compared with others."""

    ticked_changed = Signal()
    renamed = Signal(object, str)  # RunInfo, the name that was typed
    InfoRole = Qt.ItemDataRole.UserRole + 1

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runs: tuple[RunInfo, ...] = ()
        self._ticked: set[Path] = set()
        self.listed = False  # whether the project's folder has been read

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        return self._runs

    @property
    def ticked(self) -> tuple[RunInfo, ...]:
        return tuple(run for run in self._runs if run.path in self._ticked)

    def find(self, path: Path | None) -> RunInfo | None:
        return next((run for run in self._runs if run.path == path), None)

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        self.listed = True
        if tuple(runs) == self._runs:
            return
        before = self.ticked
        self.beginResetModel()
        self._runs = tuple(runs)
        self.endResetModel()
        self._ticked &= {run.path for run in self._runs}
        if self.ticked != before:
            self.ticked_changed.emit()

    def tick(self, paths: Sequence[Path]) -> None:
        """Tick exactly these runs."""
        self._ticked = set(paths)
        if self._runs:
            self.dataChanged.emit(self.index(0), self.index(len(self._runs) - 1), [Qt.ItemDataRole.CheckStateRole])
        self.ticked_changed.emit()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._runs)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEditable if index.isValid() else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        run = self._runs[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{run.title} · {self.state_text(run)}"
            case Qt.ItemDataRole.AccessibleTextRole:
                return "; ".join(filter(None, (run.title, self.state_text(run), self.score_text(run), run.changed)))
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip("\n".join(filter(None, (str(run.path), run.changed, run.reason, run.notes.note))))
            case Qt.ItemDataRole.CheckStateRole:
                return Qt.CheckState.Checked if run.path in self._ticked else Qt.CheckState.Unchecked
            case self.InfoRole:
                return run
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid():
            return False
        if role == Qt.ItemDataRole.EditRole:
            self.renamed.emit(self._runs[index.row()], str(value).strip())
            return True
        if role != Qt.ItemDataRole.CheckStateRole:
            return False
        path = self._runs[index.row()].path
        ticked = Qt.CheckState(value) is Qt.CheckState.Checked
        self._ticked = self._ticked | {path} if ticked else self._ticked - {path}
        self.dataChanged.emit(index, index, [role])
        self.ticked_changed.emit()
        return True

    def state_text(self, run: RunInfo) -> str:
        words = {
            "created": self.tr("not started"),
            "running": self.tr("running"),
            "paused": self.tr("paused"),
            "stopped": self.tr("stopped"),
            "finished": self.tr("finished"),
            "failed": self.tr("failed"),
            "interrupted": self.tr("interrupted"),
        }
        word = self.tr("ended unexpectedly") if run.crashed else words.get(run.state, run.state)
        return f"{word}, {run.step} / {run.total}"

    def score_text(self, run: RunInfo) -> str:
        words = run.outcome.in_words()
        if not words:
            return ""
        return (
            self.tr("{0} mIoU").format(words) if run.outcome.measured else self.tr("{0} without labels").format(words)
        )

    def when_text(self, run: RunInfo) -> str:
        """When it was last written, in the user's own way of writing dates."""
        moment = QDateTime.fromString(run.updated, Qt.DateFormat.ISODate).toLocalTime()
        return QLocale().toString(moment, QLocale.FormatType.ShortFormat) if moment.isValid() else ""
