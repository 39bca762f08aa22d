"""What a training shows of itself between two rows of metrics.csv: mean losses and the pace of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.configuration.training import TrainingConfig
from core.events import Phase

ADAPT_STEP_COST = 3.5  # an adaptation step in source-only steps, for the time left until one has been measured


@dataclass
class Meter:
    """Losses since the last log, kept on the device, and the time that steps took."""

    losses: list[dict[str, Tensor]] = field(default_factory=list)
    left_out: list[Tensor] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    aside: float = 0.0  # seconds not spent on steps since the last log
    seconds: dict[Phase, float] = field(default_factory=dict)

    def read(self, mean: Callable[[Tensor], Tensor] = lambda table: table) -> tuple[dict[str, float], int]:
        """Mean losses since the last log and the number of steps left out. Waits for the device.

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
        """Seconds per step since the last log; starts the next lap."""
        seconds = max(1e-9, time.perf_counter() - self.started - self.aside) / len(self.losses)
        self.seconds[phase] = seconds
        self.restart()
        return seconds

    def restart(self) -> None:
        self.losses.clear()
        self.left_out.clear()
        self.started, self.aside = time.perf_counter(), 0.0

    def seconds_left(self, training: TrainingConfig, step: int) -> float:
        """Estimate for the steps after `step`, by the pace last seen in each phase."""
        source_left = max(0, training.source_steps - step)
        adapt_left = training.total_steps - step - source_left
        source_seconds = self.seconds.get(Phase.SOURCE, 0.0)
        return source_left * source_seconds + adapt_left * self.seconds.get(
            Phase.ADAPT, ADAPT_STEP_COST * source_seconds
        )
