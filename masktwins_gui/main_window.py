"""The window: widgets, layout, and one block of connections."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSettings, QSize, Qt
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from masktwins_gui import theme
from masktwins_gui.controller import Controller
from masktwins_gui.device_probe import DeviceProbe
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.states import RunState
from masktwins_gui.pages.data import DataPage
from masktwins_gui.pages.export import ExportPage
from masktwins_gui.pages.inspect import InspectPage
from masktwins_gui.pages.masks import MasksPage
from masktwins_gui.pages.train.page import TrainPage
from masktwins_gui.project_files import ProjectFiles
from masktwins_gui.widgets.error_dialog import ErrorDialog
from masktwins_gui.widgets.rail import Rail
from masktwins_gui.widgets.run_status import RunStatus
from masktwins_gui.workers.training import Engine

PAGES = ("data", "masks", "train", "inspect", "export")


class MainWindow(QMainWindow):
    """Wires pages, controller and files. `store` remembers geometry, splitters, theme and recent projects."""

    def __init__(self, store: QSettings, engine: Engine | None = None) -> None:
        super().__init__()
        self.setObjectName("window")
        self._store = store
        self._closes_when_ended = False
        self._starts_when_ready = False
        self._question: QMessageBox | None = None
        self.project = ProjectModel(self)
        self.dataset = DatasetModel(self)
        self.controller = Controller(self.project, engine, self)
        self.files = ProjectFiles(self.project, self.controller.jobs, store, self)
        self.probe = DeviceProbe(self)
        self._make_pages()
        self._make_menus()
        self._lay_out()
        self._connect()
        self._restore()
        self._on_project()
        self._on_run_state(RunState.IDLE)
        self.show_page("data")

    def _make_pages(self) -> None:
        c = self.controller
        self.data = DataPage(self.project, self.dataset, c.jobs)
        self.masks = MasksPage(self.project, self.dataset, c.jobs)
        self.train = TrainPage(self.project, self.dataset, c.runs, c.shown, c.comparison, c.jobs)
        self.inspect = InspectPage(self.project, self.dataset, c.runs, c.jobs, c.inference)
        self.export = ExportPage(self.project, self.dataset, c.runs, c.inference)
        self.pages = {name: getattr(self, name) for name in PAGES}
        titles = (self.tr("Data"), self.tr("Masks"), self.tr("Train"), self.tr("Inspect"), self.tr("Export"))
        self.rail = Rail(tuple(zip(PAGES, titles, strict=True)))
        self.status = RunStatus()

    def _make_menus(self) -> None:
        keys = QKeySequence.StandardKey
        file = self.menuBar().addMenu(self.tr("&File"))
        self.new_action = self._action(file, self.tr("&New project"), keys.New)
        self.open_action = self._action(file, self.tr("&Open …"), keys.Open)
        self.recent_menu = file.addMenu(self.tr("Open &recent"))
        self.demo_action = self._action(file, self.tr("Open the &demo"))
        file.addSeparator()
        self.save_action = self._action(file, self.tr("&Save"), keys.Save)
        self.save_as_action = self._action(file, self.tr("Save &as …"), keys.SaveAs)
        file.addSeparator()
        self.quit_action = self._action(file, self.tr("&Quit"), keys.Quit)
        edit = self.menuBar().addMenu(self.tr("&Edit"))
        self.undo_action = self._action(edit, self.tr("&Undo"), keys.Undo)
        self.redo_action = self._action(edit, self.tr("&Redo"), keys.Redo)
        view = self.menuBar().addMenu(self.tr("&View"))
        self.theme_action = self._action(view, self.tr("Switch &theme"), "Ctrl+T")
        self.layout_action = self._action(view, self.tr("Reset the &layout"))
        self.about_action = self._action(self.menuBar().addMenu(self.tr("&Help")), self.tr("&About MaskTwins"))
        settings_menu = QMenu(self)
        settings_menu.addActions([self.theme_action, self.layout_action])
        self.forget_action = settings_menu.addAction(self.tr("Forget recent projects"))
        self.rail.settings_button.setMenu(settings_menu)

    def _action(self, menu: QMenu, text: str, keys: QKeySequence.StandardKey | str | None = None) -> QAction:
        action = menu.addAction(text)
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        return action

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
        for page in self.pages.values():
            self.stack.addWidget(page)
        centre = QWidget()
        row = QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addWidget(self.stack, 1)
        self.setCentralWidget(centre)
        self.statusBar().addWidget(self.status, 1)
        self.statusBar().setSizeGripEnabled(False)
        self.setMinimumSize(QSize(960, 600))
        self.resize(1280, 720)

    def _connect(self) -> None:
        files = self.files
        # the rail
        self.rail.page_chosen.connect(lambda index: self.show_page(PAGES[index]))
        self.rail.theme_toggled.connect(self.toggle_theme)
        self.probe.found.connect(self.rail.set_device)
        for name, page in self.pages.items():
            page.state_changed.connect(self.rail.buttons[name].set_state)
        for page in (self.data, self.masks, self.inspect, self.export):
            page.demo_requested.connect(files.demo)
        # from page to page
        self.masks.data_requested.connect(lambda: self.show_page("data"))
        self.inspect.train_requested.connect(lambda: self.show_page("train"))
        self.export.train_requested.connect(lambda: self.show_page("train"))
        self.train.data_requested.connect(lambda: self.show_page("data"))
        self.train.inspect_requested.connect(lambda: self.show_page("inspect"))
        self.train.export_requested.connect(lambda: self.show_page("export"))
        self.train.attention_wanted.connect(lambda: self.show_page("train"))
        self._connect_run()
        self._connect_files()

    def _connect_run(self) -> None:
        c, train = self.controller, self.train
        train.start_requested.connect(self._start)
        train.repeat_requested.connect(self._repeat)
        train.resume_requested.connect(c.resume_run)
        train.pause_requested.connect(c.pause)
        train.continue_requested.connect(c.resume)
        train.stop_requested.connect(c.stop)
        train.stop_best_requested.connect(lambda: c.stop(keep_best=True))
        train.measure_requested.connect(c.measure)
        train.run_chosen.connect(c.show_run)
        train.runs_changed.connect(c.refresh_runs)
        train.failed.connect(self._show_file_failure)
        c.state_changed.connect(self._on_run_state)
        c.message.connect(train.show_message)
        c.started.connect(self.status.show_start)
        c.started.connect(lambda event: self.rail.set_device(event.device, event.device_reason))
        c.stepped.connect(self.status.show_step)
        c.stepped.connect(train.show_step)
        c.measuring.connect(self.status.show_measuring)
        c.measuring.connect(train.show_measuring)
        c.measured.connect(train.show_estimate)
        c.ended.connect(train.show_end)
        c.repeated.connect(train.show_repeats)
        c.failed.connect(self._show_run_failure)
        c.measure_failed.connect(self._show_measure_failure)

    def _connect_files(self) -> None:
        self.files.failed.connect(self._show_file_failure)
        self.files.busy.connect(self._show_busy)
        self.files.recent_changed.connect(self._fill_recent)
        self.files.runs_moved.connect(self.controller.refresh_runs)
        self.new_action.triggered.connect(self.files.new)
        self.open_action.triggered.connect(self.files.ask_open)
        self.demo_action.triggered.connect(self.files.demo)
        self.save_action.triggered.connect(self.files.save)
        self.save_as_action.triggered.connect(self.files.ask_save)
        self.quit_action.triggered.connect(self.close)
        self.undo_action.triggered.connect(self.project.undo)
        self.redo_action.triggered.connect(self.project.redo)
        self.theme_action.triggered.connect(self.toggle_theme)
        self.layout_action.triggered.connect(self._reset_layout)
        self.forget_action.triggered.connect(self.files.forget_all)
        self.about_action.triggered.connect(self._about)
        self.project.changed.connect(self._on_project)
        self.project.path_changed.connect(self._on_project)
        self.project.history_changed.connect(self._on_project)
        self.dataset.changed.connect(self._start_when_ready)

    # Pages and project -------------------------------------------------------------------------

    def show_page(self, name: str) -> None:
        self.stack.setCurrentWidget(self.pages[name])
        self.rail.set_current(PAGES.index(name))
        if self.rail.isAncestorOf(self.focusWidget() or self):
            return  # the arrow keys and Tab go on in the rail
        self.pages[name].setFocus()

    def _on_project(self, *_: object) -> None:
        self.setWindowTitle(f"{self.project.title}[*] – MaskTwins")
        self.setWindowModified(self.project.modified)
        self.undo_action.setEnabled(self.project.can_undo)
        self.redo_action.setEnabled(self.project.can_redo)

    def start_when_ready(self) -> None:
        """Start the training as soon as the folders have been listed."""
        self._starts_when_ready = True
        self._start_when_ready()

    def _start_when_ready(self) -> None:
        if self._starts_when_ready and self.dataset.complete:
            self._starts_when_ready = False
            self.show_page("train")
            self.train.start.click()

    def _start(self, name: str) -> None:
        if self.files.save():
            self.controller.start(name)

    def _repeat(self, name: str, count: int) -> None:
        if self.files.save():
            self.controller.repeat(name, count)

    # The run -----------------------------------------------------------------------------------

    def _on_run_state(self, state: RunState) -> None:
        self.train.set_run_state(state)
        self.masks.set_run_state(state)
        self.data.set_run_state(state)
        self.status.set_state(state)
        for action in (self.new_action, self.open_action, self.demo_action, self.save_as_action):
            action.setEnabled(not state.active)
        self.recent_menu.setEnabled(not state.active)
        if state.active:
            return
        if self._closes_when_ended:
            self.close()
        elif self._question is not None:
            self._question.reject()  # the run ended by itself while the question was open
        elif state is RunState.IDLE and self.isVisible():
            QApplication.alert(self)

    def _show_run_failure(self, message: str, details: str) -> None:
        if self._closes_when_ended:
            return
        run = self.controller.runs.find(self.controller.run_path)
        saved = run is not None and run.saved_step > 0
        advice = (
            self.tr("Its newest checkpoint is kept. Remove the cause, then press Resume on the Train page.")
            if saved
            else self.tr("It has no checkpoint yet. Remove the cause, then start again.")
        )
        ErrorDialog(self.tr("The training has failed"), message, advice, details, self).open()

    def _show_measure_failure(self, message: str, details: str) -> None:
        if not self._closes_when_ended:
            advice = self.tr("Nothing was kept. Change the settings, and measure again.")
            ErrorDialog(self.tr("The measurement has failed"), message, advice, details, self).open()

    def _show_file_failure(self, title: str, message: str, details: str) -> None:
        ErrorDialog(title, message, "", details, self).open()

    def _show_busy(self, text: str) -> None:
        self.statusBar().showMessage(text) if text else self.statusBar().clearMessage()
        for page in self.pages.values():
            page.setEnabled(not text)

    # Remembering -------------------------------------------------------------------------------

    def _restore(self) -> None:
        if geometry := self._store.value("geometry"):
            self.restoreGeometry(geometry)  # type: ignore[arg-type]
        for splitter in self._splitters():
            if state := self._store.value(f"splitters/{splitter.objectName()}"):
                splitter.restoreState(state)  # type: ignore[arg-type]
        self._fill_recent()
        self._show_theme()

    def _remember(self) -> None:
        self._store.setValue("geometry", self.saveGeometry())
        for splitter in self._splitters():
            self._store.setValue(f"splitters/{splitter.objectName()}", splitter.saveState())

    def _splitters(self) -> list[QSplitter]:
        return [splitter for splitter in self.findChildren(QSplitter) if splitter.objectName()]

    def _reset_layout(self) -> None:
        self._store.remove("splitters")
        self._store.remove("geometry")
        self.resize(1280, 720)
        for splitter in self._splitters():
            width = splitter.width()
            share = 0.3 if splitter.count() == 2 else 1 / splitter.count()
            splitter.setSizes(
                [int(width * share)] + [int(width * (1 - share) / (splitter.count() - 1))] * (splitter.count() - 1)
            )

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        for path in self.files.recent():
            action = self.recent_menu.addAction(str(path))
            action.triggered.connect(lambda _=False, path=path: self._open_recent(path))
        self.recent_menu.menuAction().setVisible(bool(self.files.recent()))

    def _open_recent(self, path: Path) -> None:
        if self.files.confirm_unsaved():
            self.files.open(path)

    def toggle_theme(self) -> None:
        app = QGuiApplication.instance()
        assert isinstance(app, QApplication)
        chosen = theme.Theme.LIGHT if theme.current(app) is theme.Theme.DARK else theme.Theme.DARK
        theme.apply(app, chosen)
        self._store.setValue("theme", chosen.value)
        self._show_theme()

    def _show_theme(self) -> None:
        app = QGuiApplication.instance()
        assert isinstance(app, QApplication)
        theme.set_icon(self.rail.theme_button, "sun" if theme.current(app) is theme.Theme.DARK else "moon")

    def _about(self) -> None:
        text = self.tr(
            "MaskTwins adapts a segmentation model to a new camera without new labels: two complementary maskings of an image, "
            "the twins, must be understood alike (Wang et al., ICML 2025)."
        )
        QMessageBox.about(self, self.tr("About MaskTwins"), text)

    # Closing -----------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """While a run trains: ask once, stop it cleanly, and close when its thread has ended."""
        if self.controller.state.active:
            event.ignore()
            if self.controller.measures:
                self._stop_and_close()
            elif not self._closes_when_ended:
                self._ask_to_stop()
            return
        if not self._closes_when_ended and not self.files.confirm_unsaved():
            event.ignore()
            return
        self._remember()
        self.probe.close()
        self.controller.close()
        event.accept()

    def leave(self) -> None:
        """Close without a question, where nobody may be there to answer: a run is stopped cleanly, the project is kept."""
        for dialog in QApplication.topLevelWidgets():
            if isinstance(dialog, QDialog):
                dialog.reject()
        if self.controller.state.active:
            self._stop_and_close()
        else:
            self.files.keep()
            self._closes_when_ended = True
            self.close()

    def _ask_to_stop(self) -> None:
        if self._question is not None:
            self._question.raise_()
            return
        box = QMessageBox(self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setObjectName("window.close_question")
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("A run is training"))
        box.setText(self.tr("Stop the run and close? A checkpoint is kept, and the run can be resumed later."))
        box.addButton(self.tr("Stop and close"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(self.tr("Go on training"), QMessageBox.ButtonRole.RejectRole)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.accepted.connect(self._stop_and_close)
        box.finished.connect(self._question_answered)
        self._question = box
        box.open()

    def _stop_and_close(self) -> None:
        self.files.keep()  # the run has been following these changes
        self._closes_when_ended = True
        self.setEnabled(False)
        self.controller.stop()

    def _question_answered(self) -> None:
        self._question = None
