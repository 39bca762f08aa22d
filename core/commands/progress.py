"""Progress in the terminal, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from tqdm import tqdm

from core.events import Evaluated, Event, Finished, HealthMeasured, Measuring, Preparing, RunStarted, StepDone, Warned


@contextmanager
def bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar driven by calls of (done, total)."""
    with tqdm(desc=title, unit=f" {unit}", leave=False) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield progress


class TrainingBar:
    """Shows a run's events: one bar per run, and a line for what a user should keep."""

    def __init__(self) -> None:
        self._shown: tqdm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._shown is not None:
            with suppress(OSError):
                self._shown.close()
            self._shown = None

    def show(self, event: Event, name: str = "") -> None:
        """Show an event. A terminal that cannot be written any more ends no training."""
        with suppress(OSError):
            self._show(event, name)

    def _show(self, event: Event, name: str) -> None:
        prefix = f"{name}: " if name else ""
        match event:
            case Preparing():
                tqdm.write(f"{prefix}{event.message}", file=_stderr())
            case RunStarted():
                tqdm.write(f"{prefix}{event.run} on {event.device} ({event.device_reason})", file=_stderr())
                self._close()
                self._shown = tqdm(
                    total=event.total_steps, initial=event.first_step, desc=name or "training", unit=" steps"
                )
            case StepDone() if self._shown is not None:
                self._shown.update(event.step - self._shown.n)
                losses = {key: f"{value:.3f}" for key, value in event.losses.items()}
                self._shown.set_postfix({"phase": event.phase.value, **losses})
            case Measuring(message, done, total) if self._shown is not None:
                self._shown.set_postfix_str(f"{message} {done}/{total}")
            case Evaluated():
                text = f"{prefix}step {event.step}: {event.model.value} mIoU {event.scores.miou:.1f}"
                tqdm.write(text, file=_stderr())
            case HealthMeasured():
                text = f"{prefix}step {event.step}: {event.model.value} without labels {event.score:.3f}"
                tqdm.write(text, file=_stderr())
            case Warned():
                tqdm.write(f"{prefix}warning: {event.message}", file=_stderr())
            case Finished():
                self._close()
            case _:
                pass


def _stderr():  # noqa: ANN202 - tqdm.write wants a text stream, looked up late so that a replaced one is found
    import sys

    return sys.stderr
