"""The project's runs: choose one to see it, tick several to compare them, name, annotate, delete, resume."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QItemSelectionModel, QModelIndex, QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QMessageBox,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.runs.notes import LONGEST_NOTE
from masktwins_gui import theme
from masktwins_gui.models.run_edits import RunEdits
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.pages.train.header import lost_in_words
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import describe, tool_button
from masktwins_gui.widgets.flow import FlowLayout
from masktwins_gui.widgets.run_list import RunDelegate

NOTE_HEIGHT = 64  # px


class RunsPanel(QWidget):
    """What may be done with the chosen run is open; the rest says why it is not."""

    chosen = Signal(object)  # RunInfo
    resume_wanted = Signal(object)  # Path
    settings_wanted = Signal(object)  # RunInfo whose settings the next run takes

    def __init__(self, runs: RunsModel, edits: RunEdits, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs, self._edits = runs, edits
        self._trains: Path | None = None  # the run that trains in this window
        self._shown: Path | None = None
        self._noted: RunInfo | None = None  # the run whose note is in the field
        self.list = QListView()
        tip = self.tr("Choose a run to see it; tick several (space) to compare them; F2 renames")
        describe(self.list, "train.runs", self.tr("Runs of the project"), tip)
        self.list.setModel(runs)
        self.list.setItemDelegate(RunDelegate(runs, self.list))
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.hint = theme.label(self.tr("Tick two or more runs to see them in one plot."), "muted")
        self.hint.setWordWrap(True)
        self.note = QPlainTextEdit()
        self.note.setPlaceholderText(self.tr("Note on this run"))
        tip = self.tr("Kept in the run's folder; saved when you leave the field")
        describe(self.note, "train.runs.note", self.tr("Note on the chosen run"), tip)
        self.note.setFixedHeight(NOTE_HEIGHT)
        self.note.setTabChangesFocus(True)
        self.note.installEventFilter(self)
        self._make_buttons()
        self._lay_out()

        self.list.selectionModel().currentChanged.connect(self._choose)
        runs.modelReset.connect(self._on_runs)
        runs.renamed.connect(edits.rename)
        self._on_runs()

    def _make_buttons(self) -> None:
        self.resume = tool_button("train.runs.resume", "start", self.tr("Resume"), self.tr("Resume"))
        tip = self.tr("Give it another name (F2)")
        self.rename = tool_button("train.runs.rename", "rename", tip, self.tr("Rename"))
        tip = self.tr("Take its settings for the next run")
        self.reuse = tool_button("train.runs.reuse", "settings", tip, self.tr("Use settings"))
        self.folder = tool_button("train.runs.folder", "folder", self.tr("Open its folder"), self.tr("Folder"))
        tip = self.tr("Move its folder to the trash")
        self.delete = tool_button("train.runs.delete", "trash", tip, self.tr("Delete"))
        self.untick = tool_button("train.runs.untick", "close", self.tr("Untick all runs"), self.tr("End comparison"))
        self.buttons: tuple[QToolButton, ...] = (self.resume, self.rename, self.reuse, self.folder, self.delete)
        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self._path()))
        self.rename.clicked.connect(lambda: self.list.edit(self.list.currentIndex()))
        self.reuse.clicked.connect(lambda: self.settings_wanted.emit(self.current()))
        self.folder.clicked.connect(self._open_folder)
        self.delete.clicked.connect(self._ask_to_delete)
        self.untick.clicked.connect(lambda: self._runs.tick(()))
        self._runs.ticked_changed.connect(self._update)

    def _lay_out(self) -> None:
        buttons = FlowLayout(spacing=6)
        for button in (*self.buttons, self.untick):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.hint)
        layout.addWidget(self.note)
        layout.addLayout(buttons)

    # Choice ------------------------------------------------------------------------------------

    def current(self) -> RunInfo | None:
        found = self.list.currentIndex().data(RunsModel.InfoRole)
        return found if isinstance(found, RunInfo) else None

    def _path(self) -> Path | None:
        run = self.current()
        return run.path if run else None

    def show_run(self, path: Path | None) -> None:
        """Mark the run whose curves are shown."""
        self._shown = path
        row = next((i for i, run in enumerate(self._runs.runs) if run.path == path), -1)
        selection = self.list.selectionModel()
        selection.blockSignals(True)
        if row >= 0:
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
            selection.setCurrentIndex(self._runs.index(row), flags)
        else:
            selection.clear()
        selection.blockSignals(False)
        self.list.viewport().update()
        self._update()

    def set_trains(self, path: Path | None) -> None:
        """Say which run trains in this window; None when none does."""
        self._trains = path
        self._update()

    def _on_runs(self) -> None:
        self.show_run(self._shown)

    def _choose(self, index: QModelIndex) -> None:
        self._update()
        if (run := self.current()) is not None:
            self._shown = run.path
            self.chosen.emit(run)

    def _update(self) -> None:
        run = self.current()
        trains = run is not None and (run.trains or run.path == self._trains)
        busy = self.tr("It is being trained.")
        self.untick.setVisible(bool(self._runs.ticked))
        self.hint.setVisible(len(self._runs.runs) > 1 and len(self._runs.ticked) < 2)
        for button in self.buttons:
            button.setEnabled(run is not None)
        if run is not None:
            may_resume = run.resumable and self._trains is None
            self.resume.setEnabled(may_resume)
            reason = (
                self.tr("Another run is being trained.") if self._trains and not trains else self.tr("It has finished.")
            )
            self.resume.setToolTip(plain_tip(lost_in_words(run) if may_resume else busy if trains else reason))
            self.delete.setEnabled(not trains)
            self.delete.setToolTip(plain_tip(busy if trains else self.tr("Move its folder to the trash")))
            self.reuse.setEnabled(self._trains is None)
        self._show_note(run)

    # Note --------------------------------------------------------------------------------------

    def _show_note(self, run: RunInfo | None) -> None:
        if run == self._noted:
            return
        if run is not None and self._noted is not None and run.path == self._noted.path and self.note.hasFocus():
            return  # the list was read again while somebody writes
        self._keep_note()
        self._noted = run
        self.note.setPlainText(run.notes.note if run else "")
        self.note.setEnabled(run is not None)

    def _keep_note(self) -> None:
        if self._noted is not None and self._runs.find(self._noted.path) is not None:
            self._edits.annotate(self._noted, self.note.toPlainText()[:LONGEST_NOTE])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.note and event.type() == QEvent.Type.FocusOut:
            self._keep_note()
        return super().eventFilter(watched, event)

    # Verbs -------------------------------------------------------------------------------------

    def _open_folder(self) -> None:
        if (path := self._path()) is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _ask_to_delete(self) -> None:
        run = self.current()
        if run is None:
            return
        box = QMessageBox(self)
        box.setObjectName("train.runs.delete_question")
        box.setIcon(QMessageBox.Icon.Question)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(self.tr("Move the run {0} to the trash, with its checkpoints?").format(run.title))
        box.addButton(self.tr("Move to trash"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.accepted.connect(lambda: self._edits.trash(run))
        box.open()
