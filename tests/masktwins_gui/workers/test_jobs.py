"""The thread pool and the inference thread, with functions that need no torch."""

import threading

import pytest

from masktwins_gui.workers.inference import InferenceWorker
from masktwins_gui.workers.jobs import JobPool


@pytest.fixture(params=[JobPool, InferenceWorker])
def runner(request, qapp):
    runner = request.param()
    yield runner
    runner.close()


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


def test_closing_waits_for_the_threads(runner):
    begun = threading.Event()

    def work(task):
        begun.set()
        while not task.cancelled():
            threading.Event().wait(0.001)

    runner.submit("a", work, ignore, ignore)
    assert begun.wait(10)
    runner.close()
    runner.close()
    late = []
    runner.submit("b", late.append, late.append, ignore)  # nothing starts any more
    runner.close()
    assert late == []
