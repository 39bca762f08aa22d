"""Several runs side by side: their curves, what differs between them, and the mean of repeats with other seeds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.configuration import settings
from core.runs.notes import Notes
from masktwins_gui.models.curves import Series, TrainingTime
from masktwins_gui.models.differences import SEED, differing, title, value_in_words, without_seed
from masktwins_gui.models.history import RunHistory, read_history
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.services import Jobs
from masktwins_gui.models.shown_run import ShownRun

log = logging.getLogger(__name__)

SMOOTHING = 0.9


@dataclass(frozen=True)
class ComparedCurve:
    """One curve of one run, or the mean over repeats; `spread` is its standard deviation at each point."""

    key: str
    label: str
    series: Series
    time: TrainingTime
    spread: np.ndarray | None = None


class Comparison(QObject):
    """Reads the runs that are ticked in the list. It is active with two of them or more."""

    changed = Signal()

    def __init__(self, runs: RunsModel, shown: ShownRun, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runs, self._shown, self._jobs = runs, shown, jobs
        self._read: dict[Path, tuple[str, RunHistory]] = {}  # with the time of the run's last change
        runs.ticked_changed.connect(self._on_runs)
        runs.modelReset.connect(self._on_runs)

    @property
    def active(self) -> bool:
        return len(self._runs.ticked) > 1

    def names(self, panel: str) -> list[str]:
        """Return the curves that any of the runs has in a panel."""
        return list(dict.fromkeys(name for run in self._runs.ticked for name in self._curves(run, panel)))

    def curves(self, panel: str, name: str, *, mean: bool = False) -> list[ComparedCurve]:
        """Return one curve of every run.

        Args:
            panel: losses, quality or health.
            name: of the curve in that panel.
            mean: replace the repeats of a run with other seeds by their mean.
        """
        runs = [run for run in self._runs.ticked if name in self._curves(run, panel)]
        groups = repeats(runs) if mean else []
        grouped = {run.path for group in groups for run in group}
        labels = labels_of(self._runs.ticked)
        found = [
            ComparedCurve(str(run.path), labels[run.path], self._curves(run, panel)[name], self._time(run))
            for run in runs
            if run.path not in grouped
        ]
        for group in groups:
            found.append(self._mean(group, panel, name))
        return found

    @property
    def has_repeats(self) -> bool:
        return bool(repeats(self._runs.ticked))

    def _mean(self, group: Sequence[RunInfo], panel: str, name: str) -> ComparedCurve:
        members = [self._curves(run, panel)[name] for run in group]
        steps = members[0].x
        for other in members[1:]:
            steps = np.intersect1d(steps, other.x)
        values = np.array([one.smooth[np.searchsorted(one.x, steps)] for one in members])
        series = Series()
        series.extend(steps, values.mean(0))
        first = replace(group[0], notes=Notes(group[0].name.rpartition("-")[0]))  # "dusk" of dusk-01, dusk-02 …
        others = [run for run in self._runs.ticked if run not in group]
        words = labels_of([first, *others], seed=False)[first.path]
        label = self.tr("{0}, mean of {1} seeds").format(words, len(group))
        key = f"mean of {group[0].path}"
        return ComparedCurve(key, label, series, self._time(group[0]), values.std(0, ddof=1))

    def _curves(self, run: RunInfo, panel: str) -> dict[str, Series]:
        if run.path == self._shown.path:
            return self._shown.panels[panel].series  # live
        known = self._read.get(run.path)
        return known[1].panel(panel) if known else {}

    def _time(self, run: RunInfo) -> TrainingTime:
        return self._shown.time if run.path == self._shown.path else self._read[run.path][1].time

    def _on_runs(self) -> None:
        for run in self._runs.ticked:
            known = self._read.get(run.path)
            if known is None or known[0] != run.updated:
                self._fetch(run)
        self.changed.emit()

    def _fetch(self, run: RunInfo) -> None:
        def take(history: RunHistory) -> None:
            self._read[run.path] = (run.updated, history)
            self.changed.emit()

        def fail(message: str, details: str) -> None:
            log.warning("%s cannot be compared: %s", run.path, message)

        self._jobs.submit(f"compare {run.path}", lambda _: read_history(run.path, SMOOTHING), take, fail)


def labels_of(runs: Sequence[RunInfo], *, seed: bool = True) -> dict[Path, str]:
    """Name each run by its title and the settings that are not the same in all of them."""
    paths = [path for path in differing([run.config for run in runs]) if seed or path != SEED] if runs else []
    labels = {}
    for run in runs:
        values = [f"{title(path)} {value_in_words(settings.get(run.config, path))}" for path in paths]
        labels[run.path] = " · ".join((run.title, ", ".join(values))) if values else run.title
    return labels


def repeats(runs: Sequence[RunInfo]) -> list[list[RunInfo]]:
    """Group the runs that differ by their seed alone; groups of one are left out."""
    groups: dict[str, list[RunInfo]] = {}
    for run in runs:
        groups.setdefault(without_seed(run.config), []).append(run)
    return [group for group in groups.values() if len(group) > 1]


def spread_in_words(group: Sequence[RunInfo]) -> str:
    """Write mean and standard deviation of a group's scores after adapting; empty where they are not known."""
    values = [run.outcome.after for run in group if run.outcome.after is not None]
    if len(values) < 2:
        return ""
    digits = 1 if group[0].outcome.measured else 3
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
