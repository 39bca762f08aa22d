"""What a run would need, from a few real steps: shown before anything starts."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from core.events import Estimate
from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import push_button
from masktwins_gui.widgets.elided import ElidedLabel
from masktwins_gui.widgets.run_status import duration

GIB = 2**30


class MeasureCard(QFrame):
    """Hidden until a measurement starts; stays with its figures until it is closed."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.measured")
        self.setProperty("role", "card")
        self.estimate: Estimate | None = None
        self.heading = ElidedLabel()
        self.heading.setProperty("role", "heading")
        self._values = {name: self._figure() for name in ("total", "step", "memory", "disk")}
        tip = self.tr("Cancel the measurement, or hide its figures")
        self.close_button = push_button("train.measured.close", self.tr("Cancel"), tip)
        self._lay_out()
        self.close_button.clicked.connect(self._close)
        self.hide()

    def _figure(self) -> QLabel:
        label = theme.label("", "heading")
        label.setMinimumWidth(90)
        return label

    def _lay_out(self) -> None:
        titles = {
            "total": (self.tr("in total"), self.tr("Steps, evaluations, previews and checkpoints together")),
            "step": (self.tr("per step"), self.tr("Mean of the measured steps: source-only and adaptation")),
            "memory": (self.tr("memory"), self.tr("Highest use while measuring, of what the device has")),
            "disk": (
                self.tr("on the disk"),
                self.tr("Checkpoints that are kept, previews and curves, of what is free"),
            ),
        }
        grid = QGridLayout()
        grid.setHorizontalSpacing(22)
        grid.setVerticalSpacing(0)
        for column, (name, (title, tip)) in enumerate(titles.items()):
            caption = theme.label(title, "muted")
            for row, label in enumerate((self._values[name], caption)):
                label.setToolTip(plain_tip(tip))
                grid.addWidget(label, row, column)
            self._values[name].setObjectName(f"train.measured.{name}")
        words = QVBoxLayout()
        words.addWidget(self.heading)
        words.addLayout(grid)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.addLayout(words, 1)
        row.addWidget(self.close_button)

    def set_busy(self, text: str) -> None:
        """Say what is measured at the moment."""
        self.estimate = None
        self.heading.setText(text)
        for label in self._values.values():
            label.setText("…")
        self.close_button.setText(self.tr("Cancel"))
        self.show()

    def show_estimate(self, found: Estimate) -> None:
        """Show what was found, and warn of what does not fit."""
        self.estimate = found
        self.heading.setText(self.tr("On {0}: {1}").format(found.device, found.device_reason))
        self._values["total"].setText(self.tr("about {0}").format(duration(found.total_seconds)))
        steps = [s for s in (found.source_step_seconds, found.adapt_step_seconds) if s is not None]
        self._values["step"].setText(" / ".join(f"{seconds:.3g} s" for seconds in steps))
        of_memory = found.memory_gib, found.memory_total_gib
        self._values["memory"].setText(self.tr("{0:.1f} of {1:.0f} GiB").format(*of_memory))
        theme.set_role(
            self._values["memory"], "error" if found.memory_gib > 0.9 * found.memory_total_gib else "heading"
        )
        needed, free = found.disk_bytes / GIB, found.disk_free_bytes / GIB
        short = found.disk_bytes > found.disk_free_bytes
        self._values["disk"].setText(self.tr("{0:.2g} of {1:.0f} GiB").format(needed, free))
        theme.set_role(self._values["disk"], "error" if short else "heading")
        self.close_button.setText(self.tr("Close"))
        self.show()

    def end(self) -> None:
        """Hide the card of a measurement that brought nothing."""
        if self.estimate is None:
            self.hide()

    def mark_stale(self) -> None:
        """Say that the settings have changed since."""
        if self.estimate is not None:
            self.heading.setText(self.tr("The settings have changed: measure again"))

    def _close(self) -> None:
        if self.estimate is None:
            self.cancelled.emit()
        self.estimate = None
        self.hide()
