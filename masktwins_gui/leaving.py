"""Closing the window: a run is stopped cleanly first, and unsaved changes are asked about."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox, QWidget

from masktwins_gui.controller import Controller
from masktwins_gui.models.states import RunState
from masktwins_gui.project_files import ProjectFiles


class Leaving(QObject):
    """Decides whether the window may close. `ready` is sent when a run that stood in the way has ended."""

    ready = Signal()
    stopping = Signal()  # the user has agreed; the window waits for the run

    def __init__(self, controller: Controller, files: ProjectFiles, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._files, self._window = controller, files, window
        self.agreed = False
        self._waits_for_measurement = False
        self.question: QMessageBox | None = None
        controller.state_changed.connect(self._on_run_state)

    def may_close(self) -> bool:
        """Answer a wish to close; while a run trains, ask once and answer no."""
        if self._controller.state.active:
            if self._controller.measures:
                self._waits_for_measurement = True  # it has nothing that could be lost, so nobody is asked
                self._controller.stop()
            elif not self.agreed:
                self._ask_to_stop()
            return False
        return self.agreed or self._files.confirm_unsaved()

    def leave(self) -> None:
        """Close without a question, where nobody may be there to answer: a run is stopped cleanly, the project is kept."""
        for dialog in QApplication.topLevelWidgets():
            if isinstance(dialog, QDialog):
                dialog.reject()
        if self._controller.state.active:
            self._stop_and_close()
        else:
            self._files.keep()
            self.agreed = True
            self.ready.emit()

    def _on_run_state(self, state: RunState) -> None:
        if state.active:
            return
        if self.agreed or self._waits_for_measurement:
            self._waits_for_measurement = False
            self.ready.emit()
        elif self.question is not None:
            self.question.reject()  # the run ended by itself while the question was open

    def _ask_to_stop(self) -> None:
        if self.question is not None:
            self.question.raise_()
            return
        box = QMessageBox(self._window)
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
        self.question = box
        box.open()

    def _stop_and_close(self) -> None:
        self._files.keep()  # the run has been following these changes
        self.agreed = True
        self.stopping.emit()
        self._controller.stop()

    def _question_answered(self) -> None:
        self.question = None
