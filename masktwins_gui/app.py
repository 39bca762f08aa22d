"""The application around the window: theme, logging, the last resort for exceptions, and the settings store."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QCoreApplication, QSettings, QTimer, Signal
from PySide6.QtWidgets import QApplication

from masktwins_gui import recent_log, theme
from masktwins_gui.end_signals import EndSignals
from masktwins_gui.main_window import MainWindow
from masktwins_gui.models.preferences import Preferences
from masktwins_gui.widgets.error_dialog import ErrorDialog

log = logging.getLogger(__name__)

PROBE_DELAY_MS = 300


class Application(QApplication):
    """A QApplication that shows exceptions nobody caught. The hook may be called in any thread; the dialog is not."""

    unhandled = Signal(str, str)

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(list(arguments))
        self.setApplicationName("MaskTwins")
        self.setOrganizationName("MaskTwins")
        self.setApplicationDisplayName("")
        self.setDesktopFileName("masktwins")  # its icon in the task bar, and notifications under its name
        self.unhandled.connect(self._show)

    def thread_hook(self, failure: threading.ExceptHookArgs) -> None:
        """Stand in for threading.excepthook: what a Python thread did not catch."""
        if failure.exc_value is not None:
            self.hook(failure.exc_type, failure.exc_value, failure.exc_traceback)

    def hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Stand in for sys.excepthook, which also gets what a QThread did not catch."""
        details = "".join(traceback.format_exception(kind, error, trace))
        log.error("unhandled exception\n%s", details)
        if not issubclass(kind, KeyboardInterrupt):
            self.unhandled.emit(str(error) or kind.__name__, details)

    def _show(self, message: str, details: str) -> None:
        title = self.tr("Something went wrong")
        advice = self.tr(
            "This is a fault of the program. What you were doing may not have worked; everything else goes on. "
            "Help → Report a problem gathers what is needed to find it."
        )
        ErrorDialog(title, message, advice, details, self.activeWindow()).open()


def create_application(arguments: Sequence[str], store: QSettings | None = None) -> Application:
    """Make the QApplication with its palette, before any widget; `theme.apply` follows once the window is made."""
    app = Application(arguments)
    theme.prepare(app, Preferences(store or settings_store()).theme)
    return app


def settings_store() -> QSettings:
    return QSettings("MaskTwins", "MaskTwins")


def run(project: Path | None = None, *, start: bool = False, demo: Path | None = None, open_demo: bool = False) -> int:
    """Open the window and stay until it is closed.

    Args:
        project: project file to open; None opens the one used last.
        start: start the training once the folders are listed.
        demo: folder of the demo to make and open, with `open_demo`; None for the usual place.
    """
    recent_log.install()
    store = settings_store()
    Preferences(store).use_cache()
    app = create_application(sys.argv[:1], store)
    sys.excepthook = app.hook
    threading.excepthook = app.thread_hook
    window = MainWindow(store)
    theme.apply(app, theme.current(app))
    window.setWindowIcon(theme.icon("logo", app.palette()))
    EndSignals(window).received.connect(window.leaving.leave)
    # The window is hidden by then, and Qt ends the application by itself only when a window that is shown is closed.
    window.controller.closed.connect(app.quit)

    def begin() -> None:
        window.make_pages()
        if open_demo:
            window.files.make_demo(demo)
        elif project is not None:
            window.files.open(project)
        window.files.look_for_recent(None if open_demo or project is not None else window.files.open)
        if start:
            window.start_when_ready()
        QTimer.singleShot(PROBE_DELAY_MS, window.probe.start)

    window.painted.connect(begin)
    window.show()
    return QCoreApplication.exec()
