"""Feed damaged files to a process of the program, and list what went wrong."""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 30  # for one input
START = 180  # seconds for its libraries

# Inputs of each kind in 10,000: most of what is quick to read and comes from strangers.
SHARES = {
    "image": 3200, "label": 1500, "configuration": 1200, "label space": 800, "foreign weights": 600, "weights": 500,
    "metrics": 300, "changes": 300, "run status": 300, "model card": 300, "checkpoint state": 200, "checksums": 200,
    "run notes": 100, "class names": 400, "list": 200,
    "optimizer": 200, "video": 200, "model": 100, "command": 100,
}  # fmt: skip


@dataclass
class Report:
    """What came of the inputs: how many by (kind, result), and what was wrong."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[tuple[str, int, str]] = field(default_factory=list)  # kind, number, what

    def table(self) -> str:
        kinds = dict.fromkeys(kind for kind, _ in self.counts)
        rows = [("kind", "inputs", "read", "refused", "at fault")]
        for kind in kinds:
            counts = [sum(n for (k, result), n in self.counts.items() if k == kind and result in wanted) for wanted in (
                ("read", "refused", "failed", "ended"), ("read",), ("refused",)
            )]  # fmt: skip
            rows.append((kind, *map(str, counts), str(sum(fault[0] == kind for fault in self.faults))))
        return "\n".join(f"{row[0]:18}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def plan_of(inputs: int) -> list[tuple[str, int]]:
    """Return (kind, number) of about `inputs` inputs, of every kind at least three."""
    return [(kind, i) for kind, share in SHARES.items() for i in range(max(3, round(inputs * share / 10_000)))]


def torture(plan: list[tuple[str, int]], seed: int, seconds: int = SECONDS) -> Report:
    """Read the inputs of a plan in a process of its own, which is started again after a crash or a hang."""
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        sentinel = _make_sentinel(Path(scratch) / "sentinel")
        before = _digest(sentinel)
        waiting = list(plan)
        while waiting:
            work = Path(scratch) / f"work{len(waiting)}"
            work.mkdir()
            waiting = _run_worker(work, seed, waiting, report, seconds)
        if _digest(sentinel) != before:
            report.faults.append(("any", -1, "a file beside the working folder was changed"))
    return report


def _run_worker(
    work: Path, seed: int, plan: list[tuple[str, int]], report: Report, seconds: int
) -> list[tuple[str, int]]:
    """Read as many inputs as one process survives; what remains, without the input that it did not."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "MASKTWINS_TORTURE": "1", "TMPDIR": str(work)}
    errors = (work / "stderr").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=REPOSITORY, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps({"work": str(work), "seed": seed, "plan": plan, "seconds": seconds}) + "\n")
    process.stdin.close()
    done, began = 0, False
    for line in _lines(process, 2 * seconds):
        said = json.loads(line)
        began = "result" not in said
        if not began:
            done += 1
            report.counts[said["kind"], said["result"]] += 1
            if said["fault"]:
                report.faults.append((said["kind"], said["number"], said["fault"]))
    hung = process.poll() is None
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()
    errors.seek(0)
    words = errors.read()[-2000:]
    errors.close()
    if done == len(plan):
        return []
    if not began:
        raise RuntimeError(f"The worker ended before an input was read:\n{words}")
    kind, number = plan[done]
    report.counts[kind, "ended"] += 1
    report.faults.append((kind, number, "hangs" if hung else f"ends the process ({process.returncode}):\n{words}"))
    return plan[done + 1 :]


def _lines(process: subprocess.Popen[str], seconds: int) -> Iterator[str]:
    """Lines that a process writes, until it ends or says nothing for too long."""
    assert process.stdout
    patience = START
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        os.set_blocking(process.stdout.fileno(), False)
        rest = ""
        while selector.select(patience):
            read = process.stdout.read()
            if not read:
                process.wait()
                return
            patience = seconds  # the worker itself ends what takes half as long, where Python can
            *whole, rest = (rest + read).split("\n")
            yield from whole


def _make_sentinel(folder: Path) -> Path:
    """Files of somebody else, beside the folder that is worked in."""
    for name in ("etc/passwd", "thesis.txt", "photos/a.png", "run.toml", "label_space.toml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"mine: {name}")
    return folder


def _digest(folder: Path) -> Mapping[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
