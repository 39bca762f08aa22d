"""Tell a user who is doing something else that a run is over."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from core.events import Finished

SHOWN_MS = 15_000


class Notice(QObject):
    """Sends a desktop notification, and marks the window in the task bar. A window in front of the user needs neither."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._tray: QSystemTrayIcon | None = None

    def show_end(self, event: Finished) -> None:
        if self._window.isActiveWindow() or not self._window.isVisible():
            return
        QApplication.alert(self._window)
        title = self.tr("The run was stopped") if event.stopped else self.tr("The run has finished")
        self._show(title, self._words(event))

    def _words(self, event: Finished) -> str:
        before, after = event.result.get("source_only"), event.result.get("teacher")
        if before and after:
            return self.tr("Source-only {0:.1f}, adapted {1:.1f} mIoU").format(before["miou"], after["miou"])
        return self.tr("Its last step was {0}.").format(event.step)

    def _show(self, title: str, text: str) -> None:
        if not QSystemTrayIcon.isSystemTrayAvailable() or not QSystemTrayIcon.supportsMessages():
            QApplication.beep()
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(self._window.windowIcon(), self)
            self._tray.messageClicked.connect(self._window.activateWindow)
        self._tray.show()
        self._tray.showMessage(title, text, QSystemTrayIcon.MessageIcon.Information, SHOWN_MS)
