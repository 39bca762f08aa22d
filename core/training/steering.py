"""Obey the controls of a run between two steps: stop, pause, and changes of settings."""

from __future__ import annotations

from collections.abc import Iterator

from core.control import RunControl
from core.events import Event, Paused, Resumed, SettingsChanged, Warned
from core.training.distributed import Group
from core.training.failures import refusal
from core.training.record import RunRecord
from core.training.session import Session

AGREE_EVERY_S = 0.5  # how often paused processes ask each other whether to go on


class Steering:
    """Apply what was asked for, and yield events about it.

    Attributes:
        stopping: whether the run shall stop, as all its processes have agreed at the last `obey`.
    """

    def __init__(self, control: RunControl, record: RunRecord, session: Session) -> None:
        self.stopping = False
        self._control = control
        self._record = record
        self._session = session
        self._group: Group = session.group
        self._replay = [(step, changes) for step, changes in record.run.changes() if step >= session.step]

    def wants_to_stop(self) -> bool:
        """Return whether this process was asked to stop. Any thread may call it."""
        return self._control.stopping

    def obey(self) -> Iterator[Event]:
        """Apply changes that are due, then hold while paused."""
        yield from self._replay_changes()
        yield from self._take_changes()
        self.stopping, paused = self._group.any(self._control.stopping, self._control.paused)
        if paused and not self.stopping:
            self._record.paused(self._session.step)
            yield Paused(self._session.step)
            self._wait_while_paused()
            self._record.resumed()
            yield Resumed(self._session.step)
            yield from self._take_changes()

    def _wait_while_paused(self) -> None:
        paused = True
        while paused and not self.stopping:
            self._control.wait_while_paused(AGREE_EVERY_S if self._group.share.world > 1 else None)
            self.stopping, paused = self._group.any(self._control.stopping, self._control.paused)

    def _replay_changes(self) -> Iterator[Event]:
        """Make the changes of changes.jsonl again, from where the run was resumed."""
        while self._replay and self._replay[0][0] <= self._session.step:
            changes = self._replay.pop(0)[1]
            self._session.change(changes)
            yield SettingsChanged(self._session.step, changes)

    def _take_changes(self) -> Iterator[Event]:
        while (changes := self._control.next_changes()) is not None:
            if reason := refusal(self._session.config, changes):
                yield Warned("change_refused", reason)
            elif reason := self._record.change(self._session.step, changes):
                yield Warned("disk", f"{reason} The change was not made. Free some space and make it again.")
            else:
                self._replay.clear()  # of a stretch that was lost: a new course is taken here (RunFolder.changes)
                self._session.change(changes)
                yield SettingsChanged(self._session.step, changes)
