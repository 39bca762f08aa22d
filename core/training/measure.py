"""Estimate what a run needs: train a short one of the same configuration in a temporary folder, and scale up its figures."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import torch

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.configuration.training import TrainingConfig
from core.control import RunControl
from core.dataset.listing import Listing, list_data
from core.errors import RunError, reason
from core.evaluation.predictor import Predictor
from core.evaluation.scoring import evaluate
from core.events import (
    CheckpointSaved,
    Estimate,
    Event,
    HealthMeasured,
    Measuring,
    Model,
    Phase,
    Preparing,
    PreviewReady,
    RunStarted,
    StepDone,
)
from core.networks.store import load_model
from core.runs.create import create_run
from core.runs.folder import LABEL_SPACE_FILE, RunFolder
from core.training.loop import adapt

STEPS = 4  # of each phase; the first one, which allocates and compiles, does not count
SCORED = 3  # labelled images; the first one does not count
PREFIX = ".measure-"
ROW_BYTES = 250  # of metrics.csv


def measure(control: RunControl, subject: tuple[RunConfig, Path]) -> Iterator[Event]:
    """Train a few steps of a configuration as a run would, and estimate what the whole of it needs.

    Args:
        control: a stop cancels the measurement.
        subject: the configuration, and the folder the run would be made in: its disk is the one that is measured. Nothing
            is left in it.

    Yields:
        Preparing and Measuring events; the last is Estimate, unless it was cancelled.

    Raises:
        RunError: the configuration cannot be trained here; the message says why.
    """
    config, folder = subject
    yield Preparing("listing the images")
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as place:
            run = create_run(_shortened(config), Path(place) / "runs" / "run", Path(place))
            watched = _Watched(config)
            yield from _steps(control, run, watched)
            if not control.stopping:
                yield Preparing("measuring an evaluation")
                yield watched.estimate(run, _listing(config, run), folder)
    except OSError as error:
        raise RunError(f"Nothing could be measured in {folder}: {reason(error)}.") from error


def _steps(control: RunControl, run: RunFolder, watched: _Watched) -> Iterator[Event]:
    """Train the short run, and pass on how far it is."""
    total = run.config().training.total_steps
    events = adapt(control, run)
    try:
        for event in events:
            watched.take(event)
            if isinstance(event, Preparing | Measuring):
                yield event
            elif isinstance(event, StepDone):
                yield Measuring("measuring steps", event.step, total)
    finally:
        if isinstance(events, Generator):
            events.close()


def _shortened(config: RunConfig) -> RunConfig:
    """A few steps of each phase, with one preview and the measurements at the ends, without labels."""
    training = config.training
    source, adaptation = min(STEPS, training.source_steps), min(STEPS, training.steps)
    changes = {
        "data.target_labels": None,  # scoring them all may take long: a few are scored afterwards
        "data.evaluation_images": None,
        "training.source_steps": source,
        "training.steps": adaptation,
        "training.warmup_steps": 1,
        "training.log_interval": 1,
        "training.evaluation_interval": 0,
        "training.checkpoint_interval": source + adaptation,
        "training.preview_interval": source + adaptation if training.preview_interval else 0,
    }
    return with_changes(config, changes)


def _listing(config: RunConfig, run: RunFolder) -> Listing | None:
    """The data with their target labels; None where there are none to score."""
    if config.data.target_labels is None:
        return None
    return list_data(config.data, needs_target=False, label_space=run.path / LABEL_SPACE_FILE)


class _Watched:
    """The durations and sizes that a run's events show."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._steps: dict[Phase, list[float]] = {Phase.SOURCE: [], Phase.ADAPT: []}
        self._health = self._preview = self._checkpoint = 0.0
        self._memory = 0.0
        self._sizes: dict[str, int] = {}
        self._started: RunStarted | None = None
        self._last = time.perf_counter()

    def take(self, event: Event) -> None:
        now = time.perf_counter()
        since, memory = now - self._last, 0.0
        match event:
            case RunStarted():
                self._started = event
            case StepDone(phase=phase, seconds_per_step=seconds, memory_gib=memory):
                self._steps[phase].append(seconds)
            case PreviewReady():
                self._preview = since
            case CheckpointSaved(path=path, seconds=seconds):
                self._checkpoint = max(self._checkpoint, seconds)
                self._sizes[path.name] = sum(file.stat().st_size for file in path.iterdir())
            case HealthMeasured():
                self._health = max(self._health, since)
            case _:
                pass
        self._memory = max(self._memory, memory)
        if not isinstance(event, Preparing | Measuring):
            self._last = now

    def estimate(self, run: RunFolder, listing: Listing | None, folder: Path) -> Estimate:
        started, training = self._started, self._config.training
        assert started is not None
        source, adaptation = (_typical(self._steps[phase]) for phase in (Phase.SOURCE, Phase.ADAPT))
        scoring = 0.0 if listing is None else _seconds_per_image(run, listing, started.device) * len(listing.evaluation)
        evaluation = self._health + 2 * scoring  # of student and teacher
        total = (
            training.source_steps * (source or 0.0)
            + training.steps * (adaptation or 0.0)
            + (_evaluations(training) + 1) * evaluation
            + _previews(training) * self._preview
            + (training.total_steps // training.checkpoint_interval + 2) * self._checkpoint
        )
        largest = max(self._sizes.values())
        return Estimate(
            device=started.device,
            device_reason=started.device_reason,
            source_step_seconds=source,
            adapt_step_seconds=adaptation,
            evaluation_seconds=evaluation,
            preview_seconds=self._preview,
            checkpoint_seconds=self._checkpoint,
            total_seconds=total,
            memory_gib=self._memory,
            memory_total_gib=_memory_of(started.device) / 2**30,
            checkpoint_bytes=largest,
            disk_bytes=self._disk(largest, run),
            disk_free_bytes=shutil.disk_usage(folder).free,
        )

    def _disk(self, checkpoint: int, run: RunFolder) -> int:
        """Source-only, newest and best checkpoints, one that is being written, previews and curves."""
        training = self._config.training
        saved = training.total_steps // training.checkpoint_interval + _evaluations(training) + 1
        kept = min(saved, training.keep_checkpoints + 2) + 1
        pictures = sum(file.stat().st_size for file in run.previews_path.iterdir())
        rows = training.total_steps // training.log_interval
        return kept * checkpoint + _previews(training) * pictures + rows * ROW_BYTES


def _typical(seconds: list[float]) -> float | None:
    """The median of the steps after the first; None where there was none."""
    return statistics.median(seconds[1:] or seconds) if seconds else None


def _evaluations(training: TrainingConfig) -> int:
    """How often student and teacher are measured; the source-only model comes on top."""
    return (training.steps // training.evaluation_interval if training.evaluation_interval else 0) + 1


def _previews(training: TrainingConfig) -> int:
    return training.total_steps // training.preview_interval if training.preview_interval else 0


def _seconds_per_image(run: RunFolder, listing: Listing, device: str) -> float:
    """Score a few labelled images with the short run's model."""
    model = load_model(run.path, Model.STUDENT, "last")
    predictor = Predictor(model.segmenter, device)
    times = []
    for pair in listing.evaluation[:SCORED]:
        started = time.perf_counter()
        evaluate(predictor, [pair], listing.target_space)
        times.append(time.perf_counter() - started)
    return _typical(times) or 0.0


def _memory_of(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total
