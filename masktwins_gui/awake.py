"""Keep the computer from falling asleep while a run trains."""

from __future__ import annotations

import logging
import threading

from PySide6.QtCore import QObject

log = logging.getLogger(__name__)


class KeepAwake(QObject):
    """Holds wakepy's "running" mode: no sleep, while the screen may turn itself off.

    Asking the desktop for it may take a moment, so that a thread of its own asks, and waits there until the run is over.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._released: threading.Event | None = None

    def set_active(self, active: bool) -> None:
        """Begin or end; the same word twice changes nothing."""
        if active and self._released is None:
            self._released = threading.Event()
            threading.Thread(target=hold, args=(self._released,), name="keep-awake", daemon=True).start()
        elif not active and self._released is not None:
            self._released.set()
            self._released = None


def hold(released: threading.Event) -> None:
    """Keep the computer awake until the event is set. A desktop that cannot be asked is logged, nothing more."""
    from wakepy import keep

    with keep.running(on_fail="pass") as mode:
        if not mode.active:
            log.info("The computer may fall asleep during the run: no way to prevent it was found on this system.")
        released.wait()
