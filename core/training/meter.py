"""The mean losses between two rows of metrics.csv, the pace of the steps, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import Tensor

from core.configuration.training import TrainingConfig
from core.events import Phase

ADAPT_STEP_COST = 3.5  # an adaptation step in source-only steps, for the time left until one has been measured


class Chore(StrEnum):
    """What a training does between its steps."""

    PREVIEW = "preview"
    MEASUREMENT = "measurement"
    CHECKPOINT = "checkpoint"
    STEERING = "steering"  # pauses included: nobody knows when the next one comes


@dataclass
class Meter:
    """Collect the losses since the last log, on the device, and the time that steps and chores took."""

    losses: list[dict[str, Tensor]] = field(default_factory=list)
    left_out: list[Tensor] = field(default_factory=list)
    started_at: float = field(default_factory=time.perf_counter)  # of the lap
    chore_seconds: float = 0.0  # of the lap
    step_cost: dict[Phase, float] = field(default_factory=dict)  # seconds, as last seen
    chore_cost: dict[Chore, float] = field(default_factory=dict)  # seconds, as last seen

    def read(self, mean: Callable[[Tensor], Tensor] = lambda table: table) -> tuple[dict[str, float], int]:
        """Return the mean losses since the last log and the number of steps left out. Waits for the device.

        Args:
            mean: over the processes of a run.
        """
        names = list(self.losses[-1])
        rows = torch.stack(
            [torch.stack([row[n] for n in names]) for row in self.losses if row.keys() == self.losses[-1].keys()]
        )
        table = mean(torch.cat([rows.mean(0), torch.stack(self.left_out).sum()[None]])).tolist()
        means = dict(zip(names, table[:-1], strict=True))
        return {"total": sum(means.values()), **means}, int(table[-1])

    def lap(self, phase: Phase) -> float:
        """Return the seconds per step since the last log, chores left out, and start the next lap."""
        seconds = max(1e-9, time.perf_counter() - self.started_at - self.chore_seconds) / len(self.losses)
        self.step_cost[phase] = seconds
        self.restart()
        return seconds

    def restart(self) -> None:
        self.losses.clear()
        self.left_out.clear()
        self.started_at, self.chore_seconds = time.perf_counter(), 0.0

    @contextmanager
    def doing(self, chore: Chore) -> Iterator[None]:
        """Measure a chore; its time does not count as a step's. Not to be nested."""
        began_at = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began_at
            self.chore_seconds += seconds
            self.chore_cost[chore] = seconds

    def seconds_left(self, training: TrainingConfig, step: int) -> float:
        """Estimate the time from finished step `step` on, including what is due at that step.

        Each phase is taken at the pace last seen in it, each chore at its last cost; one not seen yet costs nothing.
        """
        source_left = max(0, training.source_steps - step)
        adapt_left = training.total_steps - step - source_left
        source_cost = self.step_cost.get(Phase.SOURCE, 0.0)
        steps = source_left * source_cost + adapt_left * self.step_cost.get(Phase.ADAPT, ADAPT_STEP_COST * source_cost)
        return steps + sum(n * self.chore_cost.get(chore, 0.0) for chore, n in chores_left(training, step).items())


def chores_left(training: TrainingConfig, step: int) -> Mapping[Chore, int]:
    """Count what is still to be done from finished step `step` on: at each interval, and at the end."""
    total, source = training.total_steps, training.source_steps
    phase_ends = int(step <= source < total)
    return {
        Chore.PREVIEW: _multiples(training.preview_interval, max(1, step), total) + 1
        if training.preview_interval
        else 0,
        Chore.MEASUREMENT: phase_ends
        + _multiples(training.evaluation_interval, max(1, step - source), total - source)
        + 1,
        Chore.CHECKPOINT: phase_ends + _multiples(training.checkpoint_interval, max(1, step), total) + 1,
    }


def _multiples(interval: int, first: int, end: int) -> int:
    """Count the multiples of the interval from `first` up to, but not including, `end`; 0 without an interval."""
    return max(0, (end - 1) // interval - (first - 1) // interval) if interval else 0
