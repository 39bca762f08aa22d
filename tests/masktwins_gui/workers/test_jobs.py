"""The thread pool and the inference thread, with functions that need no torch."""

import threading

import pytest

from masktwins_gui.workers import inference
from masktwins_gui.workers.inference import AHEAD, LONG, URGENT, InferenceWorker
from masktwins_gui.workers.jobs import JobPool


def is_quiet(runner):
    return not (runner.busy if isinstance(runner, JobPool) else runner.isRunning())


@pytest.fixture(params=[JobPool, InferenceWorker])
def runner(request, qtbot):
    runner = request.param()
    yield runner
    runner.close()
    qtbot.waitUntil(lambda: is_quiet(runner))


def ignore(*_):
    return None


def test_results_and_progress_come_in_the_gui_thread(qtbot, runner):
    seen = {}

    def work(task):
        seen["work"] = threading.get_ident()
        task.progress(3, 3)
        return 42

    def done(result):
        seen["done"] = (result, threading.get_ident())

    def progress(done, total):
        seen["progress"] = (done, total, threading.get_ident())

    runner.submit("a", work, done, ignore, progress)
    qtbot.waitUntil(lambda: "done" in seen)
    here = threading.get_ident()
    assert seen["work"] != here
    assert seen["done"] == (42, here)
    assert seen["progress"] == (3, 3, here)


def test_a_failure_comes_with_its_traceback(qtbot, runner):
    failures = []

    def work(task):
        raise OSError("the disk is full")

    runner.submit("a", work, ignore, lambda *args: failures.append(args))
    qtbot.waitUntil(lambda: bool(failures))
    assert failures[0][0] == "the disk is full"
    assert "OSError" in failures[0][1]


def test_a_task_with_the_same_key_replaces_the_one_before(qtbot, runner):
    release, results = threading.Event(), []

    def slow(task):
        release.wait(10)
        return "old"

    runner.submit("a", slow, results.append, ignore)
    runner.submit("a", lambda _: "new", results.append, ignore)
    runner.submit("b", lambda _: "other", results.append, ignore)
    release.set()
    qtbot.waitUntil(lambda: len(results) == 2)
    assert sorted(results) == ["new", "other"]


def test_cancelling_is_seen_by_the_work_and_silences_it(qtbot, runner):
    begun, ended, results = threading.Event(), threading.Event(), []

    def work(task):
        begun.set()
        while not task.cancelled():
            ended.wait(0.001)
        ended.set()
        return "late"

    handle = runner.submit("a", work, results.append, ignore)
    assert begun.wait(10)
    handle.cancel()
    assert ended.wait(10)
    other = []
    runner.submit("b", lambda _: 1, other.append, ignore)
    qtbot.waitUntil(lambda: other == [1])
    assert results == []


def test_closing_cancels_and_does_not_wait(qtbot, runner):
    begun, release = threading.Event(), threading.Event()

    def work(task):
        begun.set()
        release.wait(30)

    runner.submit("a", work, ignore, ignore)
    assert begun.wait(10)
    runner.close()
    runner.close()
    assert not is_quiet(runner)  # it is in the middle of something, and the caller goes on
    late = []
    runner.submit("b", late.append, late.append, ignore)  # nothing starts any more
    ended = runner.idle if isinstance(runner, JobPool) else runner.finished
    with qtbot.waitSignal(ended):
        release.set()
    assert is_quiet(runner)
    assert late == []


def test_news_come_in_order_and_before_the_result(qtbot, runner):
    if isinstance(runner, JobPool):
        pytest.skip("jobs tell no news")
    seen = []

    def work(task):
        for number in range(3):
            task.tell(number)
        return "done"

    runner.submit("a", work, seen.append, ignore, news=seen.append)
    qtbot.waitUntil(lambda: len(seen) == 4)
    assert seen == [0, 1, 2, "done"]


# The inference thread alone ------------------------------------------------------------------------


@pytest.fixture
def worker(qtbot):
    worker = InferenceWorker()
    yield worker
    worker.close()
    qtbot.waitUntil(lambda: not worker.isRunning())


def test_what_is_urgent_comes_first_and_what_is_ahead_last(qtbot, worker):
    release, order = threading.Event(), []
    worker.submit("first", lambda _: release.wait(10), ignore, ignore)
    for level in (AHEAD, LONG, URGENT):
        worker.submit(str(level), lambda _, level=level: order.append(level), ignore, ignore, level=level)
    release.set()
    qtbot.waitUntil(lambda: len(order) == 3)
    assert order == [URGENT, LONG, AHEAD]


def test_a_long_task_lets_urgent_ones_pass_between_two_images(qtbot, worker):
    order, begun, release = [], threading.Event(), threading.Event()

    def long(task):
        begun.set()
        release.wait(10)
        for image in range(2):
            worker._let_pass(task)
            order.append(image)

    worker.submit("long", long, ignore, ignore)
    assert begun.wait(10)
    worker.submit("now", lambda _: order.append("now"), ignore, ignore, level=URGENT)
    release.set()
    qtbot.waitUntil(lambda: len(order) == 3)
    assert order == ["now", 0, 1]


def test_a_long_task_rests_while_a_run_trains(qtbot, worker, monkeypatch):
    """Each image takes a second of a clock that stands still otherwise: the rests are as long as the images."""
    clock, rests, ended = [100.0], [], []
    monkeypatch.setattr(inference.time, "monotonic", lambda: clock[0])

    def wait(seconds=None):
        rests.append(seconds)
        clock[0] += seconds

    def long(task):
        worker._last_pause = clock[0]
        monkeypatch.setattr(worker._changed, "wait", wait)
        for seconds in (1.0, 5.0):
            clock[0] += seconds
            worker._let_pass(task)
        monkeypatch.undo()
        ended.append(True)

    worker.set_yielding(True)
    worker.submit("long", long, ignore, ignore)
    qtbot.waitUntil(lambda: bool(ended))
    assert rests == [1.0, inference.LONGEST_REST]
