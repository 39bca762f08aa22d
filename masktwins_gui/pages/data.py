"""The Data page: choose the folders, see what they hold and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.checking.check import Report, check
from core.checking.fixes import Fix, find_fixes
from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.sections import DataConfig
from core.dataset.listing import labels_of
from core.errors import ConfigError
from masktwins_gui.models.beside import ROLES, propose
from masktwins_gui.models.dataset import DatasetModel, Holdings, listed_from, space_setting, take_stock
from masktwins_gui.models.label_document import LabelDocument
from masktwins_gui.models.preferences import data_home
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.services import Handle, Jobs, TaskContext
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.widgets.busy_state import BusyState
from masktwins_gui.widgets.class_panel import ClassPanel
from masktwins_gui.widgets.config_form import ConfigForm
from masktwins_gui.widgets.controls import describe, push_button, scrolled
from masktwins_gui.widgets.domain_card import DomainCard
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.folder_field import FolderField, dropped_folders
from masktwins_gui.widgets.problem_panel import ProblemPanel
from masktwins_gui.widgets.thumbnails import ThumbnailPanel
from masktwins_gui.widgets.training_advice import TrainingAdvice

CHECK_DELAY_MS = 400


class DataPage(QWidget):
    """Edits [data], lists the folders at each change, and checks them off the GUI thread."""

    state_changed = Signal(object, int)  # PageState, count
    demo_requested = Signal()

    def __init__(self, project: ProjectModel, dataset: DatasetModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("data")
        self.setAcceptDrops(True)
        self._project, self._dataset, self._jobs = project, dataset, jobs
        self._data: DataConfig | None = None
        self._check: Handle | None = None
        self._proposed: set[str] = set()

        self.fields = {role: self._field(role) for role in ROLES}
        self._make_check()
        self.class_panel = ClassPanel()
        self.thumbnails = ThumbnailPanel(dataset, jobs)
        self.domains = DomainCard()
        self.advice = TrainingAdvice(project, dataset)
        self.form = ConfigForm(project, [s for s in settings.settings("data") if s.kind != "path"], name="data.form")
        self.empty = EmptyState(
            "data",
            self.tr("Start with two cameras"),
            self.tr(
                "Choose the labelled images of one camera and the unlabelled images of the other, on the left. "
                "The neighbouring folders are proposed for you. No data at hand? Try the demo."
            ),
            name="data.empty",
        )
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.setInterval(CHECK_DELAY_MS)
        self._lay_out()

        self._connect()
        self._set_checking(False)
        self._on_project(project.config)

    def _make_check(self) -> None:
        self.check_button = push_button(
            "data.check", self.tr("Check the data"), self.tr("Read every image and label and report what is wrong")
        )
        self.cancel_button = push_button("data.cancel", self.tr("Cancel"), self.tr("Stop the check; nothing is lost"))
        self.progress = QProgressBar()
        describe(self.progress, "data.progress", self.tr("Progress of the check"))
        self.problem_panel = ProblemPanel()
        self.problems = self.problem_panel.model

    def _connect(self) -> None:
        for role, field in self.fields.items():
            field.chosen.connect(lambda path, role=role: self.choose(role, path))
        self.check_button.clicked.connect(self.check)
        self.cancel_button.clicked.connect(self.cancel_check)
        self.problem_panel.fix_chosen.connect(self._fix)
        self.class_panel.edited.connect(self._save_classes)
        self.empty.demo_requested.connect(self.demo_requested)
        self._check_timer.timeout.connect(self.check)
        self._project.changed.connect(self._on_project)

    # Layout ------------------------------------------------------------------------------------

    def _field(self, role: str) -> FolderField:
        setting = next(s for s in settings.settings("data") if s.path == f"data.{role}")
        return FolderField(setting.title, setting.description, f"data.{role}")

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
        self.content, self.listing = self._make_tabs(), BusyState(self.tr("Listing the folders …"), "data.listing")
        for widget in (self.empty, self.content, self.listing):
            self.stack.addWidget(widget)

        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("data.splitter")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self._make_left())
        self.splitter.addWidget(self.stack)
        self.splitter.setSizes([430, 660])
        self.splitter.setStretchFactor(1, 1)  # the folders keep their width
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.splitter)

    def _make_left(self) -> QScrollArea:
        check_row = QHBoxLayout()
        check_row.addWidget(self.check_button)
        check_row.addWidget(self.progress, 1)
        check_row.addWidget(self.cancel_button)
        check_row.addStretch(0)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 12, 6, 12)
        column.setSpacing(8)
        for field in self.fields.values():
            column.addWidget(field)
        column.addLayout(check_row)
        column.addWidget(self.problem_panel, 1)
        column.addWidget(self.advice)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(left)
        left.setMinimumWidth(300)
        return scroll

    def _make_tabs(self) -> QWidget:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("data.tabs")
        self.tabs.addTab(self.thumbnails, self.tr("Images"))
        self.tabs.addTab(self.class_panel, self.tr("Classes"))
        self.tabs.addTab(self.domains, self.tr("Domains"))
        self.tabs.addTab(scrolled(self.form), self.tr("Settings"))
        self.tabs.setTabToolTip(3, self.tr("How the images are read, cropped and drawn"))
        right = QWidget()
        right_column = QVBoxLayout(right)
        right_column.setContentsMargins(6, 12, 12, 12)
        right_column.addWidget(self.tabs)
        return right

    # Folders -----------------------------------------------------------------------------------

    def choose(self, role: str, path: Path | None) -> None:
        """Set one folder; empty ones get the neighbours that fit, whose names a job reads."""
        if path is None:
            self._set_folders(role, None, {})
        else:
            found = lambda _: propose(role, path)  # noqa: E731
            self._jobs.submit(f"propose {role}", found, lambda others: self._set_folders(role, path, others))

    def _set_folders(self, role: str, path: Path | None, others: dict[str, Path]) -> None:
        """Set a chosen folder and its neighbours together: one choice is one undo."""
        config = self._project.config
        empty = {other: folder for other, folder in others.items() if settings.get(config, f"data.{other}") is None}
        self._proposed = (self._proposed | set(empty)) - {role}
        try:
            self._project.change({f"data.{name}": folder for name, folder in {role: path, **empty}.items()})
        except ConfigError as error:
            self.fields[role].set_note(str(error), "error")

    def _on_project(self, config: RunConfig) -> None:
        if self._data is not None and listed_from(config.data) == listed_from(self._data):
            self._data = config.data
            return
        self.cancel_check()
        self._data = config.data
        for role, field in self.fields.items():
            path = settings.get(config, f"data.{role}")
            field.set_path(path)
            field.set_note("")
            if path is None:
                self._proposed.discard(role)
        self.problem_panel.set_problems(())
        self.problem_panel.say("", "muted")
        if not any(settings.get(config, f"data.{role}") for role in ROLES):
            self._take(Holdings())
            return
        data = config.data
        self._show_listing()
        self._jobs.submit("scan", lambda _: take_stock(data), self._take, self._scan_failed)

    def _show_listing(self) -> None:
        """Show that the folders are being listed, which takes seconds where they hold thousands of files."""
        for field in self.fields.values():
            if field.path is not None:
                field.set_note(self.tr("listing …"))
        self.stack.setCurrentWidget(self.listing)
        self.problem_panel.say(self.tr("Listing the folders …"), "muted")
        self.state_changed.emit(PageState.RUNNING, 0)

    def _take(self, holdings: Holdings) -> None:
        self._dataset.set_holdings(holdings)
        self.stack.setCurrentWidget(self.content if holdings.pairs else self.empty)
        self.problem_panel.set_problems(holdings.problems)
        self.class_panel.show_classes(holdings.document, holdings.recognition, {})
        self.domains.clear()
        self._write_notes(holdings)
        self._say()
        if self._dataset.complete:
            self._check_timer.start()

    def _scan_failed(self, message: str, details: str) -> None:
        self._take(Holdings())
        self.problem_panel.say(message, "error", details)
        self.state_changed.emit(PageState.ATTENTION, 1)

    def _write_notes(self, holdings: Holdings) -> None:
        assert self._data is not None
        roles = {"source_images": "source", "target_images": "target", "target_labels": "evaluation"}
        for role, field in self.fields.items():
            if field.path is None:
                field.set_note(self.tr("optional") if role in ("target_labels", "evaluation_images") else "")
                continue
            if field.path in holdings.missing:
                field.set_note(self.tr("not found"), "error")
                continue
            note = ""
            if role in roles:
                note = self.tr("{0} images").format(len(holdings.pairs.get(roles[role], ())))
            if role == "source_labels":
                note = self.tr("{0} labels").format(sum(p.label is not None for p in holdings.pairs.get("source", ())))
            if role == "target_labels":
                note = self.tr("{0} labels").format(len(holdings.pairs.get("evaluation", ())))
            if role in self._proposed:
                note = f"{note} · {self.tr('proposed')}" if note else self.tr("proposed")
            field.set_note(note)

    def set_run_state(self, state: RunState) -> None:
        """A run keeps the folders that it was started with."""
        for field in self.fields.values():
            field.setEnabled(not state.active)
        self.form.set_running(state.active)
        self.class_panel.set_editable(not state.active)
        self.problem_panel.set_fixable(not state.active)

    # Classes -----------------------------------------------------------------------------------

    def _save_classes(self, document: LabelDocument) -> None:
        """Write the edited classes beside the project in a job thread, and use them; undo brings the former ones back."""
        folder = (self._project.folder or data_home()) / "label_spaces"
        setting = space_setting(self._project.config.data)

        def use(path: Path) -> None:
            self._project.change({setting: str(path)})

        self._jobs.submit("classes", lambda _: document.save(folder), use, self._classes_failed)

    def _classes_failed(self, message: str, details: str) -> None:
        self.class_panel.refuse(self.tr("The classes cannot be saved: {0}").format(message))

    # Fixes -------------------------------------------------------------------------------------

    def _find_fixes(self, report: Report) -> None:
        """Look in a job thread for changes that are certain to solve a problem."""
        data, problems = self._project.config.data, report.problems
        pairs = {"source": self._dataset.pairs("source"), "target": self._dataset.to_look_at}
        images = {camera: [pair.image for pair in found] for camera, found in pairs.items()}
        labels = {camera: labels_of(found) for camera, found in pairs.items()}

        def show(fixes: tuple[Fix, ...]) -> None:
            if self._dataset.report is report:
                self.problem_panel.set_fixes(fixes)

        self._jobs.submit("fixes", lambda _: find_fixes(problems, data, images, labels), show)

    def _fix(self, fix: Fix) -> None:
        """Make the change; what is listed is then checked again by itself, other changes ask for it."""
        self._project.change(fix.changes)
        if self._dataset.report is not None and self.stack.currentWidget() is not self.listing:
            self.check()

    # Check -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Read every file in a job thread."""
        self._check_timer.stop()
        if self._data is None or not self._dataset.complete:
            return
        data, crop_hw = self._data, self._project.config.training.crop_hw

        def work(task: TaskContext) -> Report:
            return check(data, crop_hw, progress=task.progress, cancelled=task.cancelled)

        def show(report: Report) -> None:
            self._show_report(report, crop_hw)

        self._set_checking(True)
        self._check = self._jobs.submit("check", work, show, self._check_failed, self._show_progress)

    def cancel_check(self) -> None:
        self._check_timer.stop()
        if self._check is not None:
            self._check.cancel()
            self._check = None
            self._set_checking(False)
            self._say()

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)
        self.progress.setFormat(self.tr("{0} of {1} files").format(done, total))

    def _show_report(self, report: Report, crop_hw: tuple[int, int]) -> None:
        self._check = None
        self._set_checking(False)
        self._dataset.set_report(report, crop_hw)
        self.problem_panel.set_problems(report.problems)
        if report.space is not None:
            self.class_panel.show_classes(
                self._dataset.holdings.document, report.recognition, report.statistics.class_shares
            )
        self.thumbnails.show_pairing(report.pairing)
        self._find_fixes(report)
        self.domains.show_statistics(report.statistics)
        self._say()

    def _check_failed(self, message: str, details: str) -> None:
        self._check = None
        self._set_checking(False)
        self.problem_panel.say(self.tr("The check has failed: {0}").format(message), "error", details)
        self.state_changed.emit(PageState.ATTENTION, 1)

    def _set_checking(self, checking: bool) -> None:
        self.check_button.setVisible(not checking)
        self.check_button.setEnabled(self._dataset.complete)
        self.progress.setVisible(checking)
        self.cancel_button.setVisible(checking)
        if checking:
            self.progress.setRange(0, 0)
            self.state_changed.emit(PageState.RUNNING, 0)

    def _say(self) -> None:
        """Sum up in a sentence and in the rail."""
        errors, warnings = self.problems.num_errors(), self.problems.rowCount() - self.problems.num_errors()
        self.check_button.setEnabled(self._dataset.complete)
        if errors:
            text = self.tr("1 error blocks the training.") if errors == 1 else self.tr("{0} errors block the training.")
            text, role = text.format(errors), "error"
        elif not self._dataset.complete:
            text, role = "", "muted"
        elif self._dataset.report is None:
            text, role = self.tr("Not checked yet."), "muted"
        elif warnings:
            text = self.tr("Ready to train; 1 warning.") if warnings == 1 else self.tr("Ready to train; {0} warnings.")
            text, role = text.format(warnings), "warn"
        else:
            text, role = self.tr("✓ No problems found. Ready to train."), "good"
        self.problem_panel.say(text, role)
        if errors or warnings:
            self.state_changed.emit(PageState.ATTENTION, errors or warnings)
        elif not self._dataset.holdings.pairs:
            self.state_changed.emit(PageState.EMPTY, 0)
        else:
            self.state_changed.emit(PageState.DONE if self._dataset.report is not None else PageState.READY, 0)

    # Drops -------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_folders(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """A folder dropped beside the fields fills the first empty one."""
        folders = dropped_folders(event)
        for role, field in self.fields.items():
            if folders and field.path is None:
                event.acceptProposedAction()
                self.choose(role, folders[0])
                return
