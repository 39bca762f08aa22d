"""The Export page: write the adapted weights, verified, and say how to use them elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPlainTextEdit,
    QProgressBar,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from core.events import Model
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.elsewhere import run_elsewhere
from masktwins_gui.models.exports import ExportsModel, rows_at
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.services import Exported, ExportRequest, Handle, Inference
from masktwins_gui.models.states import PageState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import check_box, describe, push_button
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.folder_field import FolderField
from masktwins_gui.widgets.model_picker import ModelPicker


class ExportPage(QWidget):
    """Chooses a model, formats and a folder; ticks a file only when it has been loaded again and compared."""

    state_changed = Signal(object, int)  # PageState, count
    demo_requested = Signal()
    train_requested = Signal()

    def __init__(
        self,
        project: ProjectModel,
        dataset: DatasetModel,
        runs: RunsModel,
        inference: Inference,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("export")
        self._project, self._dataset, self._runs, self._inference = project, dataset, runs, inference
        self._task: Handle | None = None
        self._formats_asked: tuple[str, ...] = ()
        self.picker = ModelPicker("export.source_run", "export.checkpoint", Model.TEACHER)
        self._make_formats()
        self.folder = FolderField(self.tr("Folder"), self.tr("Where the files are written"), "export.folder")
        self._make_results()
        self.empty = EmptyState(
            "export",
            self.tr("Nothing to export yet"),
            self.tr("Once a run has left a checkpoint, its weights are written here for other programs."),
            self.tr("Go to Train"),
            name="export.empty",
        )
        self._lay_out()

        self._connect()
        self._set_busy(False)
        self._on_runs()

    def _make_formats(self) -> None:
        self.formats = {
            "safetensors": check_box(
                "export.safetensors", self.tr("safetensors"), self.tr("Weights for this program and for Python")
            ),
            "onnx": check_box(
                "export.onnx", self.tr("ONNX"), self.tr("One file for onnxruntime, TensorRT, OpenVINO …")
            ),
            "pt2": check_box(
                "export.pt2", self.tr("torch.export (pt2)"), self.tr("One file for torch, without this program")
            ),
        }
        self.formats["safetensors"].setChecked(True)
        self.formats["onnx"].setChecked(True)

    def _make_results(self) -> None:
        self.run = push_button(
            "export.run",
            self.tr("Export"),
            self.tr("Write the files, load each again and compare it on real target images"),
            primary=True,
        )
        self.cancel = push_button(
            "export.cancel", self.tr("Cancel"), self.tr("Stop; an earlier bundle stays as it was")
        )
        self.progress = QProgressBar()
        describe(self.progress, "export.progress", self.tr("Steps of the export"))
        self.verdict = theme.label("", "muted")
        self.verdict.setObjectName("export.verdict")
        self.verdict.setWordWrap(True)
        self.licences = theme.label("", "muted")
        self.licences.setObjectName("export.licences")
        self.licences.setWordWrap(True)
        self.licences.hide()
        self.rows = ExportsModel(self)
        self.table = QTableView()
        describe(self.table, "export.files", self.tr("Exported files"))
        self.table.setModel(self.rows)
        self.open = push_button("export.open", self.tr("Open the folder"), self.tr("Show the files that were written"))
        self.elsewhere = QPlainTextEdit()
        describe(self.elsewhere, "export.elsewhere", self.tr("Run elsewhere"), self.tr("Commands for another machine"))
        self.elsewhere.setReadOnly(True)
        self.elsewhere.setTabChangesFocus(True)
        self.elsewhere.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.copy = push_button("export.copy", self.tr("Copy"), self.tr("Copy these lines"))

    def _connect(self) -> None:
        self._runs.modelReset.connect(self._on_runs)
        self.picker.changed.connect(self._on_model)
        self.folder.chosen.connect(self._say_elsewhere)
        for box in self.formats.values():
            box.toggled.connect(self._update_button)
        self.run.clicked.connect(self._export)
        self.cancel.clicked.connect(self._cancel)
        self.open.clicked.connect(self._open)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.elsewhere.toPlainText()))
        self.empty.acted.connect(self.train_requested)
        self.empty.demo_requested.connect(self.demo_requested)

    def _lay_out(self) -> None:
        self.table.setShowGrid(False)
        self.table.setSelectionMode(QTableView.SelectionMode.NoSelection)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(True)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        elsewhere_head = QHBoxLayout()
        elsewhere_head.addWidget(theme.label(self.tr("Run elsewhere"), "heading"))
        elsewhere_head.addStretch(1)
        elsewhere_head.addWidget(self.copy)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(10)
        column.addWidget(self._make_card())
        column.addWidget(self.table, 2)
        column.addLayout(elsewhere_head)
        column.addWidget(self.elsewhere, 2)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def _make_card(self) -> QFrame:
        form = QFormLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        form.addRow(self.tr("Model"), self.picker)
        boxes = QHBoxLayout()
        boxes.setSpacing(18)
        for box in self.formats.values():
            boxes.addWidget(box)
        boxes.addStretch(1)
        form.addRow(self.tr("Formats"), boxes)
        actions = QHBoxLayout()
        actions.addWidget(self.run)
        actions.addWidget(self.progress, 1)
        actions.addWidget(self.cancel)
        actions.addWidget(self.verdict, 1)
        actions.addWidget(self.open)
        card = QFrame()
        card.setProperty("role", "card")
        card_column = QVBoxLayout(card)
        card_column.setContentsMargins(14, 12, 14, 12)
        card_column.setSpacing(10)
        card_column.addLayout(form)
        card_column.addWidget(self.folder)
        card_column.addLayout(actions)
        card_column.addWidget(self.licences)
        return card

    # Choices -----------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        self.picker.set_runs(self._runs.runs)
        self.stack.setCurrentIndex(1 if self.picker.choice else 0)
        self._announce()

    def _on_model(self) -> None:
        """Propose the run's own folder, unless another one was chosen."""
        choice = self.picker.choice
        if choice is not None and (self.folder.path is None or self.folder.path.name == "export"):
            self.folder.set_path(choice.path / "export")
        self._forget_results()
        self._say_elsewhere()

    def _forget_results(self) -> None:
        """The figures are those of another model."""
        if self._task is None:
            self.rows.set_rows(())
            self.verdict.clear()
            self.licences.hide()
            self.open.hide()

    def _chosen_formats(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.formats.items() if box.isChecked())

    def _update_button(self) -> None:
        self.run.setEnabled(bool(self._chosen_formats()) and self._task is None)

    def _say_elsewhere(self, *_: object) -> None:
        choice = self.picker.choice
        if choice is None:
            return
        words = {
            "place": self.tr(
                "In the project's folder, copied there with its data; where these lie elsewhere, add --data-root OLD=NEW."
            ),
            "again": self.tr("Train again with the settings of this run:"),
            "resume": self.tr("Go on with this run from its newest checkpoint:"),
            "predict": self.tr("Predict a folder of images with this model:"),
            "python": self.tr("Load the exported ONNX file in Python:"),
        }
        out = self.folder.path or choice.path / "export"
        self.elsewhere.setPlainText(run_elsewhere(self._project.folder, choice, out, words))

    # Export ------------------------------------------------------------------------------------

    def _export(self) -> None:
        choice, formats = self.picker.choice, self._chosen_formats()
        if choice is None or not formats:
            return
        out = self.folder.path or choice.path / "export"
        images = tuple(pair.image for pair in self._dataset.to_look_at)
        self._formats_asked = formats
        self._task = self._inference.export(
            ExportRequest(choice, out, formats, images), self._show_result, self._failed, self._show_progress
        )
        self._set_busy(True)
        self.verdict.setText("")
        self.licences.hide()
        self.rows.set_rows(rows_at(formats, 0))

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)
        self.rows.set_rows(rows_at(self._formats_asked, done))

    def _show_result(self, exported: Exported) -> None:
        self._set_busy(False)
        self.rows.set_rows(exported.rows)
        text = self.tr("{0} files written, loaded again and compared on {1}")
        self.verdict.setText(text.format(len(exported.rows), exported.place))
        theme.set_role(self.verdict, "good")
        code, weights = exported.licences
        self.licences.setText(self.tr("Licences: code {0}; starting weights {1}").format(code, weights))
        self.licences.show()
        self.open.show()
        self.state_changed.emit(PageState.DONE, 0)

    def _failed(self, message: str, details: str) -> None:
        self._set_busy(False)
        self.rows.set_rows(())
        self.verdict.setText(message)
        self.verdict.setToolTip(plain_tip(details))
        theme.set_role(self.verdict, "error")
        self.state_changed.emit(PageState.ATTENTION, 1)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._set_busy(False)
        self.rows.set_rows(())
        self.verdict.setText(self.tr("Cancelled: what was there before stays."))
        theme.set_role(self.verdict, "muted")

    def _set_busy(self, busy: bool) -> None:
        self.progress.setVisible(busy)
        self.cancel.setVisible(busy)
        self.verdict.setVisible(not busy)
        self.open.hide()
        if busy:
            self.progress.setRange(0, 0)
            self.state_changed.emit(PageState.RUNNING, 0)
        else:
            self._task = None
            self._announce()
        self._update_button()

    def _announce(self) -> None:
        self.state_changed.emit(PageState.READY if self.picker.choice else PageState.EMPTY, 0)

    def _open(self) -> None:
        if self.folder.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder.path)))
