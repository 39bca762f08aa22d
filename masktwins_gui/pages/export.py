"""The Export page: write the adapted weights, verified, and say how to use them elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from core.events import Model
from masktwins_gui import theme
from masktwins_gui.models.choices import choices
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.elsewhere import run_elsewhere
from masktwins_gui.models.exports import ExportRow, ExportsModel
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.services import ExportRequest, Handle, Inference, ModelChoice
from masktwins_gui.models.states import PageState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.folder_field import FolderField

NUM_COMPARED = 4  # target images that every file is compared on


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
        self._chosen_by_hand: set[QComboBox] = set()  # the others follow the newest run as it grows
        self.run_box = _combo("export.source_run", self.tr("Run"))
        self.model_box = _combo("export.checkpoint", self.tr("Checkpoint and model"))
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
            "safetensors": _check(
                "export.safetensors", self.tr("safetensors"), self.tr("Weights for this program and for Python")
            ),
            "onnx": _check("export.onnx", self.tr("ONNX"), self.tr("One file for onnxruntime, TensorRT, OpenVINO …")),
            "pt2": _check(
                "export.pt2", self.tr("torch.export (pt2)"), self.tr("One file for torch, without this program")
            ),
        }
        self.formats["safetensors"].setChecked(True)
        self.formats["onnx"].setChecked(True)

    def _make_results(self) -> None:
        self.run = QPushButton(self.tr("Export"))
        self.run.setObjectName("export.run")
        self.run.setProperty("role", "primary")
        self.run.setToolTip(self.tr("Write the files, load each again and compare it on real target images"))
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setObjectName("export.cancel")
        self.progress = QProgressBar()
        self.progress.setObjectName("export.progress")
        self.progress.setAccessibleName(self.tr("Progress of the export"))
        self.verdict = theme.label("", "muted")
        self.verdict.setWordWrap(True)
        self.rows = ExportsModel(self)
        self.table = QTableView()
        self.table.setObjectName("export.files")
        self.table.setAccessibleName(self.tr("Exported files"))
        self.table.setModel(self.rows)
        self.open = QPushButton(self.tr("Open the folder"))
        self.open.setObjectName("export.open")
        self.elsewhere = QPlainTextEdit()
        self.elsewhere.setObjectName("export.elsewhere")
        self.elsewhere.setAccessibleName(self.tr("Run elsewhere"))
        self.elsewhere.setReadOnly(True)
        self.elsewhere.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.copy = QPushButton(self.tr("Copy"))
        self.copy.setObjectName("export.copy")

    def _connect(self) -> None:
        self._runs.modelReset.connect(self._on_runs)
        self.run_box.currentIndexChanged.connect(self._on_run)
        self.model_box.currentIndexChanged.connect(self._say_elsewhere)
        for combo in (self.run_box, self.model_box):
            combo.activated.connect(lambda _, combo=combo: self._chosen_by_hand.add(combo))
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
        form.addRow(self.tr("Run"), self.run_box)
        form.addRow(self.tr("Model"), self.model_box)
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
        return card

    # Choices -----------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        runs = [run for run in self._runs.runs if run.checkpoints or run.has_source]
        kept = self.run_box.currentData() if self.run_box in self._chosen_by_hand else None
        kept_path = kept.path if isinstance(kept, RunInfo) else None
        blocker = QSignalBlocker(self.run_box)
        self.run_box.clear()
        for run in runs:
            self.run_box.addItem(run.name, run)
        self.run_box.setCurrentIndex(next((i for i, r in enumerate(runs) if r.path == kept_path), 0) if runs else -1)
        blocker.unblock()
        self.stack.setCurrentIndex(1 if runs else 0)
        self._announce()
        self._on_run()

    def _on_run(self) -> None:
        run = self.run_box.currentData()
        if not isinstance(run, RunInfo):
            return
        words = {
            "source": self.tr("Source-only"),
            "teacher": self.tr("Teacher"),
            "student": self.tr("Student"),
            "last": self.tr("newest"),
            "best": self.tr("best"),
            "step {0}": self.tr("step {0}"),
        }
        offered = choices(run, words)
        kept = self.model_box.currentData() if self.model_box in self._chosen_by_hand else None
        blocker = QSignalBlocker(self.model_box)
        self.model_box.clear()
        for choice in offered:
            self.model_box.addItem(choice.title, choice)
        default = next((i for i, c in enumerate(offered) if c.which is Model.TEACHER), 0)
        self.model_box.setCurrentIndex(offered.index(kept) if kept in offered else default)
        blocker.unblock()
        if self.folder.path is None or self.folder.path.name == "export":
            self.folder.set_path(run.path / "export")
        self._say_elsewhere()

    def _chosen_formats(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.formats.items() if box.isChecked())

    def _update_button(self) -> None:
        self.run.setEnabled(bool(self._chosen_formats()) and self._task is None)

    def _say_elsewhere(self, *_: object) -> None:
        run, choice = self.run_box.currentData(), self.model_box.currentData()
        if not isinstance(run, RunInfo) or not isinstance(choice, ModelChoice):
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
        out = self.folder.path or run.path / "export"
        self.elsewhere.setPlainText(run_elsewhere(self._project.folder, choice, out, words))

    # Export ------------------------------------------------------------------------------------

    def _export(self) -> None:
        run, choice = self.run_box.currentData(), self.model_box.currentData()
        formats = self._chosen_formats()
        if not isinstance(run, RunInfo) or not isinstance(choice, ModelChoice) or not formats:
            return
        out = self.folder.path or run.path / "export"
        images = tuple(pair.image for pair in self._dataset.to_look_at[:NUM_COMPARED])
        request = ExportRequest(choice, out, formats, images, self._project.config)
        self.rows.set_rows(())
        self._set_busy(True)
        self.verdict.setText("")
        self._task = self._inference.export(request, self._show_rows, self._failed, self._show_progress)
        self._update_button()

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)

    def _show_rows(self, rows: tuple[ExportRow, ...]) -> None:
        self._set_busy(False)
        self.rows.set_rows(rows)
        self.verdict.setText(self.tr("{0} files written, loaded again and compared").format(len(rows)))
        theme.set_role(self.verdict, "good")
        self.open.show()
        self.state_changed.emit(PageState.DONE, 0)

    def _failed(self, message: str, details: str) -> None:
        self._set_busy(False)
        self.verdict.setText(message)
        self.verdict.setToolTip(plain_tip(details))
        theme.set_role(self.verdict, "error")
        self.state_changed.emit(PageState.ATTENTION, 1)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._set_busy(False)
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
        self.state_changed.emit(PageState.READY if self.run_box.count() else PageState.EMPTY, 0)

    def _open(self) -> None:
        if self.folder.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder.path)))


def _combo(name: str, title: str) -> QComboBox:
    combo = QComboBox()
    combo.setObjectName(name)
    combo.setAccessibleName(title)
    combo.setToolTip(plain_tip(title))
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(20)
    return combo


def _check(name: str, title: str, tip: str) -> QCheckBox:
    box = QCheckBox(title)
    box.setObjectName(name)
    box.setToolTip(plain_tip(tip))
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return box
