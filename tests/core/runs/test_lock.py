"""One writer per run: the lock, the question whether somebody holds it, and drives without file locks."""

import errno
import json
import os
import platform
import subprocess
import sys
import threading
import time

import psutil
import pytest
from filelock import FileLock

from core.errors import RunError
from core.runs import lock
from core.runs.folder import RunFolder
from core.runs.lock import HOLDER_FILE, LOCK_FILE

HOLD = """
import sys
from pathlib import Path
from core.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def no_question(monkeypatch):
    """Fails whoever takes the system's lock."""

    def refuse(*_, **__):
        raise AssertionError("the lock was taken")

    monkeypatch.setattr(lock.FileLock, "acquire", refuse)


def holder(**changes):
    process = psutil.Process()
    return json.dumps({"host": platform.node(), "pid": process.pid, "started": process.create_time(), **changes})


def test_asking_takes_no_lock(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    assert not run.is_held()
    with run.lock():
        monkeypatch.setattr(lock.FileLock, "acquire", lambda *_, **__: pytest.fail("the lock was taken"))
        assert run.is_held()
    assert not (tmp_path / HOLDER_FILE).exists()


def test_another_process_holds_it_until_it_is_killed(tmp_path):
    run = RunFolder(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        assert run.is_held()
        with pytest.raises(RunError, match="another process"), run.lock():
            pass
        process.kill()
    assert not run.is_held()  # though its name is still there
    assert (tmp_path / HOLDER_FILE).exists()
    with run.lock():
        assert run.is_held()


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 1}, {"started": 1.0}])
def test_a_dead_holder_holds_nothing_and_no_lock_is_taken_to_see_it(tmp_path, no_question, changes):
    (tmp_path / HOLDER_FILE).write_text(holder(**changes))
    assert not RunFolder(tmp_path).is_held()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', '{"host": "a", "pid": 1e999, "started": 0}'])
def test_a_damaged_holder_file_is_no_holder(tmp_path, content):
    (tmp_path / HOLDER_FILE).write_text(content)
    run = RunFolder(tmp_path)
    assert not run.is_held()
    with run.lock():
        assert run.is_held()


def test_a_resume_waits_for_the_instant_in_which_another_program_looks(tmp_path):
    other = FileLock(tmp_path / LOCK_FILE, thread_local=False)
    other.acquire()
    timer = threading.Timer(0.2, other.release)
    timer.start()
    with RunFolder(tmp_path).lock() as note:
        assert note == ""
    timer.join()


def test_a_folder_in_place_of_the_lock_is_set_aside(tmp_path):
    (tmp_path / LOCK_FILE / "in it").mkdir(parents=True)
    with RunFolder(tmp_path).lock() as note:
        assert ".lock.damaged" in note
    assert (tmp_path / ".lock.damaged" / "in it").is_dir()


def test_a_link_in_place_of_the_lock_leads_nowhere(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / LOCK_FILE).symlink_to(victim)
    with RunFolder(tmp_path).lock():
        pass
    assert victim.read_text() == "precious"


def test_a_folder_that_does_not_exist_is_named_and_not_made(tmp_path):
    with pytest.raises(RunError, match="does not exist"), RunFolder(tmp_path / "gone").lock():
        pass
    assert not (tmp_path / "gone").exists()


# Drives without file locks -----------------------------------------------------------------------


@pytest.fixture(params=[errno.ENOLCK, errno.EIO, errno.ENOSYS])
def no_locks(monkeypatch, request):
    def refuse(*_, **__):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(lock.FileLock, "acquire", refuse)


def test_without_file_locks_the_holder_file_protects_the_run_and_says_so(tmp_path, no_locks):
    run = RunFolder(tmp_path)
    with run.lock() as note:
        assert "no file locks" in note
        assert HOLDER_FILE in note
        assert run.is_held()
        with pytest.raises(RunError, match=f"number {os.getpid()} on {platform.node()}"), RunFolder(tmp_path).lock():
            pass
        assert run.is_held()  # the one that was refused has taken nothing away
    assert not run.is_held()
    with run.lock():
        pass


def test_without_file_locks_a_dead_holder_is_replaced(tmp_path, no_locks):
    (tmp_path / HOLDER_FILE).write_text(holder(started=1.0))
    with RunFolder(tmp_path).lock():
        assert json.loads((tmp_path / HOLDER_FILE).read_text())["started"] > 1.0


def test_without_file_locks_another_machine_is_believed_until_its_file_is_deleted(tmp_path, no_locks):
    run = RunFolder(tmp_path)
    (tmp_path / HOLDER_FILE).write_text(holder(host="elsewhere"))
    with pytest.raises(RunError, match=r"on elsewhere.*delete .*\.holder"), run.lock():
        pass
    (tmp_path / HOLDER_FILE).unlink()
    with run.lock():
        pass


def test_a_refusal_is_quick_enough_for_a_person(tmp_path):
    run = RunFolder(tmp_path)
    with run.lock():
        started = time.monotonic()
        with pytest.raises(RunError), RunFolder(tmp_path).lock():
            pass
        assert time.monotonic() - started < 2 * lock.WAIT_S
