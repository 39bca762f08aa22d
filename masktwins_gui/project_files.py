"""New, open, save, recent projects and the demo: the File menu's work."""

from __future__ import annotations

import itertools
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, QStandardPaths, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from core.commands.demo import make_project
from core.errors import ConfigError
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.services import Jobs, TaskContext

MAX_RECENT = 10


class ProjectFiles(QObject):
    """Asks with dialogs that belong to `window`, and remembers what was opened."""

    failed = Signal(str, str, str)  # title, what happened, details
    busy = Signal(str)  # what is being made; empty when done
    recent_changed = Signal()

    def __init__(self, project: ProjectModel, jobs: Jobs, store: QSettings, window: QWidget) -> None:
        super().__init__(window)
        self._project, self._jobs, self._store, self._window = project, jobs, store, window

    # Recent ------------------------------------------------------------------------------------

    def recent(self) -> list[Path]:
        stored = self._store.value("recent", [])
        texts = [stored] if isinstance(stored, str) else list(stored or [])  # type: ignore[call-overload]
        return [Path(str(text)) for text in texts if Path(str(text)).is_file()]

    def _remember(self, path: Path) -> None:
        kept = [path, *(p for p in self.recent() if p != path)][:MAX_RECENT]
        self._store.setValue("recent", [str(p) for p in kept])
        self.recent_changed.emit()

    def forget_all(self) -> None:
        self._store.remove("recent")
        self.recent_changed.emit()

    # Files -------------------------------------------------------------------------------------

    def new(self) -> None:
        if self.confirm_unsaved():
            self._project.new()

    def ask_open(self) -> None:
        if not self.confirm_unsaved():
            return
        start = str(self._project.folder or home())
        path, _ = QFileDialog.getOpenFileName(
            self._window, self.tr("Open a project"), start, self.tr("Projects (*.toml)")
        )
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> bool:
        """Open a project file, or say why not."""
        try:
            self._project.open(path)
        except ConfigError as error:
            self.failed.emit(self.tr("The project cannot be opened"), str(error), "")
            return False
        self._remember(path.resolve())
        return True

    def save(self) -> bool:
        """Save under the project's name, or ask for one. False when cancelled or impossible."""
        return self.ask_save() if self._project.path is None else self._write(self._project.path)

    def ask_save(self) -> bool:
        start = str(self._project.path or home() / self.tr("project.toml"))
        path, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Save the project; its runs are kept beside it"), start, self.tr("Projects (*.toml)")
        )
        if not path:
            return False
        return self._write(Path(path).with_suffix(".toml"))

    def keep(self) -> bool:
        """Save what has changed without asking; a project without a name gets one, and is opened at the next start."""
        if not self._project.modified:
            return True
        return self._write(self._project.path or _unused(home() / self.tr("unsaved.toml")))

    def _write(self, path: Path) -> bool:
        try:
            self._project.save(path)
        except OSError as error:
            self.failed.emit(
                self.tr("The project cannot be saved"),
                self.tr("{0}: {1}. Choose another folder.").format(path, error.strerror or error),
                "",
            )
            return False
        self._remember(path.resolve())
        return True

    def confirm_unsaved(self) -> bool:
        """Whether the project may be replaced or closed; asks where changes would be lost."""
        if not self._project.modified:
            return True
        buttons = QMessageBox.StandardButton
        box = QMessageBox(self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)  # the title is a file's name
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Unsaved changes"))
        box.setText(self.tr("Save the changes of {0}?").format(self._project.title))
        box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        box.setDefaultButton(buttons.Save)
        answer = buttons(box.exec())
        box.deleteLater()
        if answer == buttons.Save:
            return self.save()
        return answer == buttons.Discard

    # Demo --------------------------------------------------------------------------------------

    def demo(self) -> None:
        """Make the demo in the usual place, and open it."""
        self.make_demo(None)

    def make_demo(self, folder: Path | None) -> None:
        """Make the two-camera demo in a job thread, and open it."""
        if not self.confirm_unsaved():
            return
        target = folder or home() / "demo"
        self.busy.emit(self.tr("Making the demo …"))

        def work(task: TaskContext) -> Path:
            return make_project(target, progress=task.progress)

        self._jobs.submit("demo", work, self._demo_made, self._demo_failed, self._demo_progress)

    def _demo_made(self, path: Path) -> None:
        self.busy.emit("")
        self.open(path)

    def _demo_failed(self, message: str, details: str) -> None:
        self.busy.emit("")
        self.failed.emit(self.tr("The demo could not be made"), message, details)

    def _demo_progress(self, done: int, total: int) -> None:
        self.busy.emit(self.tr("Making the demo: image {0} of {1}").format(done, total))


def _unused(path: Path) -> Path:
    names = itertools.chain([path], (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2)))
    return next(name for name in names if not name.exists())


def home() -> Path:
    """Where projects go unless the user says otherwise."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    return Path(documents or Path.home()) / "MaskTwins"
