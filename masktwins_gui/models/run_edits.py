"""What a user may do to a run on disk: name it, write a note, move it to the trash. Off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Signal

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.notes import read_notes, write_notes
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import Jobs


class RunEdits(QObject):
    """Makes each change in a job. `done` asks for the list to be read again."""

    done = Signal()
    failed = Signal(str, str, str)  # title, what happened, details

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs

    def rename(self, run: RunInfo, label: str) -> None:
        """Give a run another name in the window; an empty one gives it back its folder's name."""
        if label != run.title:
            self._edit(run.path, label="" if label == run.name else label)

    def annotate(self, run: RunInfo, note: str) -> None:
        if note != run.notes.note:
            self._edit(run.path, note=note)

    def _edit(self, path: Path, **changes: str) -> None:
        def work(_: object) -> None:
            write_notes(path, replace(read_notes(path), **changes))

        self._submit(f"notes {path}", work, self.tr("The run's name or note could not be saved"))

    def trash(self, run: RunInfo) -> None:
        """Move a run's folder to the system's trash. A run that trains stays."""
        self._submit(f"trash {run.path}", lambda _: move_to_trash(run.path), self.tr("The run could not be deleted"))

    def _submit(self, key: str, work: Callable[[object], None], title: str) -> None:
        def fail(message: str, details: str) -> None:
            self.failed.emit(title, message, details)
            self.done.emit()

        self._jobs.submit(key, work, lambda _: self.done.emit(), fail)


def move_to_trash(path: Path) -> None:
    """Move a run's folder to the trash. Raises RunError where it trains or cannot be moved. Touches the disk."""
    if RunFolder(path).is_held():
        raise RunError(f"{path.name} is being trained. Stop it first.")
    file = QFile(str(path))
    if not file.moveToTrash():
        raise RunError(
            f"{path} could not be moved to the trash: {file.errorString()}. Delete the folder in your file manager."
        )
