"""The status bar's part about the run: state, step, speed, time left, memory."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from core.events import Measuring, RunStarted, StepDone
from masktwins_gui import theme
from masktwins_gui.models.states import RunState
from masktwins_gui.plain_text import plain_tip


class RunStatus(QWidget):
    """Shows the newest StepDone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("status")
        self.state = theme.label("")
        self.state.setObjectName("status.state")
        self.step = theme.label("")
        self.step.setObjectName("status.step")
        self.bar = QProgressBar()
        self.bar.setObjectName("status.progress")
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(140, 8)
        self.rate, self.left, self.memory = (theme.label("") for _ in range(3))
        for label, name, tip in (
            (self.rate, "status.rate", self.tr("Images per second, of both cameras")),
            (self.left, "status.left", self.tr("Time left")),
            (self.memory, "status.memory", self.tr("Memory in use: the device's on CUDA, else the program's")),
        ):
            label.setObjectName(name)
            label.setToolTip(plain_tip(tip))
        self._total = 0
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(10)
        for widget in (self.state, self.bar, self.step, self.rate, self.left, self.memory):
            row.addWidget(widget)
        row.addStretch(1)
        self.set_state(RunState.IDLE)

    def set_state(self, state: RunState) -> None:
        words = {
            RunState.IDLE: (self.tr("Idle"), "muted"),
            RunState.MEASURING: (self.tr("Measuring"), "warn"),
            RunState.PREPARING: (self.tr("Preparing"), "warn"),
            RunState.RUNNING: (self.tr("Running"), "good"),
            RunState.PAUSED: (self.tr("Paused"), "warn"),
            RunState.STOPPING: (self.tr("Stopping"), "warn"),
            RunState.FAILED: (self.tr("Failed"), "error"),
        }
        text, role = words[state]
        self.state.setText(text)
        theme.set_role(self.state, role)
        if state in (RunState.PREPARING, RunState.MEASURING):
            for label in (self.step, self.rate, self.left, self.memory):
                label.setText("")
            self.bar.setRange(0, 0)
        elif self.bar.maximum() == 0:
            self.bar.setRange(0, max(1, self._total))
        if not state.active:
            self.left.setText("")
        self.bar.setVisible(state.active)

    def show_start(self, event: RunStarted) -> None:
        self._total = event.total_steps
        self.bar.setRange(0, max(1, event.total_steps))
        self._show_step(event.first_step)

    def show_step(self, event: StepDone) -> None:
        self._show_step(event.step)
        self.rate.setText(self.tr("{0:.1f} img/s").format(event.images_per_second))
        self.left.setText(self.tr("{0} left").format(clock(event.seconds_left)))
        self.memory.setText(self.tr("{0:.1f} GiB").format(event.memory_gib))

    def show_measuring(self, event: Measuring) -> None:
        """Say what is done between two steps, in place of the time left, which counts steps alone."""
        counted = self.tr("{0} ({1} of {2})").format(event.message, event.done, event.total)
        self.left.setText(counted if event.total else event.message)

    def _show_step(self, step: int) -> None:
        self.bar.setValue(step)
        self.step.setText(self.tr("{0} / {1}").format(_thin(step), _thin(self._total)))


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """Seconds in words, as exact as anybody needs: 40 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 1:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"


def _thin(number: int) -> str:
    return f"{number:,}".replace(",", "\u2009")
