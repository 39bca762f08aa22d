"""How the compare desk shows two models: the modes, opacity, confidence."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QDoubleSpinBox, QHBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.widgets.compare_canvas import Mode
from masktwins_gui.widgets.controls import combo, describe, slider, tool_button


class Toolbar(QWidget):
    """Signals what is asked for; holds no state but that of its controls."""

    mode_changed = Signal(object)  # Mode
    opacity_changed = Signal(float)  # 0..1
    confidence_changed = Signal(float)  # 0..1
    rate_changed = Signal(float)  # blinks per second
    delta_kind_changed = Signal()
    next_region_requested = Signal()
    fit_requested = Signal()
    save_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {
            Mode.SIDE_BY_SIDE: tool_button(
                "inspect.side_by_side", "sidebyside", self.tr("Side by side (G); hold Tab to exchange A and B")
            ),
            Mode.ONE: tool_button("inspect.one", "one", self.tr("One model (F); hold Tab for the other")),
            Mode.BLINK: tool_button("inspect.blink", "blink", self.tr("Blink between A and B (B)")),
            Mode.SWIPE: tool_button(
                "inspect.swipe", "swipe", self.tr("Swipe one over the other (S); [ and ] move the line")
            ),
            Mode.DELTA: tool_button("inspect.delta", "delta", self.tr("Show what changes from A to B (D)")),
        }
        self._group = QButtonGroup(self)
        for mode, button in self.buttons.items():
            button.setCheckable(True)
            self._group.addButton(button)
            button.clicked.connect(lambda _=False, mode=mode: self.set_mode(mode))
        self.rate = QDoubleSpinBox()
        describe(self.rate, "inspect.rate", self.tr("Blinks per second"))
        self.rate.setRange(0.5, 8)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(2)
        self.rate.setSuffix(self.tr(" /s"))
        self.delta_kind = combo(
            "inspect.delta_kind",
            self.tr("What the delta shows"),
            self.tr("Which class becomes which, or where B is better and worse than A by the label"),
            characters=17,
        )
        self.delta_kind.addItems([self.tr("Classes that change"), self.tr("Fixed and broken by B")])
        self.delta_kind.setEnabled(False)
        self.next_region = tool_button(
            "inspect.next_region", "right", self.tr("Go to the next largest broken region (N); without labels: changed")
        )
        self.opacity = slider("inspect.opacity", self.tr("Opacity of the predicted classes"), 60)
        self.confidence = slider(
            "inspect.confidence",
            self.tr("Least confidence that is shown"),
            0,
            self.tr("Hide pixels whose predicted class has a lower probability than this"),
        )
        self.hidden = theme.label("", "muted")
        self.fit = tool_button("inspect.fit", "fit", self.tr("Show the whole image (0, or a double click)"))
        self.save = tool_button(
            "inspect.predict_files", "save", self.tr("Write predictions of a folder or a video to disk")
        )
        self._lay_out()
        self.rate.valueChanged.connect(self.rate_changed)
        self.delta_kind.currentIndexChanged.connect(self.delta_kind_changed)
        self.next_region.clicked.connect(self.next_region_requested)
        self.opacity.valueChanged.connect(lambda value: self.opacity_changed.emit(value / 100))
        self.confidence.valueChanged.connect(lambda value: self.confidence_changed.emit(value / 100))
        self.fit.clicked.connect(self.fit_requested)
        self.save.clicked.connect(self.save_requested)
        self.mode = Mode.SIDE_BY_SIDE
        self._show_mode()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for button in self.buttons.values():
            row.addWidget(button)
        for widget in (self.rate, self.delta_kind, self.next_region, self.fit):
            row.addWidget(widget)
        row.addStretch(1)
        for slider_ in (self.opacity, self.confidence):
            slider_.setMinimumWidth(60)
            slider_.setMaximumWidth(120)
        row.addWidget(theme.label(self.tr("Overlay"), "muted"))
        row.addWidget(self.opacity, 1)
        row.addWidget(theme.label(self.tr("Confidence"), "muted"))
        row.addWidget(self.confidence, 1)
        row.addWidget(self.hidden)
        row.addWidget(self.save)
        self.hidden.setMinimumWidth(self.hidden.fontMetrics().horizontalAdvance("A 100 %  B 100 %"))
        self.hidden.setAlignment(Qt.AlignmentFlag.AlignVCenter)

    @property
    def shows_outcomes(self) -> bool:
        """Whether the delta shows what B fixed and broke, instead of the classes that change."""
        return self.delta_kind.currentIndex() == 1

    def set_mode(self, mode: Mode) -> None:
        """Choose a mode; choosing the present one again goes back to both side by side."""
        self.mode = Mode.SIDE_BY_SIDE if mode is self.mode else mode
        self._show_mode()
        self.mode_changed.emit(self.mode)

    def set_labelled(self, labelled: bool) -> None:
        """Offer what needs a label, and turn to it when it has come for the first time."""
        if labelled != self.delta_kind.isEnabled():
            self.delta_kind.setEnabled(labelled)
            self.delta_kind.setCurrentIndex(1 if labelled else 0)

    def show_hidden(self, first: float | None, second: float | None) -> None:
        """Say how many pixels the confidence hides, as shares; nothing where none are."""
        shares = [f"{letter} {share:.0%}" for letter, share in (("A", first), ("B", second)) if share is not None]
        self.hidden.setText("  ".join(shares) if self.confidence.value() else "")
        self.hidden.setAccessibleName(self.tr("Pixels hidden: {0}").format(", ".join(shares)))
        self.hidden.setToolTip(self.tr("Share of the pixels that are hidden"))

    def _show_mode(self) -> None:
        self.buttons[self.mode].setChecked(True)
        self.rate.setVisible(self.mode is Mode.BLINK)
        self.delta_kind.setVisible(self.mode is Mode.DELTA)
