"""The window: pages, layout, and the connections between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QSettings, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QPaintEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QMessageBox, QStackedWidget, QWidget

from masktwins_gui import theme
from masktwins_gui.awake import KeepAwake
from masktwins_gui.controller import Controller
from masktwins_gui.device_probe import DeviceProbe
from masktwins_gui.layout_memory import LayoutMemory
from masktwins_gui.leaving import Leaving
from masktwins_gui.menus import Menus
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.preferences import Preferences
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.states import RunState
from masktwins_gui.notice import Notice
from masktwins_gui.pages.data import DataPage
from masktwins_gui.project_files import ProjectFiles
from masktwins_gui.reporting import Reporting
from masktwins_gui.widgets.error_dialog import ErrorDialog
from masktwins_gui.widgets.help_window import HelpWindow
from masktwins_gui.widgets.rail import Rail
from masktwins_gui.widgets.run_status import RunStatus
from masktwins_gui.widgets.settings_dialog import SettingsDialog
from masktwins_gui.workers.training import Engine

if TYPE_CHECKING:
    from masktwins_gui.pages.export import ExportPage
    from masktwins_gui.pages.inspect.page import InspectPage
    from masktwins_gui.pages.masks import MasksPage
    from masktwins_gui.pages.train.page import TrainPage

    Page = DataPage | MasksPage | TrainPage | InspectPage | ExportPage

Shown = TypeVar("Shown", bound="Page")

PAGES = ("data", "masks", "train", "inspect", "export")
CHAPTERS = {"data": "data", "masks": "method", "train": "training", "inspect": "inspecting", "export": "exporting"}


class MainWindow(QMainWindow):
    """Wires pages, controller and files. `store` remembers geometry, splitters, theme and recent projects.

    Only the Data page is made before the first picture; the others and what they import follow at once, in `make_pages`,
    or when they are first asked for.
    """

    painted = Signal()  # once, when the first picture of the window is on the screen

    def __init__(self, store: QSettings, engine: Engine | None = None) -> None:
        super().__init__()
        self.setObjectName("window")
        self._painted = False
        self._hidden_for_good = False
        self._starts_when_ready = False
        self.preferences = Preferences(store)
        self.project = ProjectModel(self)
        self.dataset = DatasetModel(self)
        self.controller = Controller(self.project, engine, self)
        self.files = ProjectFiles(self.project, self.controller.jobs, store, self)
        self.leaving = Leaving(self.controller, self.files, self)
        self.layout_memory = LayoutMemory(self, store)
        self.probe = DeviceProbe(self)
        self.awake = KeepAwake(self)
        self.notice = Notice(self)
        self.reporting = Reporting(self.project, self.controller, self.probe, self)
        self.menus = Menus(self.menuBar())
        titles = (self.tr("Data"), self.tr("Masks"), self.tr("Train"), self.tr("Inspect"), self.tr("Export"))
        self.rail = Rail(tuple(zip(PAGES, titles, strict=True)))
        self.status = RunStatus()
        self._lay_out()
        self._connect()
        self.layout_memory.restore_window()
        self._fill_recent()
        self._show_theme()
        self._on_project()
        self._on_run_state(RunState.IDLE)
        self.show_page("data")

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
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

    # Pages -------------------------------------------------------------------------------------

    @cached_property
    def data(self) -> DataPage:
        page = self._add("data", DataPage(self.project, self.dataset, self.controller.jobs))
        page.demo_requested.connect(self.files.demo)
        self._follow_run(page.set_run_state)
        return page

    @cached_property
    def masks(self) -> MasksPage:
        from masktwins_gui.pages.masks import MasksPage

        page = self._add("masks", MasksPage(self.project, self.dataset, self.controller.jobs))
        page.data_requested.connect(lambda: self.show_page("data"))
        page.demo_requested.connect(self.files.demo)
        self._follow_run(page.set_run_state)
        return page

    @cached_property
    def train(self) -> TrainPage:
        from masktwins_gui.pages.train.page import TrainPage

        c = self.controller
        page = TrainPage(self.project, self.dataset, c.runs, c.shown, c.comparison, c.jobs)
        page.start_requested.connect(self._start)
        page.repeat_requested.connect(self._repeat)
        page.resume_requested.connect(c.resume_run)
        page.pause_requested.connect(c.pause)
        page.continue_requested.connect(c.resume)
        page.stop_requested.connect(c.stop)
        page.stop_best_requested.connect(lambda: c.stop(keep_best=True))
        page.measure_requested.connect(c.measure)
        page.run_chosen.connect(c.loader.show)
        page.runs_changed.connect(c.loader.refresh)
        page.failed.connect(self._show_failure)
        page.data_requested.connect(lambda: self.show_page("data"))
        page.inspect_requested.connect(lambda: self.show_page("inspect"))
        page.export_requested.connect(lambda: self.show_page("export"))
        page.attention_wanted.connect(lambda: self.show_page("train"))
        c.message.connect(page.show_message)
        c.stepped.connect(page.show_step)
        c.measuring.connect(page.show_measuring)
        c.measured.connect(page.show_estimate)
        c.ended.connect(page.show_end)
        c.repeated.connect(page.show_repeats)
        self._follow_run(page.set_run_state)
        return self._add("train", page)

    @cached_property
    def inspect(self) -> InspectPage:
        from masktwins_gui.pages.inspect.page import InspectPage

        c = self.controller
        page = self._add("inspect", InspectPage(self.project, self.dataset, c.runs, c.jobs, c.inference))
        page.train_requested.connect(lambda: self.show_page("train"))
        page.demo_requested.connect(self.files.demo)
        return page

    @cached_property
    def export(self) -> ExportPage:
        from masktwins_gui.pages.export import ExportPage

        c = self.controller
        page = self._add("export", ExportPage(self.project, self.dataset, c.runs, c.inference))
        page.train_requested.connect(lambda: self.show_page("train"))
        page.demo_requested.connect(self.files.demo)
        return page

    @property
    def pages(self) -> dict[str, Page]:
        """All pages by name; makes those that are not there yet."""
        return {name: getattr(self, name) for name in PAGES}

    def _add(self, name: str, page: Shown) -> Shown:
        self.stack.addWidget(page)
        theme.retint(page)  # some buttons have got their role after their icon
        self.layout_memory.restore_page(page)
        page.state_changed.connect(self.rail.buttons[name].set_state)
        return page

    def _follow_run(self, set_run_state: Callable[[RunState], None]) -> None:
        set_run_state(self.controller.state)
        self.controller.state_changed.connect(set_run_state)

    def show_page(self, name: str) -> None:
        page = getattr(self, name)
        self.stack.setCurrentWidget(page)
        self.rail.set_current(PAGES.index(name))
        if self.rail.isAncestorOf(self.focusWidget() or self):
            return  # the arrow keys and Tab go on in the rail
        page.setFocus()

    @property
    def page(self) -> str:
        """The name of the page that is shown."""
        shown = self.stack.currentWidget()
        return next((name for name in PAGES if shown is not None and shown.objectName() == name), PAGES[0])

    def make_pages(self) -> None:
        """Make the pages that the first picture did not need, and show the one that was open last."""
        self.pages  # noqa: B018 - makes them
        if self.layout_memory.page in PAGES:
            self.show_page(self.layout_memory.page)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self, self._on_painted)

    def _on_painted(self) -> None:
        self.layout_memory.fit_to_screen()  # only now has the desktop drawn its frame
        self.painted.emit()

    # Connections -------------------------------------------------------------------------------

    def _connect(self) -> None:
        c = self.controller
        self.rail.page_chosen.connect(lambda index: self.show_page(PAGES[index]))
        self.rail.theme_toggled.connect(self.toggle_theme)
        self.rail.settings_button.clicked.connect(self._show_settings)
        self.rail.device.clicked.connect(self._show_settings)
        self.probe.found.connect(self.rail.set_device)
        self.probe.found.connect(lambda device, _: self.dataset.set_device(device))
        c.state_changed.connect(self._on_run_state)
        c.state_changed.connect(self.status.set_state)
        c.state_changed.connect(lambda state: self.awake.set_active(state.active))
        c.started.connect(self.status.show_start)
        c.started.connect(lambda event: self.rail.set_device(event.device, event.device_reason))
        c.stepped.connect(self.status.show_step)
        c.measuring.connect(self.status.show_measuring)
        c.ended.connect(self.notice.show_end)
        c.failed.connect(self._show_run_failure)
        c.measure_failed.connect(self._show_measure_failure)
        c.closed.connect(self.close)
        self.files.failed.connect(self._show_failure)
        self.files.busy.connect(self._show_busy)
        self.files.recent_changed.connect(self._fill_recent)
        self.files.runs_moved.connect(c.loader.refresh)
        self.leaving.ready.connect(self.close)
        self.leaving.stopping.connect(lambda: self.setEnabled(False))
        self.project.changed.connect(self._on_project)
        self.project.path_changed.connect(self._on_project)
        self.project.history_changed.connect(self._on_project)
        self.dataset.changed.connect(self._start_when_ready, Qt.ConnectionType.QueuedConnection)  # after the pages
        self._connect_menus()

    def _connect_menus(self) -> None:
        menus = self.menus
        menus.new.triggered.connect(lambda: self.files.new(self.preferences.new_config()))
        menus.open.triggered.connect(self.files.ask_open)
        menus.demo.triggered.connect(self.files.demo)
        menus.save.triggered.connect(self.files.save)
        menus.save_as.triggered.connect(self.files.ask_save)
        menus.quit.triggered.connect(self.close)
        menus.undo.triggered.connect(self.project.undo)
        menus.redo.triggered.connect(self.project.redo)
        menus.settings.triggered.connect(self._show_settings)
        menus.theme.triggered.connect(self.toggle_theme)
        menus.layout.triggered.connect(self.layout_memory.reset)
        menus.chapter.triggered.connect(lambda: self.show_help(CHAPTERS[self.page]))
        menus.guide.triggered.connect(lambda: self.show_help("contents"))
        menus.report.triggered.connect(self.reporting.show)
        menus.about.triggered.connect(self._about)

    # The project and its run -------------------------------------------------------------------

    def _on_project(self, *_: object) -> None:
        folder = self.project.folder.name if self.project.folder else ""
        title = f"{folder} / {self.project.title}" if folder and folder != self.project.title else self.project.title
        self.setWindowTitle(f"{title}[*] – MaskTwins")
        self.setWindowModified(self.project.modified)
        self.menus.undo.setEnabled(self.project.can_undo)
        self.menus.redo.setEnabled(self.project.can_redo)

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

    def _on_run_state(self, state: RunState) -> None:
        for action in (self.menus.new, self.menus.open, self.menus.demo, self.menus.save_as):
            action.setEnabled(not state.active)
        self.menus.recent.setEnabled(not state.active)

    def _show_run_failure(self, message: str, details: str) -> None:
        if self.leaving.agreed:
            return
        run = self.controller.runs.find(self.controller.run_path)
        saved = run is not None and run.saved_step > 0
        advice = (
            self.tr("Its newest checkpoint is kept. Remove the cause, then press Resume on the Train page.")
            if saved
            else self.tr("It has no checkpoint yet. Remove the cause, then start again.")
        )
        self._show_failure(self.tr("The training has failed"), message, details, advice)

    def _show_measure_failure(self, message: str, details: str) -> None:
        if not self.leaving.agreed:
            advice = self.tr("Nothing was kept. Change the settings, and measure again.")
            self._show_failure(self.tr("The measurement has failed"), message, details, advice)

    def _show_failure(self, title: str, message: str, details: str, advice: str = "") -> None:
        ErrorDialog(title, message, advice, details, self).open()

    def _show_busy(self, text: str) -> None:
        self.statusBar().showMessage(text) if text else self.statusBar().clearMessage()
        self.stack.setEnabled(not text)

    def _fill_recent(self) -> None:
        self.menus.recent.clear()
        for path in self.files.recent():
            action = self.menus.recent.addAction(str(path))
            action.triggered.connect(lambda _=False, path=path: self._open_recent(path))
        self.menus.recent.menuAction().setVisible(bool(self.files.recent()))

    def _open_recent(self, path: Path) -> None:
        if self.files.confirm_unsaved():
            self.files.open(path)

    # Around the pages --------------------------------------------------------------------------

    @cached_property
    def help_window(self) -> HelpWindow:
        return HelpWindow(self)

    def show_help(self, chapter: str) -> None:
        """Show a chapter of the user guide, such as "training"."""
        self.help_window.show_chapter(chapter)
        self.help_window.show()
        self.help_window.raise_()
        self.help_window.activateWindow()

    def _show_settings(self) -> None:
        dialog = SettingsDialog(self.preferences, self.rail.device.toolTip(), self)
        dialog.theme_chosen.connect(self.set_theme)
        dialog.recent_forgotten.connect(self.files.forget_all)
        dialog.open()

    def toggle_theme(self) -> None:
        self.set_theme(theme.Theme.LIGHT if self.preferences.theme is theme.Theme.DARK else theme.Theme.DARK)

    def set_theme(self, chosen: theme.Theme) -> None:
        """Change the colours of the whole application, and remember it."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        self.preferences.theme = chosen
        theme.apply(app, chosen)
        self._show_theme()

    def _show_theme(self) -> None:
        theme.set_icon(self.rail.theme_button, "sun" if self.preferences.theme is theme.Theme.DARK else "moon")

    def _about(self) -> None:
        text = self.tr(
            "MaskTwins adapts a segmentation model to a new camera without new labels. It hides two complementary halves "
            "of an image and trains the model to predict the same for both (Wang et al., ICML 2025)."
        )
        QMessageBox.about(self, self.tr("About MaskTwins"), text)

    # Closing -----------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Other threads may be in the middle of an image: hide the window at once, and close when they have ended."""
        if self._hidden_for_good:
            event.setAccepted(self.controller.quiet)
            return
        if not self.leaving.may_close():
            event.ignore()
            return
        self.layout_memory.remember(self.page)
        self.probe.close()
        self.awake.set_active(False)
        self.controller.close()
        self._hidden_for_good = not self.controller.quiet
        event.setAccepted(not self._hidden_for_good)
        self.hide()
