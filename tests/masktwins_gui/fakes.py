"""Engines that train nothing, and services that answer at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.control import RunControl
from core.events import (
    CheckpointSaved,
    Estimate,
    Evaluated,
    Event,
    Finished,
    Model,
    Paused,
    Phase,
    PhaseStarted,
    Preparing,
    PreviewReady,
    Resumed,
    RunStarted,
    Scores,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.runs.folder import RunFolder

ESTIMATE = Estimate(
    device="cpu",
    device_reason="no CUDA device found",
    source_step_seconds=0.2,
    adapt_step_seconds=0.5,
    evaluation_seconds=3.0,
    preview_seconds=0.1,
    checkpoint_seconds=0.3,
    total_seconds=720.0,
    memory_gib=1.5,
    memory_total_gib=8.0,
    checkpoint_bytes=2**28,
    disk_bytes=2**30,
    disk_free_bytes=2**36,
)
SCORES = Scores(50.0, 70.0, {"road": 40.0, "sky": 60.0}, ((4, 1), (1, 6)))


def step_done(step: int, total: int = 1000) -> StepDone:
    losses = {"total": 1.0 / step, "source": 0.5 / step}
    return StepDone(step, Phase.SOURCE, losses, 1e-4, 0.1, 20.0, 0.1 * (total - step), 1.5)


def preview(step: int, value: int = 0) -> PreviewReady:
    picture = np.full((4, 6, 3), value, np.uint8)
    return PreviewReady(step, ({"target": picture, "twin_a": picture},), ("a.png",))


def started(run: RunFolder, first_step: int = 0) -> RunStarted:
    return RunStarted(
        run.path, 4, 1000, first_step, "cpu", "no CUDA device found", ("road", "sky"), ((1, 2, 3), (4, 5, 6))
    )


class FakeEngine:
    """Steps until it is stopped; keeps what it was told."""

    def __init__(self, num_steps: int = 10**9) -> None:
        self.num_steps = num_steps
        self.changes: list[Any] = []
        self.closed = False

    def __call__(self, control: RunControl, run: RunFolder) -> Iterator[Event]:
        try:
            yield from self._events(control, run)
        finally:
            self.closed = True

    def _events(self, control: RunControl, run: RunFolder) -> Iterator[Event]:
        yield Preparing("loading images")
        yield started(run)
        yield PhaseStarted(Phase.SOURCE, 0)
        yield Warned("file", "one image cannot be read", Path("bad.png"))
        step = 0
        while step < self.num_steps and not control.stopping:
            while (changes := control.next_changes()) is not None:
                self.changes.append(dict(changes))
                yield SettingsChanged(step, changes)
            if control.paused:
                yield Paused(step)
                control.wait_while_paused()
                yield Resumed(step)
            step += 1
            control._stop.wait(0.002)  # gives the processor to the window
            yield step_done(step)
            yield preview(step, step % 256)
        yield Evaluated(step, Model.TEACHER, SCORES)
        yield CheckpointSaved(step, run.path / "checkpoints" / "step-000001", 0.1)
        yield Finished(
            step, stopped=control.stopping, result={"source_only": {"miou": 40.0}, "teacher": {"miou": 50.0}}
        )


def failing_engine(control: RunControl, run: RunFolder) -> Iterator[Event]:
    """Works a little, then fails as a disk or a card fails."""
    yield started(run)
    yield step_done(1)
    yield preview(1)
    raise RuntimeError("the card has left the bus")


class DirectJobs:
    """Runs each job at once, in the caller's thread."""

    class Handle:
        def cancel(self) -> None:
            return

    def progress(self, done: int, total: int) -> None:
        self.reported = (done, total)

    def cancelled(self) -> bool:
        return False

    def submit(
        self, key: str, function: Callable, done: Callable, failed: Callable | None = None, progress: Any = None
    ) -> Handle:
        done(function(self))
        return self.Handle()


class FakeInference:
    """Keeps the requests; the test answers them by the callbacks."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, tuple]] = []
        self.cancelled = 0

    class Handle:
        def __init__(self, owner: "FakeInference") -> None:
            self._owner = owner

        def cancel(self) -> None:
            self._owner.cancelled += 1

    def predict(self, request: Any, *callbacks: Callable) -> Handle:
        return self._keep("predict", request, callbacks)

    def compare(self, request: Any, *callbacks: Callable) -> Handle:
        return self._keep("compare", request, callbacks)

    def predict_files(self, request: Any, *callbacks: Callable) -> Handle:
        return self._keep("files", request, callbacks)

    def export(self, request: Any, *callbacks: Callable) -> Handle:
        return self._keep("export", request, callbacks)

    def _keep(self, kind: str, request: Any, callbacks: tuple) -> Handle:
        self.calls.append((kind, request, callbacks))
        return self.Handle(self)
