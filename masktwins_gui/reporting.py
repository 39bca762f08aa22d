"""Help → Report: versions, configuration and logs in one text that the user can read before sending it."""

from __future__ import annotations

import platform
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6.QtCore import QObject, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from core.configuration import settings
from masktwins_gui import recent_log
from masktwins_gui.controller import Controller
from masktwins_gui.device_probe import DeviceProbe
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.widgets.report_dialog import ReportDialog

LOG_LINES = 300  # of the run's own log


class Reporting(QObject):
    """Gathers the report, the run's log in a job thread, and shows it."""

    def __init__(self, project: ProjectModel, controller: Controller, probe: DeviceProbe, window: QWidget) -> None:
        super().__init__(window)
        self._project, self._controller, self._probe, self._window = project, controller, probe, window

    def show(self) -> None:
        self._controller.jobs.submit("report", lambda _: run_log(self._controller.run_path), self._open)

    def _open(self, log: str) -> None:
        parts = {
            self.tr("Program"): program(),
            self.tr("What this computer offers"): self._probe.summary or self.tr("not examined yet"),
            self.tr("Project"): settings.dumps(self._project.config),
            self.tr("Log of the newest run"): log,
            self.tr("Log of the window"): recent_log.text(),
        }
        ReportDialog(compose(parts), self._window).open()


def program() -> str:
    """Name this program, the system and the screen."""
    try:
        installed = version("masktwins")
    except PackageNotFoundError:
        installed = "not installed as a package"
    screen = QGuiApplication.primaryScreen()
    size = screen.size()
    return "\n".join(
        (
            f"masktwins {installed}, Python {platform.python_version()}, Qt {qVersion()}",
            f"{platform.platform()}, {QGuiApplication.platformName()}",
            f"screen {size.width()} × {size.height()}, scale {screen.devicePixelRatio():g}",
        )
    )


def run_log(run: Path | None) -> str:
    """Read the end of a run's log; empty where there is none."""
    if run is None:
        return ""
    try:
        with (run / "log.txt").open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=LOG_LINES)).rstrip()
    except OSError:
        return ""


def compose(parts: dict[str, str], home: Path | None = None) -> str:
    """Put the parts under headings. The user's home folder becomes `~`: its name says who the user is."""
    sections = [f"== {title} ==\n\n{text.strip() or '–'}\n" for title, text in parts.items()]
    return "\n".join(sections).replace(str(home or Path.home()), "~")
