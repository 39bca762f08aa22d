"""Read the project's runs, and the files of one of them, off the GUI thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from masktwins_gui.models.history import RunHistory, read_history
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel, list_runs
from masktwins_gui.models.services import Jobs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.stored_previews import list_previews

log = logging.getLogger(__name__)


class RunLoader(QObject):
    """Fills the list of runs and the shown run.

    Args:
        trains: whether a run trains in this window; it stays on show until it has ended.
    """

    failed = Signal(str)  # why a run cannot be shown

    def __init__(
        self,
        project: ProjectModel,
        runs: RunsModel,
        shown: ShownRun,
        jobs: Jobs,
        trains: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._project, self._runs, self._shown, self._jobs, self._trains = project, runs, shown, jobs, trains
        project.path_changed.connect(self._on_path)

    def refresh(self) -> None:
        """List the project's runs again."""
        folder = self._project.folder
        if folder is None:
            self._runs.set_runs(())
            return

        def fail(message: str, details: str) -> None:
            log.warning("the runs of %s cannot be listed: %s", folder, message)

        self._jobs.submit("runs", lambda _: list_runs(folder), lambda runs: self._take(folder, runs), fail)

    def _take(self, folder: Path, runs: tuple[RunInfo, ...]) -> None:
        """Show the newest run where the one on show is gone."""
        if folder != self._project.folder:
            return
        self._runs.set_runs(runs)
        if self._trains() or self._runs.find(self._shown.path) is not None:
            return
        self._shown.begin(None)
        if runs:
            self.show(runs[0])

    def show(self, run: RunInfo) -> None:
        """Read the files of a run that does not train here, and show them."""
        if self._trains():
            return
        smoothing = self._shown.losses.smoothing

        def take(found: tuple[RunHistory, tuple[int, ...]]) -> None:
            if not self._trains() and run.path.parent.parent == self._project.folder:  # which may have changed since
                self._shown.take(*found, run.verdict)

        def fail(message: str, details: str) -> None:
            self.failed.emit(self.tr("{0} cannot be shown: {1}").format(run.title, message))

        self._jobs.submit("history", lambda _: read_run_files(run.path, smoothing), take, fail)

    def _on_path(self) -> None:
        path = self._shown.path
        if not self._trains() and (path is None or path.parent.parent != self._project.folder):
            self._shown.begin(None)
        self.refresh()


def read_run_files(path: Path, smoothing: float) -> tuple[RunHistory, tuple[int, ...]]:
    """Read a run's history and the steps of its previews. Raises ConfigError where run.toml cannot be used."""
    return read_history(path, smoothing), list_previews(path)
