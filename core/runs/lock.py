"""Hold a run against a second writer, and find out whether a process holds it. Importable without torch.

The system's lock on `.lock` decides. Whoever holds it also writes its name into `.holder`, so that a window can ask without
taking the lock itself. On a drive without file locks `.holder` alone protects the run.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from core.errors import RunError
from core.files import set_aside

LOCK_FILE, HOLDER_FILE = ".lock", ".holder"
WAIT_S = 1.0  # another process may hold the lock for an instant, to see whether it is free
SAME_START_S = 10.0  # the system derives a process's start from its clock, which may have been set since
NOT_SUPPORTED = {errno.ENOLCK, errno.EIO, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """Name the process that trains a run."""

    host: str
    pid: int
    started: float  # seconds since 1970: tells the process from a later one with the same number

    def is_alive(self) -> bool | None:
        """Return whether the process runs; None if it belongs to another machine."""
        if self.host != platform.node():
            return None
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < SAME_START_S
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True  # it exists, and belongs to somebody else


@contextmanager
def hold(folder: Path) -> Iterator[str]:
    """Hold the run in `folder` until the context is left; the system releases it when the process dies.

    Yields:
        A sentence where the protection is weaker than usual; empty otherwise.

    Raises:
        RunError: another process holds the run, or the folder cannot be written.
    """
    me = Holder(platform.node(), os.getpid(), psutil.Process().create_time())
    release, note = _take(folder, me)
    try:
        yield note
    finally:
        if _read_holder(folder) == me:
            with suppress(OSError):
                (folder / HOLDER_FILE).unlink()
        release()


def is_held(folder: Path) -> bool:
    """Return whether a process trains the run. Takes no lock if the holder has left its name."""
    holder = _read_holder(folder)
    alive = holder.is_alive() if holder else None
    if alive is not None:
        return alive
    if not (folder / LOCK_FILE).exists():
        return False
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return True
    lock.release()
    return False


def _take(folder: Path, me: Holder) -> tuple[Callable[[], None], str]:
    """Take the lock. Return how to release it, and a sentence for the user."""
    if not folder.is_dir():  # the lock would make it
        raise RunError(f"The run folder {folder} does not exist. Check the path, or whether its drive is available.")
    note = _set_aside_what_is_no_lock(folder)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=WAIT_S, poll_interval=0.05)
    except Timeout:
        raise RunError(f"{folder} is being trained by another process. Stop that one first.") from None
    except (OSError, NotImplementedError) as error:
        number = getattr(error, "errno", errno.ENOSYS)
        if number not in NOT_SUPPORTED:
            raise RunError(
                f"The run folder {folder} cannot be locked: {getattr(error, 'strerror', None) or error}. Check that it exists "
                "and can be written."
            ) from error
        return _take_by_name(folder, me), (
            f"The drive of {folder} has no file locks ({os.strerror(number or errno.ENOSYS)}). The file {HOLDER_FILE} in it "
            "names this machine and process instead. If this machine fails, delete that file before another one resumes the run."
        )
    with suppress(OSError):  # the name only spares others the lock
        (folder / HOLDER_FILE).write_text(json.dumps(asdict(me)), encoding="utf-8")
    return lock.release, note


def _take_by_name(folder: Path, me: Holder) -> Callable[[], None]:
    """Protect the run by a file that only one process can create."""
    path = folder / HOLDER_FILE
    if (holder := _read_holder(folder)) is not None and (alive := holder.is_alive()) is not False:
        remedy = "Stop that one first." if alive else f"If it no longer trains this run, delete {path}."
        raise RunError(f"{folder} is being trained by another process: number {holder.pid} on {holder.host}. {remedy}")
    try:
        path.unlink(missing_ok=True)
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(me), file)
    except FileExistsError:
        raise RunError(f"{folder} is being trained by another process. Stop that one first.") from None
    except OSError as error:
        raise RunError(f"The run folder {folder} cannot be written: {error.strerror or error}.") from error
    return lambda: None


def _set_aside_what_is_no_lock(folder: Path) -> str:
    path = folder / LOCK_FILE
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return f"{path} was not a lock file. It is now called {set_aside(path).name}."
    except OSError as error:
        raise RunError(f"{path} is damaged and cannot be renamed: {error.strerror or error}. Delete it.") from error
    return ""


def _read_holder(folder: Path) -> Holder | None:
    try:
        value = json.loads((folder / HOLDER_FILE).read_text(encoding="utf-8"))
        return Holder(str(value["host"]), int(value["pid"]), float(value["started"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
