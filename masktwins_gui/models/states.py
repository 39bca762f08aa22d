"""The states that the pages show."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where the training stands; the controller makes the transitions."""

    IDLE = "idle"
    MEASURING = "measuring"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """A worker is alive."""
        return self not in (RunState.IDLE, RunState.FAILED)


class PageState(StrEnum):
    """What a rail entry says about its page."""

    EMPTY = "empty"
    ATTENTION = "attention"
    READY = "ready"
    DONE = "done"
    RUNNING = "running"
