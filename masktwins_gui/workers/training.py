"""The thread that trains, and the mailbox between it and the window. The only importer of core.training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, QThread

from core.configuration.config import RunConfig
from core.control import RunControl
from core.errors import RunError
from core.events import Event, PreviewReady
from core.runs.folder import RunFolder
from masktwins_gui.workers.tasks import Failure, attempt

T = TypeVar("T")
Engine = Callable[[RunControl, RunFolder], Iterator[Event]]
Measure = Callable[[RunControl, tuple[RunConfig, Path]], Iterator[Event]]


class Mailbox:
    """Events on their way to the GUI thread: previews replace each other (latest wins), all others keep their order.

    The worker's thread calls `put`, the GUI thread `take`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._preview: PreviewReady | None = None

    def put(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, PreviewReady):
                self._preview = event
            else:
                self._events.append(event)

    def take(self) -> list[Event]:
        """Everything since the last call; the preview, if any, comes before the others."""
        with self._lock:
            events, preview = self._events, self._preview
            self._events, self._preview = [], None
        return events if preview is None else [preview, *events]


class TrainingWorker(QThread, Generic[T]):
    """Iterates the engine in its own thread. `failure` is readable once `finished` has been sent.

    `control` is called from the GUI thread; `run` is the worker's thread.

    Args:
        make_subject: makes or finds what the engine works on, a run's folder or a configuration, in the worker's thread,
            since listing the images takes a while.
        load: returns the engine; imports torch where it is the real one, in the worker's thread.
        discard: takes away what `make_subject` made, where the engine refuses it before anything was trained.
    """

    def __init__(
        self,
        make_subject: Callable[[], T],
        mailbox: Mailbox,
        load: Callable[[], Callable[[RunControl, T], Iterator[Event]]],
        parent: QObject | None = None,
        *,
        discard: Callable[[T], object] | None = None,
    ) -> None:
        super().__init__(parent)
        self.control = RunControl()
        self.failure: Failure | None = None
        self._make_subject, self._mailbox, self._load, self._discard = make_subject, mailbox, load, discard

    def run(self) -> None:
        _, self.failure = attempt(self._train)

    def _train(self) -> None:
        subject = self._make_subject()
        events = self._load()(self.control, subject)
        try:
            for event in events:
                self._mailbox.put(event)
        except RunError:
            if self._discard is not None:
                self._discard(subject)
            raise
        finally:
            if isinstance(events, Generator):
                events.close()


def load_engine() -> Engine:
    """Import the engine, and torch with it: seconds, in the worker's thread."""
    from core.training.loop import adapt

    return adapt


def load_measure() -> Measure:
    """Import what measures a configuration, and torch with it: seconds, in the worker's thread."""
    from core.training.measure import measure

    return measure
