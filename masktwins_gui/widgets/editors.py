"""One editor per kind of setting. `value` reads it and raises ValueError where the text is no value at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSlider, QSpinBox, QWidget

from core.configuration.choices import Architecture
from core.configuration.settings import Setting
from core.labels import built_in_names
from core.networks.encoders import ENCODERS
from masktwins_gui import theme
from masktwins_gui.widgets.controls import undoes_the_project
from masktwins_gui.widgets.folder_field import FolderField

SUGGESTIONS: dict[str, tuple[str, ...]] = {
    "training.device": ("auto", "cpu", "cuda"),
    "network.weights": ("imagenet", "none"),
    "network.encoder": ENCODERS[Architecture.SEGFORMER],
    "data.label_space": ("auto", *built_in_names()),
}
LARGEST_INT = 2**31 - 1
SPIN_WIDTH = 90  # px; Qt's own minimum holds the largest number with its unit, which is wider than a narrow form


class Editor(QWidget):
    """A control for one setting. `edited` is sent when the user changes it."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)

    def place(self, control: QWidget, stretch: int = 1) -> None:
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(self)  # the wheel scrolls the form, not the value under the pointer
        for line in control.findChildren(QLineEdit):
            line.installEventFilter(self)
        self._row.addWidget(control, stretch)
        if self.focusProxy() is None:
            self.setFocusProxy(control)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return undoes_the_project(watched, event) or super().eventFilter(watched, event)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        for control in self.controls():
            control.setAccessibleName(name)

    def controls(self) -> list[QWidget]:
        items = [self._row.itemAt(i) for i in range(self._row.count())]
        return [widget for item in items if item is not None and (widget := item.widget()) is not None]

    def settle(self) -> None:
        """Note that the value has been taken over: Ctrl+Z now undoes that."""
        for line in self.findChildren(QLineEdit):
            line.setModified(False)

    def set_invalid(self, invalid: bool) -> None:
        for control in self.controls():
            control.setProperty("invalid", invalid)
            control.style().unpolish(control)
            control.style().polish(control)

    def value(self) -> Any:
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        raise NotImplementedError


class BoolEditor(Editor):
    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.place(self.box)
        self.box.toggled.connect(self.edited)

    def value(self) -> bool:
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setChecked(bool(value))
        self.box.blockSignals(False)


class ChoiceEditor(Editor):
    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.addItems(list(setting.choices))
        self.place(self.box)
        self.box.activated.connect(self.edited)

    def value(self) -> str:
        return self.box.currentText()

    def set_value(self, value: Any) -> None:
        self.box.setCurrentText(str(value))


