"""The process that reads damaged files. It gives up the network and the right to start programs, and watches itself.

For each input it writes a line of JSON: before, so that the parent knows what a crash or a hang was about, and after.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from types import FrameType

from tests.core import sealed
from tests.torture import corpus
from tests.torture.mutate import mutate
from tests.torture.planted import PLANTED
from tests.torture.readers import SENTENCES, Read, readers

MOST_BYTES = 2 << 30  # resident, at the highest

_FORBIDDEN = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "socket.connect", "socket.bind",
    "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "webbrowser.open", "pty.spawn",
}  # fmt: skip
_CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link", "os.chmod"}


class Watch:
    """Notes what an input makes the process do that reading a file does not need."""

    def __init__(self, work: Path) -> None:
        self._work = f"{work.resolve()}{os.sep}"
        self.armed = False
        self.seen: list[str] = []
        self._peak = 0
        sys.addaudithook(self._hook)

    def new_peak(self) -> int:
        """The most memory that this process ever held, in bytes; 0 where that is no more than the last time."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        earlier, self._peak = self._peak, peak
        return peak if peak > earlier else 0

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.armed:
            return
        if event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments[:2]}")
        elif event == "open" and _writes(arguments) and not self._is_inside(arguments[0]):
            self.seen.append(f"writes {arguments[0]!r}")
        elif event in _CHANGES and not self._is_inside(arguments[0]):
            self.seen.append(f"{event} {arguments[0]!r}")

    def _is_inside(self, path: object) -> bool:
        if not isinstance(path, str | bytes):
            return True  # a handle that was opened before
        full = os.path.realpath(os.fsdecode(path))
        return full.startswith(self._work) or full == os.devnull or full.startswith("/proc/self/")


def _writes(arguments: tuple[object, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def run(work: Path, seed: int, plan: list[tuple[str, int]], seconds: int) -> None:
    """Read the inputs of a plan: (kind, number). The same seed, kind and number give the same input."""
    files = corpus.make(work / "corpus")
    known = readers(work / "corpus" / "checkpoint", work)
    files |= {"model": files["weights"][:1], "command": files["image"]}
    watch = Watch(work)
    for kind, (name, read) in known.items():  # whole files first: libraries load what they need
        outcome = _read(kind, name, read, files[kind][0], work, watch, seconds)
        assert outcome == {"result": "read", "fault": ""}, f"a whole file of the kind {kind}: {outcome}"
    known |= {kind: ("planted", read) for kind, read in PLANTED.items()}
    files |= {kind: [b"good"] for kind in PLANTED}
    warnings.simplefilter("ignore")
    if sealed.is_possible:
        sealed.seal(programs=True)
    for kind, number in plan:
        _say(kind=kind, number=number)
        draw = random.Random(f"{seed}/{kind}/{number}")
        good, other = draw.choice(files[kind]), draw.choice(files[draw.choice([kind, kind, *files])])
        name, read = known[kind]
        data = mutate(good, other, draw, is_text=corpus.is_text(kind))
        _say(kind=kind, number=number, **_read(kind, name, read, data, work, watch, seconds))


def _read(kind: str, name: str, read: Read, data: bytes, work: Path, watch: Watch, seconds: int) -> dict[str, str]:
    """Read one input; what is wrong with how that went, empty where nothing is."""
    path = work / kind.replace(" ", "_") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    watch.seen.clear()
    watch.armed = True
    signal.setitimer(signal.ITIMER_REAL, seconds)
    result, fault = "read", ""
    try:
        read(path)
    except SENTENCES as error:
        result = "refused"
        if not str(error).strip() or "\n" in str(error).strip():
            fault = f"no sentence: {error!r}"
    except BaseException:  # noqa: BLE001 - that is what is looked for
        result, fault = "failed", traceback.format_exc(limit=-12)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        watch.armed = False
    if watch.seen:
        fault = "\n".join([fault, *watch.seen]).strip()
    peak = watch.new_peak()
    if peak > MOST_BYTES:
        fault = f"{fault}\n{peak >> 20} MiB of memory".strip()
    return {"result": result, "fault": fault}


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("it takes too long")


def _say(**values: object) -> None:
    print(json.dumps(values), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _too_long)
    request = json.loads(sys.stdin.readline())
    os.chdir(request["work"])
    run(
        Path(request["work"]), request["seed"], [(kind, number) for kind, number in request["plan"]], request["seconds"]
    )
