"""Measure how the work grows with the number of images: `.venv/bin/python tests/studies/scaling.py 10 1000 100000`.

For each N a labelled source and a target of N images are made of hard links to a few small files, and looked at by

    scan    finding and pairing both cameras' files
    check   the whole dataset report, every image and label decoded
    count   the classes counted in all source labels, for rare-class sampling
    step    a run made, listed, and trained for its first step (a tiny network on the CPU)

each in a process of its own, so that its peak memory is its own: seconds without the imports, MiB with them. Seconds of
the processor (all threads) are told beside those of the clock, as they say more where other programs run too. The images
are tiny (64 × 64): what grows here is the program's own work, and decoding real images comes on top of it, per image.
A Markdown table goes to stderr, one JSON object to stdout. A measurement over --limit seconds gives null.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE = 64
NUM_FILES = 20  # different ones; a file system allows no more than 65,000 links to one
DEFAULT_SIZES = (10, 1000)

Measured = dict[str, float] | None  # seconds, cpu_seconds, mib


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure how the work grows with the number of image pairs.")
    parser.add_argument("sizes", nargs="*", type=int, default=DEFAULT_SIZES, metavar="N", help="numbers of image pairs")
    parser.add_argument(
        "--only", nargs="+", choices=list(WORKS), default=list(WORKS), help="what is measured; default: all"
    )
    parser.add_argument("--limit", type=float, default=300, help="seconds that one measurement may take (300)")
    parser.add_argument("--folder", type=Path, help="where the links are made; default: a temporary folder")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "DATA"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return 0
    results: dict[int, dict[str, Measured]] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="masktwins-scaling-", dir=options.folder) as name:
            make_data(Path(name), size)
            results[size] = {work: measure_apart(work, Path(name), options.limit) for work in options.only}
    print(table(results), file=sys.stderr)
    print(json.dumps({str(size): row for size, row in results.items()}))
    return 0


# Data ----------------------------------------------------------------------------------------------


def make_data(folder: Path, num: int) -> None:
    """Make source/images, source/labels and target/images below the folder, `num` links each."""
    originals = folder / "originals"
    originals.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for place in ("source/images", "source/labels", "target/images"):
        (folder / place).mkdir(parents=True)
        files = [originals / f"{place.replace('/', '-')}-{i}.png" for i in range(min(num, NUM_FILES))]
        for file in files:
            shape = (SIDE, SIDE) if place.endswith("labels") else (SIDE, SIDE, 3)
            pixels = rng.integers(0, 4 if place.endswith("labels") else 256, shape, np.uint8)
            Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(file)
        for i in range(num):
            os.link(files[i % len(files)], folder / place / f"{i:07}.png")


# Measuring -----------------------------------------------------------------------------------------


def measure_apart(work: str, folder: Path, limit: float) -> Measured:
    """Measure in a process of its own; None when it took longer than `limit` seconds."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", work, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    try:
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(result.stdout.splitlines()[-1])


def measure(work: str, folder: Path) -> dict[str, float]:
    """Do the work here, and return its seconds and the peak memory of the process."""
    prepared = WORKS[work](folder)
    started, cpu_started = time.perf_counter(), time.process_time()
    prepared()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3), "mib": round(peak, 1)}


def _data(folder: Path) -> dict[str, Any]:
    return {
        "data.source_images": folder / "source/images",
        "data.source_labels": folder / "source/labels",
        "data.target_images": folder / "target/images",
    }


def scan(folder: Path) -> Callable[[], object]:
    from core.dataset.folders import scan

    return lambda: (scan(folder / "source/images", folder / "source/labels"), scan(folder / "target/images"))


def check(folder: Path) -> Callable[[], object]:
    from core.checking.check import check
    from core.configuration.config import RunConfig
    from core.configuration.settings import with_changes

    data = with_changes(RunConfig(), _data(folder)).data
    return lambda: check(data, (SIDE, SIDE), progress=lambda done, num: None)


def count(folder: Path) -> Callable[[], object]:
    from core.dataset.folders import scan
    from core.dataset.recognise import recognise
    from core.loading.counting import class_counts

    pairs = scan(folder / "source/images", folder / "source/labels").pairs
    space = recognise([pair.label for pair in pairs if pair.label]).space
    return lambda: class_counts(pairs, space)


def step(folder: Path) -> Callable[[], object]:
    from core.configuration.config import RunConfig
    from core.configuration.settings import with_changes
    from core.control import RunControl
    from core.events import StepDone
    from core.runs.create import create_run
    from core.training.loop import adapt

    changes = {
        "network.encoder": "tu-test_resnet", "network.weights": "none", "mask.block_size": 8, "training.steps": 1,
        "training.source_steps": 0, "training.crop_size": 32, "training.log_interval": 1, "training.device": "cpu",
    }  # fmt: skip
    config = with_changes(RunConfig(), {**_data(folder), **changes})

    def train() -> None:
        events = adapt(RunControl(), create_run(config, folder / "run"))
        next(event for event in events if isinstance(event, StepDone))
        events.close()  # type: ignore[attr-defined]

    return train


WORKS: dict[str, Callable[[Path], Callable[[], object]]] = {"scan": scan, "check": check, "count": count, "step": step}


# Report --------------------------------------------------------------------------------------------


def table(results: dict[int, dict[str, Measured]]) -> str:
    """The measurements as a Markdown table: seconds and MiB by number of image pairs."""
    works = list(next(iter(results.values()), {}))
    lines = ["| image pairs | " + " | ".join(works) + " |", "|---" * (len(works) + 1) + "|"]
    for size, row in results.items():
        lines.append(f"| {size:,} | " + " | ".join(_cell(row[work]) for work in works) + " |")
    return "\n".join(lines)


def _cell(measured: Measured) -> str:
    if measured is None:
        return "over the limit"
    return f"{measured['seconds']:.2f} s ({measured['cpu_seconds']:.2f} s CPU), {measured['mib']:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