class IntEditor(Editor):
    """A spin box; where None is allowed, one below the smallest value stands for it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._optional = setting.optional
        low = int(setting.minimum) if setting.minimum is not None else -LARGEST_INT
        self._none = low - 1
        self.box = QSpinBox()
        self.box.setRange(self._none if self._optional else low, int(setting.maximum or LARGEST_INT))
        self.box.setSuffix(f" {setting.unit}" if setting.unit else "")
        self.box.setGroupSeparatorShown(True)
        self.box.setStepType(QSpinBox.StepType.AdaptiveDecimalStepType)
        self.box.setMinimumWidth(SPIN_WIDTH)
        self.box.setKeyboardTracking(False)  # 1 on the way to 128 is not a value
        if self._optional:
            self.box.setSpecialValueText(self.tr("automatic"))
        self.place(self.box)
        self.box.valueChanged.connect(self.edited)

    def value(self) -> int | None:
        value = self.box.value()
        return None if self._optional and value == self._none else value

    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setValue(self._none if value is None else int(value))
        self.box.blockSignals(False)


class TextEditor(Editor):
    """A line, with suggestions where there are usual values; the base of the numbers that are typed."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        suggestions = SUGGESTIONS.get(setting.path, ())
        self._box: QComboBox | None = None
        if suggestions:
            self._box = box = QComboBox()
            box.setEditable(True)
            box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            box.setMinimumContentsLength(8)
            box.addItems(list(suggestions))
            self.place(box)
            box.activated.connect(self.edited)
            line = box.lineEdit()
            assert line is not None
            self.line: QLineEdit = line
        else:
            self.line = QLineEdit()
            self.place(self.line)
        self.line.editingFinished.connect(self._finished)
        self._shown = ""
        if setting.unit:
            self._row.addWidget(theme.label(setting.unit))

    def _finished(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.edited.emit()

    def suggest(self, suggestions: Sequence[str]) -> None:
        """Offer other usual values; the present one stays."""
        if self._box is None or [self._box.itemText(i) for i in range(self._box.count())] == list(suggestions):
            return
        text, blocker = self.line.text(), QSignalBlocker(self._box)
        self._box.clear()
        self._box.addItems(list(suggestions))
        self.line.setText(text)
        self.line.setCursorPosition(0)
        blocker.unblock()

    def value(self) -> Any:
        return self.line.text().strip()

    def set_value(self, value: Any) -> None:
        self._shown = self.text_of(value)
        self.line.setText(self._shown)
        self.line.setCursorPosition(0)

    def text_of(self, value: Any) -> str:
        return str(value)


class FloatEditor(TextEditor):
    """Typed, so that 6e-5 is as easy as 0.5; the arrow keys step by a tenth."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.line.setMaximumWidth(140)
        self._row.addStretch(0)  # else a narrow field is centred in a wide form

    def value(self) -> float:
        return _float(self.line.text())

    def text_of(self, value: Any) -> str:
        return f"{value:g}"

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and watched is self.line:
            key = event.key()  # type: ignore[attr-defined]
            if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                return self._step(1.1 if key == Qt.Key.Key_Up else 1 / 1.1)
        return super().eventFilter(watched, event)

    def _step(self, factor: float) -> bool:
        try:
            self.line.setText(f"{self.value() * factor:.3g}")
        except ValueError:
            return False
        self._finished()
        return True


class RatioEditor(TextEditor):
    """A number with a slider, or a list of numbers to draw from."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.line.setMaximumWidth(90)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(1, 99)
        self.slider.setMinimumWidth(80)
        self.place(self.slider)
        self.slider.valueChanged.connect(self._slid)

    def _slid(self, percent: int) -> None:
        self.line.setText(f"{percent / 100:g}")
        self._finished()

    def value(self) -> float | tuple[float, ...]:
        parts = [part for part in re.split(r"[;,\s]+", self.line.text().strip("[]() ")) if part]
        numbers = tuple(_float(part) for part in parts)
        if not numbers:
            raise ValueError(self.tr("a number such as 0.5, or several such as 0.3, 0.5"))
        return numbers[0] if len(numbers) == 1 else numbers

    def set_value(self, value: Any) -> None:
        super().set_value(value)
        first = value[0] if isinstance(value, tuple) else value
        self.slider.blockSignals(True)
        self.slider.setValue(round(first * 100))
        self.slider.blockSignals(False)

    def text_of(self, value: Any) -> str:
        return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"


class SizeEditor(TextEditor):
    """One side, or height × width."""

    def value(self) -> int | tuple[int, int]:
        parts = [part for part in re.split(r"[x×,;\s]+", self.line.text().strip("[]() ")) if part]
        if not parts or len(parts) > 2 or not all(part.isdigit() for part in parts):
            raise ValueError(self.tr("a side such as 512, or height × width such as 512 × 1024"))
        return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))

    def text_of(self, value: Any) -> str:
        return " × ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class PathEditor(Editor):
    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.field = FolderField("", setting.description, setting.path)
        self.field.heading.hide()
        self.field.note.hide()
        self._row.addWidget(self.field)
        self.setFocusProxy(self.field.line)
        self.field.chosen.connect(self.edited)

    def value(self) -> Path | None:
        return self.field.path

    def set_value(self, value: Any) -> None:
        self.field.set_path(value)


def _float(text: str) -> float:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not a number") from None


def make_editor(setting: Setting) -> Editor:
    match setting.kind:
        case "bool":
            return BoolEditor(setting)
        case "int":
            return IntEditor(setting)
        case "float":
            return FloatEditor(setting)
        case "choice":
            return ChoiceEditor(setting)
        case "path":
            return PathEditor(setting)
        case "ratio":
            return RatioEditor(setting)
        case "size":
            return SizeEditor(setting)
        case "text":
            return TextEditor(setting)
