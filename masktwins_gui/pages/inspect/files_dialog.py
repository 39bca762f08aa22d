"""A dialog that writes predictions of a folder or a video to disk, with progress; a second time it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from core.dataset.names import VIDEO_SUFFIXES
from masktwins_gui import theme
from masktwins_gui.models.services import (
    FilesWritten,
    Handle,
    Inference,
    ModelChoice,
    ModelKind,
    PredictFilesRequest,
)
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import combo, describe, push_button


class FilesDialog(QDialog):
    """Asks for the model, what to predict, where to and as what."""

    def __init__(self, models: Sequence[ModelChoice], inference: Inference, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("predict")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Write predictions to disk"))
        self.setMinimumWidth(560)
        self._inference = inference
        self._task: Handle | None = None
        self.model = combo("predict.model", self.tr("Model"), characters=24)
        for choice in models:
            if choice.kind is not ModelKind.PICTURES:
                self.model.addItem(choice.title, choice)
        self.source = QLineEdit()
        describe(self.source, "predict.source", self.tr("Images"), self.tr("A folder of images, or a video file"))
        self.folder = push_button("predict.folder", self.tr("Folder …"), self.tr("Choose a folder of images"))
        self.video = push_button("predict.video", self.tr("Video …"), self.tr("Choose a video file"))
        self.output = QLineEdit()
        describe(self.output, "predict.output", self.tr("Write to"), self.tr("A folder; PNGs get the images' names"))
        self.browse = push_button("predict.browse", self.tr("Browse …"), self.tr("Choose the folder to write to"))
        self.kind = combo("predict.kind", self.tr("Write as"), characters=24)
        for kind, title in (
            ("ids", self.tr("Class ids (grey PNG)")),
            ("colours", self.tr("Class colours (palette PNG)")),
            ("overlay", self.tr("Colours over the image")),
        ):
            self.kind.addItem(title, kind)
        self.start = push_button(
            "predict.start",
            self.tr("Start"),
            self.tr("Pictures that an interrupted call wrote with the same weights are kept"),
            primary=True,
        )
        self.cancel = push_button("predict.cancel", self.tr("Cancel"), self.tr("Stop; what is written stays"))
        self.open_button = push_button("predict.open", self.tr("Open the folder"), self.tr("Show what was written"))
        self.progress = QProgressBar()
        describe(self.progress, "predict.progress", self.tr("Pictures written"))
        self.verdict = theme.label("", "muted")
        self.verdict.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self._lay_out()
        self.folder.clicked.connect(self._ask_folder)
        self.video.clicked.connect(self._ask_video)
        self.browse.clicked.connect(self._ask_output)
        self.source.textChanged.connect(self._update)
        self.output.textChanged.connect(self._update)
        self.start.clicked.connect(self._start)
        self.cancel.clicked.connect(self._cancel)
        self.open_button.clicked.connect(self._open)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self._cancel)
        self._set_busy(False)
        self.open_button.hide()

    def _lay_out(self) -> None:
        source, output = QHBoxLayout(), QHBoxLayout()
        for row, widgets in ((source, (self.source, self.folder, self.video)), (output, (self.output, self.browse))):
            for widget in widgets:
                row.addWidget(widget)
        form = QFormLayout()
        form.addRow(self.tr("Model"), self.model)
        form.addRow(self.tr("Images"), source)
        form.addRow(self.tr("Write to"), output)
        form.addRow(self.tr("Write as"), self.kind)
        actions = QHBoxLayout()
        for widget in (self.start, self.cancel, self.open_button):
            actions.addWidget(widget)
        actions.addStretch(1)
        actions.addWidget(self.buttons)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.verdict)
        layout.addLayout(actions)

    def _ask_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, self.tr("Folder of images"), self.source.text()):
            self.source.setText(name)

    def _ask_video(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in sorted(VIDEO_SUFFIXES))
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Video"), self.source.text(), self.tr("Video ({0})").format(kinds)
        )
        if name:
            self.source.setText(name)

    def _ask_output(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, self.tr("Write to"), self.output.text()):
            self.output.setText(name)

    def _update(self) -> None:
        ready = bool(self.source.text().strip() and self.output.text().strip() and self.model.count())
        self.start.setEnabled(ready and self._task is None)

    def _start(self) -> None:
        request = PredictFilesRequest(
            self.model.currentData(),
            Path(self.source.text().strip()),
            Path(self.output.text().strip()),
            self.kind.currentData(),
        )
        self.verdict.setText("")
        self._task = self._inference.predict_files(request, self._done, self._failed, self._show_progress)
        self._set_busy(True)

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)

    def _done(self, written: FilesWritten) -> None:
        self._set_busy(False)
        text = self.tr("{0} pictures written on {1}.").format(written.written, written.place)
        if written.kept:
            text += " " + self.tr("{0} were there already.").format(written.kept)
        if written.left_out:
            text += " " + self.tr("{0} are left out: {1}").format(len(written.left_out), written.left_out[0])
            self.verdict.setToolTip(plain_tip("\n".join(written.left_out)))
        self._say(text, "warn" if written.left_out else "good")
        self.open_button.show()

    def _failed(self, message: str, details: str) -> None:
        self._set_busy(False)
        self._say(message, "error")
        self.verdict.setToolTip(plain_tip(details))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._set_busy(False)
            self._say(self.tr("Cancelled. What is written stays; Start goes on there."), "muted")

    def _say(self, text: str, role: str) -> None:
        self.verdict.setText(text)
        theme.set_role(self.verdict, role)

    def _set_busy(self, busy: bool) -> None:
        if not busy:
            self._task = None
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)
        self.cancel.setVisible(busy)
        self.start.setVisible(not busy)
        self._update()

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.output.text().strip()))
