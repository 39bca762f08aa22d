"""The runs of a project: what stands on disk, and the Qt model that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from core.errors import ConfigError
from core.runs.folder import RunFolder
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex


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

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def resumable(self) -> bool:
        return self.crashed or self.state in ("created", "stopped", "failed", "interrupted")


def list_runs(project_folder: Path) -> tuple[RunInfo, ...]:
    """Every run below `<project>/runs`, the newest first. A folder that cannot be read is left out."""
    found = []
    runs = project_folder / "runs"
    for path in runs.iterdir() if runs.is_dir() else ():
        if RunFolder.is_run(path) and (info := read_run(path)) is not None:
            found.append(info)
    return tuple(sorted(found, key=lambda run: (run.updated, run.name), reverse=True))


def read_run(path: Path) -> RunInfo | None:
    folder = RunFolder(path)
    try:
        config, checkpoints = folder.config(), folder.checkpoints()
    except (ConfigError, OSError):
        return None
    status = folder.status()
    state = str(status.get("state", "created"))
    return RunInfo(
        path=path,
        state=state,
        step=int(status.get("step", 0)),
        total=config.training.total_steps,
        updated=str(status.get("updated", "")),
        checkpoints=tuple((ref.path.name, ref.step) for ref in checkpoints if not ref.is_source),
        has_source=any(ref.is_source for ref in checkpoints),
        crashed=state in ("running", "paused") and not folder.is_held(),
        best=status.get("best_checkpoint"),
        scores=dict(status.get("scores") or {}),
        source_steps=config.training.source_steps,
        verdict=str((status.get("result") or {}).get("verdict") or ""),
    )


class RunsModel(QAbstractListModel):
    """The project's runs, the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runs: tuple[RunInfo, ...] = ()

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        return self._runs

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        if tuple(runs) == self._runs:
            return
        self.beginResetModel()
        self._runs = tuple(runs)
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._runs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        run = self._runs[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{run.name} · {self.state_text(run)}"
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(str(run.path))
        return None

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
