"""Where a model's weights come from: the run that trained them, its settings at that step, and what it measured.

Importable without torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from core.configuration.config import RunConfig
from core.events import Model, Scores
from core.runs.folder import CHECKPOINT_NAME, RunFolder

SAME_MIOU = 1e-3  # percent: metrics.csv and status.json round differently


@dataclass(frozen=True)
class Origin:
    """A checkpoint of a run. `step` counts all steps, source-only ones included."""

    run: RunFolder
    step: int
    model: Model

    @property
    def config(self) -> RunConfig:
        """run.toml with every change made up to this step. Raises ConfigError."""
        return self.run.config_at(self.step)

    def scores(self) -> Scores | None:
        """Scores that the run measured at this step; the mIoU alone where a later measurement replaced the others."""
        miou = self._miou()
        if miou is None:
            return None
        stored = Scores.from_json((self.run.status().get("scores") or {}).get(self.model.value))
        if stored is not None and abs(stored.miou - miou) < SAME_MIOU:
            return stored
        return Scores(miou, math.nan, {}, ())

    def source_weights(self) -> Path | None:
        """The weights file of the run's source-only model; None where this is that model, or there is none."""
        if self.model is Model.SOURCE:
            return None
        found = [ref.path / "student.safetensors" for ref in self.run.checkpoints() if ref.is_source]
        return found[-1] if found and found[-1].is_file() else None

    def _miou(self) -> float | None:
        cells = [row.get(f"{self.model.value}_miou") for row in self.run.metrics() if row.get("step") == str(self.step)]
        known = [float(cell) for cell in cells if cell]
        return known[-1] if known and not math.isnan(known[-1]) else None


def origin_of(weights: Path) -> Origin | None:
    """Find the run of a weights file in one of its checkpoints; None for a bundle or a file of other origin.

    Raises:
        ConfigError: the run's run.toml cannot be read.
    """
    checkpoint = weights.parent
    match = CHECKPOINT_NAME.match(checkpoint.name)
    run = RunFolder(checkpoint.parent.parent)
    if match is None or not RunFolder.is_run(run.path):
        return None
    steps = int(match[2])
    if match[1] == "source":
        return Origin(run, steps, Model.SOURCE)
    model = Model.STUDENT if weights.stem == "student" else Model.TEACHER
    return Origin(run, steps + run.config().training.source_steps, model)
