"""Two models on one image: side by side with linked zoom, or on one canvas."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PySide6.QtCore import QEvent, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QGridLayout, QStackedWidget, QVBoxLayout, QWidget

from core.evaluation.compare import CERTAIN, Ranked
from masktwins_gui.models.layers import Colour, colours, hide, label_image
from masktwins_gui.widgets.compare_canvas import CompareCanvas, Mode
from masktwins_gui.widgets.image_view import ImageView, Viewport

STEPS = {Qt.Key.Key_Up: -1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_Right: 1}


class CompareView(QWidget):
    """Shows what has come so far: the photo first, then A, then B, then what changes between them.

    Holding Tab shows the other model; Escape moves the focus on in its place. The arrow keys ask for another image.
    """

    hovered = Signal(object)  # QPoint, the pixel under the pointer, or None
    stepped = Signal(int)  # −1: the image before, 1: the next one

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inspect.compare")
        self.viewport = Viewport(self)
        self.first = ImageView("A", self.viewport)
        self.second = ImageView("B", self.viewport)
        self.original = ImageView(self.tr("Image"), self.viewport)
        self.truth = ImageView(self.tr("Label"), self.viewport)
        self.canvas = CompareCanvas(self.viewport)
        self._views = {
            "a": self.first,
            "b": self.second,
            "image": self.original,
            "truth": self.truth,
            "canvas": self.canvas,
        }
        self.mode = Mode.SIDE_BY_SIDE
        self._titles = ("", "")
        self._ranked: list[Ranked | None] = [None, None]
        self._label: np.ndarray | None = None
        self._only: np.ndarray | None = None
        self._table = colours(())
        self._layers = [QImage(), QImage()]
        self._truth_layer = QImage()
        self._opacity = 0.6
        self._least = 0  # confidence of 255 below which a pixel is hidden
        self._flipped = False
        self._lay_out()
        for name, view in self._views.items():
            view.setObjectName(f"inspect.view.{name}")
            view.installEventFilter(self)
            view.hovered.connect(self.hovered)
        self.clear()
        self.show_label(None)

    def _lay_out(self) -> None:
        beside = QWidget()
        self._grid = QGridLayout(beside)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        for index, view in enumerate((self.first, self.second, self.original, self.truth)):
            self._grid.addWidget(view, index // 2, index % 2)
        self.stack = QStackedWidget()
        self.stack.addWidget(beside)
        self.stack.addWidget(self.canvas)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        self.setFocusProxy(self.first)

    # Content -----------------------------------------------------------------------------------

    def clear(self) -> None:
        """Show nothing: what was shown belongs to another image."""
        self._ranked, self._label, self._only = [None, None], None, None
        for view in self._views.values():
            view.set_image(QImage())
            view.set_overlay(QImage(), 0)
            view.set_marked(QRectF())
        self.show_delta(None)
        self._draw()

    def show_photo(self, photo: QImage) -> None:
        for view in self._views.values():
            if view is not self.truth:
                view.set_image(photo)

    def show_side(self, side: int, ranked: Ranked | None) -> None:
        """Lay a model's prediction over the photo; side 0 is A, 1 is B."""
        self._ranked[side] = ranked
        self._draw()

    def show_label(self, label: np.ndarray | None) -> None:
        """Show the ground truth (H, W) uint8 in a view of its own, where there is one."""
        self._label = label
        self.truth.setVisible(label is not None)
        self._grid.addWidget(self.original, 1, 0, 1, 1 if label is not None else 2)
        self._draw()

    def show_delta(self, delta: QImage | None, caption: str = "") -> None:
        """Show what changes from A to B; the caption explains its colours and patterns."""
        self.canvas.set_delta(delta or QImage(), caption)

    def show_only(self, mask: np.ndarray | None) -> None:
        """Show the labels where the mask (H, W) bool says so; everywhere without one."""
        self._only = mask
        self._draw()

    # How it is shown ---------------------------------------------------------------------------

    def set_titles(self, first: str, second: str) -> None:
        self._titles = first, second
        self.canvas.set_titles(first, second)
        self._name_sides()

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        self.set_flipped(False)
        self.canvas.set_mode(Mode.ONE if mode is Mode.SIDE_BY_SIDE else mode)
        had_focus = self.isAncestorOf(self.focusWidget() or self)
        self.stack.setCurrentIndex(0 if mode is Mode.SIDE_BY_SIDE else 1)
        self.setFocusProxy(self.first if mode is Mode.SIDE_BY_SIDE else self.canvas)
        if had_focus:
            self.setFocus()

    def set_flipped(self, flipped: bool) -> None:
        """Show A where B was, and B where A was."""
        if self.mode is not Mode.BLINK:
            self.canvas.set_flipped(flipped)
        self._flipped = flipped
        self._name_sides()
        self._lay()

    def set_classes(self, palette: Sequence[Colour], hidden: Collection[int] = ()) -> None:
        """Choose the colours of the class ids, and which classes are not shown."""
        table = colours(palette, hidden)
        if table != self._table:
            self._table = table
            self._draw()

    def set_opacity(self, opacity: float) -> None:
        """0 shows the photo alone, 1 the labels alone."""
        self._opacity = opacity
        self._lay()

    def set_least_confidence(self, least: float) -> None:
        """Hide pixels that a model is less sure of, 0..1."""
        self._least = round(least * CERTAIN)
        self._draw()

    def set_hint(self, hint: str) -> None:
        """Say what stands in empty views."""
        for view in self._views.values():
            view.set_hint(hint)

    def show_region(self, x: int, y: int, width: int, height: int) -> None:
        """Zoom to a rectangle of the image and outline it in every view."""
        rectangle = QRectF(x, y, width, height)
        self.canvas.show_rectangle(rectangle) if self.stack.currentIndex() else self.first.show_rectangle(rectangle)
        for view in self._views.values():
            view.set_marked(rectangle)

    def hidden_share(self, side: int) -> float | None:
        """Share of the pixels that the confidence hides; None where it is not known."""
        ranked = self._ranked[side]
        if ranked is None or ranked.confidence is None:
            return None
        return float(np.count_nonzero(ranked.confidence < self._least) / ranked.confidence.size)

    # Drawing -----------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Make the layers anew, and lay them over the photo."""
        self._layers = [self._layer(ranked) for ranked in self._ranked]
        self._truth_layer = QImage()
        if self._label is not None:
            shown = self._label if self._only is None else hide(self._label, ~self._only)
            self._truth_layer = label_image(shown, self._table)
        self._lay()

    def _lay(self) -> None:
        self.canvas.set_overlays(self._layers[0], self._layers[1], self._opacity)
        sides = self._layers[::-1] if self._flipped else self._layers
        self.first.set_overlay(sides[0], self._opacity)
        self.second.set_overlay(sides[1], self._opacity)
        self.truth.set_image(QImage() if self._label is None else self.original.image)
        self.truth.set_overlay(self._truth_layer, self._opacity)

    def _layer(self, ranked: Ranked | None) -> QImage:
        if ranked is None:
            return QImage()
        ids = ranked.ids
        if self._least and ranked.confidence is not None:
            ids = hide(ids, ranked.confidence < self._least)
        if self._only is not None and self._only.shape == ids.shape:
            ids = hide(ids, ~self._only)
        return label_image(ids, self._table)

    def _name_sides(self) -> None:
        names = [f"{letter} · {title}" for letter, title in zip("AB", self._titles, strict=True)]
        first, second = names[::-1] if self._flipped else names
        self.first.set_caption(first)
        self.second.set_caption(second)

    # Keys --------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut and self._flipped:
            self.set_flipped(False)
        if not isinstance(event, QKeyEvent):
            return super().eventFilter(watched, event)
        pressed = event.type() == QEvent.Type.KeyPress
        match event.key():
            case Qt.Key.Key_Tab if event.modifiers() == Qt.KeyboardModifier.NoModifier:
                if not event.isAutoRepeat():
                    self.set_flipped(pressed)
                return True
            case Qt.Key.Key_Escape if pressed:
                self.focusNextChild()
                return True
            case key if pressed and key in STEPS and event.modifiers() in _NO_MODIFIERS:
                self.stepped.emit(STEPS[Qt.Key(key)])
                return True
        return super().eventFilter(watched, event)


_NO_MODIFIERS = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.KeypadModifier,
)  # arrows count as keys of the keypad
