"""New, open, save, recent projects and the demo: the File menu's work."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, QStandardPaths, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from core.commands.demo import make_project
from core.configuration.config import RunConfig
from core.configuration.paths import move_data, paths_of
from core.configuration.projects import backup_of
from core.errors import ConfigError, reason
from core.runs.moved import MissingData, find_missing, found_again, move_runs, root_between
from masktwins_gui.models.project import ProjectChangedError, ProjectModel
from masktwins_gui.models.services import Jobs, TaskContext
from masktwins_gui.widgets.locate_data import LocateData

MAX_RECENT = 10


class ProjectFiles(QObject):
    """Asks with dialogs that belong to `window`, and remembers what was opened."""

    failed = Signal(str, str, str)  # title, what happened, details
    busy = Signal(str)  # what is being made; empty when done
    recent_changed = Signal()
    runs_moved = Signal()  # runs on disk name other folders now

    def __init__(self, project: ProjectModel, jobs: Jobs, store: QSettings, window: QWidget) -> None:
        super().__init__(window)
        self._project, self._jobs, self._store, self._window = project, jobs, store, window

    # Recent ------------------------------------------------------------------------------------

    def recent(self) -> list[Path]:
        stored = self._store.value("recent", [])
        texts = [stored] if isinstance(stored, str) else list(stored or [])  # type: ignore[call-overload]
        return [Path(str(text)) for text in texts if text]

    def look_for_recent(self, then: Callable[[Path], object] | None = None) -> None:
        """Drop the projects that no longer exist, in a job thread, as a network drive may sleep.

        Args:
            then: called with the project that was open last, where it exists.
        """
        listed = self.recent()

        def done(existing: list[Path]) -> None:
            kept = [path for path in self.recent() if path in existing or path not in listed]
            self._store.setValue("recent", [str(path) for path in kept])
            self.recent_changed.emit()
            if then is not None and listed and listed[0] in existing:
                then(listed[0])

        self._jobs.submit("recent", lambda _: [path for path in listed if path.is_file()], done)

    def _remember(self, path: Path) -> None:
        kept = [path, *(p for p in self.recent() if p != path)][:MAX_RECENT]
        self._store.setValue("recent", [str(p) for p in kept])
        self.recent_changed.emit()

    def forget_all(self) -> None:
        self._store.remove("recent")
        self.recent_changed.emit()

    # Files -------------------------------------------------------------------------------------

    def new(self, config: RunConfig | None = None) -> None:
        """Begin a project, with settings of the user's own where some are given."""
        if self.confirm_unsaved():
            self._project.new(config)

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
        """Open a project file, or its backup where the user wants that, or say why not."""
        try:
            self._project.open(path)
        except ConfigError as error:
            if not self._open_backup(path, str(error)):
                return False
        self._remember(path.resolve())
        self.find_missing_data()
        return True

    def _open_backup(self, path: Path, reason: str) -> bool:
        title = self.tr("The project cannot be opened")
        if not backup_of(path).is_file():
            self.failed.emit(title, reason, "")
            return False
        question = self.tr(
            "The version before the last save is kept in {0}. Open that one? Saving puts it back in place."
        )
        buttons = QMessageBox.StandardButton
        if not self._ask(title, f"{reason}\n\n{question.format(backup_of(path).name)}", buttons.Open | buttons.Cancel):
            return False
        try:
            self._project.open_backup(path)
        except ConfigError as error:
            self.failed.emit(title, f"{reason}\n\n{error}", "")
            return False
        return True

    def _ask(self, title: str, text: str, buttons: QMessageBox.StandardButton) -> bool:
        """Ask a question whose text may come from files; whether the answer is not Cancel."""
        box = QMessageBox(QMessageBox.Icon.Question, title, text, buttons, self._window)
        box.setObjectName("files.question")
        box.setTextFormat(Qt.TextFormat.PlainText)
        return box.exec() != QMessageBox.StandardButton.Cancel

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
        """Save what has changed without asking; a project without a name gets one, and is opened at the next start.

        What another program has written into the project's file stays: this version goes into a file beside it.
        """
        if not self._project.modified:
            return True
        path = self._project.path
        if path is not None and self._project.changed_on_disk:
            path = _unused(path.with_stem(self.tr("{0}-mine").format(path.stem)))
        return self._write(path or _unused(home() / self.tr("unsaved.toml")))

    def _write(self, path: Path, *, overwrite: bool = False) -> bool:
        try:
            self._project.save(path, overwrite=overwrite)
        except ProjectChangedError:
            return self._settle_conflict(path)
        except OSError as error:
            self.failed.emit(
                self.tr("The project cannot be saved"), self.tr("{0}: {1}.").format(path, reason(error)), ""
            )
            return False
        self._remember(path.resolve())
        return True

    def _settle_conflict(self, path: Path) -> bool:
        """Ask whose version counts where another program has changed the project's file. Whether it was saved."""
        box = QMessageBox(self._window)
        box.setObjectName("files.conflict")
        box.setIcon(QMessageBox.Icon.Warning)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("The project has been changed elsewhere"))
        box.setText(self.tr("{0} has been changed by another window or program since you opened it.").format(path.name))
        box.setInformativeText(
            self.tr(
                "Keep mine replaces that version; it stays beside the project as {0}. Reload drops your changes."
            ).format(backup_of(path).name)
        )
        mine = box.addButton(self.tr("Keep mine"), QMessageBox.ButtonRole.AcceptRole)
        theirs = box.addButton(self.tr("Reload"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is mine:
            return self._write(path, overwrite=True)
        if box.clickedButton() is theirs:
            self.open(path)
        return False

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

    # Data that lie elsewhere -------------------------------------------------------------------

    def find_missing_data(self, again: Path | None = None) -> None:
        """Look, in a job thread, whether the folders of the project and of its runs are there; ask where they are not.

        Args:
            again: a folder that was asked for a moment ago: where it is still missing, that is reported.
        """
        folder, config = self._project.folder, self._project.config
        if folder is None:
            return

        def done(missing: MissingData | None) -> None:
            if missing is None or folder != self._project.folder:
                return
            if missing.path == again:
                text = self.tr("What was in {0} is not in the folder you chose. Choose each folder on the Data page.")
                self.failed.emit(self.tr("The images were not found"), text.format(missing.path), "")
                return
            dialog = LocateData(missing, self._window)
            dialog.located.connect(lambda new: self._data_located(missing, new))
            dialog.open()

        self._jobs.submit("missing data", lambda _: find_missing(config, folder), done)

    def _data_located(self, missing: MissingData, new: Path) -> None:
        """Point the project (which can be undone) and its runs to where the data are now."""
        root, config = root_between(missing.path, new), self._project.config

        def work(_: TaskContext) -> tuple[dict[str, Path], list[str]]:
            moved = move_data(config, found_again(config, root))
            return paths_of(moved), move_runs(missing.runs, root)

        def done(result: tuple[dict[str, Path], list[str]]) -> None:
            paths, problems = result
            if missing.project == self._project.folder:
                self._project.change({name: str(path) for name, path in paths.items()})
            if problems:
                self.failed.emit(self.tr("Some runs could not be pointed to the data"), "\n".join(problems), "")
            self.runs_moved.emit()
            self.find_missing_data(again=missing.path)

        self._jobs.submit("moved runs", work, done)

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
