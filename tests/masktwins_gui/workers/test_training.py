"""The mailbox and the thread around the engine."""

import pytest
from PySide6.QtCore import QObject, Signal

from core.errors import RunError
from core.events import Preparing
from core.runs.folder import RunFolder
from masktwins_gui.workers.training import Mailbox, TrainingWorker, load_engine
from tests.masktwins_gui.fakes import preview, step_done


def test_scalars_keep_their_order_and_previews_replace_each_other():
    mailbox = Mailbox()
    for step in (1, 2, 3):
        mailbox.put(step_done(step))
        mailbox.put(preview(step))
    events = mailbox.take()
    assert [event.step for event in events] == [3, 1, 2, 3]  # the newest preview, then every row
    assert mailbox.take() == []


def test_the_worker_closes_the_generator_when_it_fails(qtbot, tmp_path):
    closed = []

    def engine(control, run):
        try:
            yield Preparing("…")
            raise RunError("no space left; free some")
        finally:
            closed.append(True)

    mailbox = Mailbox()
    worker = TrainingWorker(lambda: RunFolder(tmp_path), mailbox, lambda: engine)
    with qtbot.waitSignal(worker.finished):
        worker.start()
    worker.wait()
    assert closed == [True]
    assert worker.failure.message == "no space left; free some"
    assert [type(event) for event in mailbox.take()] == [Preparing]


def test_a_run_that_cannot_be_made_is_a_failure(qtbot, tmp_path):
    def make_run():
        raise RunError("the folder is read-only")

    worker = TrainingWorker(make_run, Mailbox(), lambda: lambda control, run: iter(()))
    with qtbot.waitSignal(worker.finished):
        worker.start()
    worker.wait()
    assert worker.failure.message == "the folder is read-only"


def test_an_error_without_words_still_has_a_name(qtbot, tmp_path):
    def make_run():
        raise ZeroDivisionError

    worker = TrainingWorker(make_run, Mailbox(), load_engine)
    with qtbot.waitSignal(worker.finished):
        worker.start()
    worker.wait()
    assert worker.failure.message == "ZeroDivisionError"


class Emitter(QObject):
    sent = Signal(object)


@pytest.mark.parametrize("value", [True, None, 1.5])
def test_fifty_thousand_objects_through_a_signal(value, qapp):
    """PySide6 6.12.0 leaks a reference to True per emission, until CPython 3.11 aborts."""
    emitter, received = Emitter(), []
    emitter.sent.connect(received.append)
    for _ in range(50_000):
        emitter.sent.emit(value)
    assert len(received) == 50_000
    assert received[-1] is value
