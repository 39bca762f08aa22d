"""The thread that trains, and the mailbox between it and the window. The only importer of core.training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

from PySide6.QtCore import QObject, QThread

from core.control import RunControl
from core.errors import RunError
from core.events import Event, PreviewReady
from core.runs.create import discard_unstarted
from core.runs.folder import RunFolder
from masktwins_gui.workers.tasks import Failure, attempt

Engine = Callable[[RunControl, RunFolder], Iterator[Event]]


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


class TrainingWorker(QThread):
    """Iterates the engine in its own thread. `failure` is readable once `finished` has been sent.

    `control` is called from the GUI thread; `run` is the worker's thread.

    Args:
        make_run: makes or finds the run's folder, in the worker's thread, since listing the images takes a while.
        engine: for tests; the real one is imported in the worker's thread.
        is_new: the run is made by `make_run`; where it fails before it has trained a step, its folder is removed.
    """

    def __init__(
        self,
        make_run: Callable[[], RunFolder],
        mailbox: Mailbox,
        engine: Engine | None = None,
        parent: QObject | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        super().__init__(parent)
        self.control = RunControl()
        self.failure: Failure | None = None
        self._make_run, self._mailbox, self._engine, self._is_new = make_run, mailbox, engine, is_new

    def run(self) -> None:
        _, self.failure = attempt(self._train)

    def _train(self) -> None:
        folder = self._make_run()
        engine = self._engine or load_engine()
        events = engine(self.control, folder)
        try:
            for event in events:
                self._mailbox.put(event)
        except RunError:
            if self._is_new:
                discard_unstarted(folder)
            raise
        finally:
            if isinstance(events, Generator):
                events.close()


def load_engine() -> Engine:
    """Import the engine, and torch with it: seconds, in the worker's thread."""
    from core.training.loop import adapt

    return adapt
