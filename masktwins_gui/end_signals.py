"""Ctrl-C in the terminal and the system's request to end (SIGTERM), brought into Qt's event loop."""

from __future__ import annotations

import signal
import socket

from PySide6.QtCore import QObject, QSocketNotifier, Signal

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class EndSignals(QObject):
    """Emits `received` at the first of them; a second Ctrl-C ends the process at once.

    Python runs a signal's handler only between two of its own instructions, and Qt's loop waits outside of Python: so Python
    also writes the signal's number into a pair of sockets, which wakes the loop (`signal.set_wakeup_fd`).
    """

    received = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._read)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in NUMBERS:
            signal.signal(number, lambda *_: None)  # with Python's own, SIGTERM would end the process before it is read

    def _read(self) -> None:
        if any(number in NUMBERS for number in self._reader.recv(256)):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self.received.emit()
