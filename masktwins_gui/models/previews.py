"""The filmstrip: the preview frames of a run by step, the live ones and those in its folder."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from core.events import PreviewReady
from masktwins_gui.models.services import Jobs

LIMIT_BYTES = 200_000_000
ReadPreview = Callable[[Path, int], PreviewReady]  # in a job's thread


class Filmstrip(QObject):
    """Knows every step with a preview, shows one of them, and keeps the pictures within a memory limit.

    While a run trains, the newest preview is followed until an older one is chosen.
    """

    changed = Signal()  # other steps
    shown = Signal()  # another step, or its pictures have come

    def __init__(
        self, jobs: Jobs, read: ReadPreview, limit_bytes: int = LIMIT_BYTES, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._jobs, self._read, self._limit = jobs, read, limit_bytes
        self._run: Path | None = None
        self._kept: OrderedDict[int, PreviewReady] = OrderedDict()  # the one used last at the end
        self.steps: list[int] = []
        self.step: int | None = None  # the one that is shown
        self._follows = True

    @property
    def preview(self) -> PreviewReady | None:
        """The pictures of the shown step; None while they are read."""
        return None if self.step is None else self._kept.get(self.step)

    def open(self, run: Path | None, steps: Sequence[int] = ()) -> None:
        """Show the previews of a run's folder, the last one first."""
        self._run, self.steps = run, sorted(steps)
        self._kept.clear()
        self._follows, self.step = True, None
        self.changed.emit()
        if self.steps:
            self._show(self.steps[-1])
        else:
            self.shown.emit()

    def add(self, preview: PreviewReady) -> None:
        """Take a live preview. Those after its step are of a stretch that was lost."""
        self.steps = self.steps[: bisect_left(self.steps, preview.step)]
        insort(self.steps, preview.step)
        self._keep(preview)
        self.changed.emit()
        if self._follows or self.step not in self.steps:
            self.step = preview.step
            self.shown.emit()

    def choose(self, step: float) -> None:
        """Show the preview closest to a step; at the newest one, follow again."""
        if not self.steps:
            return
        nearest = min(self.steps, key=lambda known: abs(known - step))
        self._follows = nearest == self.steps[-1]
        if nearest != self.step:
            self._show(nearest)

    def cut_after(self, step: int) -> None:
        """Forget the previews after a step: a resumed run makes them again."""
        self.steps = [known for known in self.steps if known <= step]
        self.changed.emit()
        if self.step not in self.steps:
            self.step = None
            self.shown.emit()

    def clear(self) -> None:
        self.open(None)

    def _show(self, step: int) -> None:
        self.step = step
        if step in self._kept:
            self._kept.move_to_end(step)
        elif self._run is not None:
            self._fetch(self._run, step)
        self.shown.emit()

    def _fetch(self, run: Path, step: int) -> None:
        def take(preview: PreviewReady) -> None:
            if run == self._run and step in self.steps:
                self._keep(preview)
                if step == self.step:
                    self.shown.emit()

        def drop(message: str, details: str) -> None:
            """The engine thins the previews of a long run as it grows."""
            if run == self._run and step in self.steps:
                self.steps.remove(step)
                self.changed.emit()
                if step == self.step:
                    self.step = None
                    self.choose(step)

        self._jobs.submit("filmstrip", lambda _: self._read(run, step), take, drop)

    def _keep(self, preview: PreviewReady) -> None:
        self._kept[preview.step] = preview
        self._kept.move_to_end(preview.step)
        size = sum(map(_bytes, self._kept.values()))
        while size > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            size -= _bytes(dropped)


def _bytes(preview: PreviewReady) -> int:
    return sum(picture.nbytes for frame in preview.frames for picture in frame.values())
