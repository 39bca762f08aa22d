"""The tabs of curves, and the messages of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QPlainTextEdit, QTabWidget

from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.curve_table import Table, to_csv
from masktwins_gui.models.history import LOG_LINES
from masktwins_gui.models.services import Jobs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.widgets.controls import describe
from masktwins_gui.widgets.curves import CurvePanel

FEW = 25  # points: each is shown as a dot


class CurveTabs(QTabWidget):
    """Losses, quality, health and log of the shown run, or of several."""

    step_chosen = Signal(float)
    failed = Signal(str, str, str)  # title, what happened, details

    def __init__(self, shown: ShownRun, comparison: Comparison, jobs: Jobs) -> None:
        super().__init__()
        self.setObjectName("train.tabs")
        self._shown, self._jobs = shown, jobs
        self.losses = CurvePanel(shown.losses, panel="losses", unit=self.tr("loss"), comparison=comparison)
        self.quality = CurvePanel(
            shown.quality, panel="quality", unit=self.tr("mIoU, %"), dots=FEW, comparison=comparison
        )
        self.health = CurvePanel(
            shown.health.curves,
            panel="health",
            unit=self.tr("without labels, 0 to 1"),
            dots=FEW,
            comparison=comparison,
        )
        self.log = QPlainTextEdit()
        tip = self.tr("What the run has reported, the newest last; a run of an earlier day shows its log.txt")
        describe(self.log, "train.log", self.tr("Messages of the run"), tip)
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        titles = (self.tr("Losses"), self.tr("Quality"), self.tr("Health"), self.tr("Log"))
        for widget, title in zip((*self.panels, self.log), titles, strict=True):
            self.addTab(widget, title)
        self.setTabToolTip(0, self.tr("What the training minimises"))
        self.setTabToolTip(1, self.tr("Mean IoU on the target labels, where there are any"))
        self.setTabToolTip(2, self.tr("What can be told without labels: a proxy that does not replace them"))
        self.setTabToolTip(3, self.tr("Messages of the run"))

        shown.logged.connect(self.log.appendPlainText)
        shown.log_replaced.connect(lambda: self.log.setPlainText("\n".join(shown.log)))
        for panel in self.panels:
            panel.csv_wanted.connect(self._save_csv)
            panel.png_wanted.connect(self._save_png)
            panel.step_chosen.connect(self.step_chosen)

    @property
    def panels(self) -> tuple[CurvePanel, CurvePanel, CurvePanel]:
        return self.losses, self.quality, self.health

    def set_playhead(self, step: int | None) -> None:
        """Put a cursor at the step of the filmstrip."""
        for panel in self.panels:
            panel.plot.set_playhead(step)

    def _save_csv(self, tables: Sequence[Table]) -> None:
        self._save(self.tr("Tables (*.csv)"), ".csv", lambda path: path.write_text(to_csv(tables), encoding="utf-8"))

    def _save_png(self, image: QImage) -> None:
        def write(path: Path) -> None:
            if not image.save(str(path)):
                raise OSError(self.tr("{0} could not be written. Choose another folder.").format(path))

        self._save(self.tr("Pictures (*.png)"), ".png", write)

    def _save(self, kinds: str, suffix: str, write: Callable[[Path], object]) -> None:
        """Ask for a file and write it in a job's thread."""
        folder = self._shown.path.parent.parent if self._shown.path else Path.home()
        name = f"{self._shown.path.name if self._shown.path else 'curves'}{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self, self.tr("Save the curves"), str(folder / name), kinds)
        if chosen:
            path = Path(chosen).with_suffix(suffix)
            title = self.tr("The curves could not be saved")
            self._jobs.submit(
                f"save {path}", lambda _: write(path), _nothing, lambda m, d: self.failed.emit(title, m, d)
            )


def _nothing(_: object) -> None:
    """The file is there: nothing more to say."""
