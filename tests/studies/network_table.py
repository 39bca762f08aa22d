"""Write the guide's table of networks: `.venv/bin/python tests/studies/network_table.py`.

The seconds are those of this machine: let nothing else run meanwhile. `--no-times` keeps the ones in the chapter, and
`--print` leaves the chapter alone.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.demo.data import make_demo
from core.memory import keep_freed_memory
from core.networks.encoders import NETWORKS, Network
from core.networks.families import build_empty, described
from core.networks.licences import code_licence, imagenet_licence
from core.pixels import Normalisation
from core.runs.create import create_run, list_run
from core.training.session import Session

CHAPTER = Path(__file__).resolve().parents[2] / "resources" / "guide" / "networks.md"
START, END = "[//]: # (networks)", "[//]: # (/networks)"  # shown neither by GitHub nor by Qt
NUM_CLASSES = 19  # Cityscapes', for the parameters
CROP, BATCH = 128, 2
STEPS = 3  # measured, after one for warming up
UNKNOWN_TIME = "–"


def name_of(network: Network) -> str:
    """Name a network as the table does."""
    return f"`{network.architecture.value}` `{network.encoder}`{' with HRDA' if network.hrda else ''}"


def table(times: dict[str, str]) -> str:
    """The networks as a Markdown table; `times` holds seconds per step by a row's name."""
    lines = [
        "| network | parameters | code | ImageNet or foundation weights | s per step | what it is for |",
        "|---|---|---|---|---|---|",
    ]
    for row in NETWORKS:
        cells = (
            name_of(row),
            f"{num_parameters(row) / 1e6:.1f} M",
            code_licence(row.encoder, row.architecture),
            imagenet_licence(row.encoder),
            times.get(name_of(row), UNKNOWN_TIME),
            row.use,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def num_parameters(row: Network) -> int:
    """Trained values of the network with `NUM_CLASSES` classes."""
    network = build_empty(described(row.architecture, row.encoder, hrda=row.hrda), NUM_CLASSES, Normalisation())
    return sum(p.numel() for p in network.parameters())


def measured() -> dict[str, str]:
    """Seconds per adaptation step (median) on the CPU by a row's name."""
    keep_freed_memory()  # as the program does
    times: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        data = make_demo(Path(folder) / "data", source=8, target=8, evaluation=1, size=(288, 384))
        base = {
            "network.weights": "none", "mask.block_size": 16, "training.device": "cpu", "training.precision": "fp32",
            "training.source_steps": 0, "training.steps": 10_000, "training.batch_size": BATCH, "training.crop_size": CROP,
        }  # fmt: skip
        for index, row in enumerate(NETWORKS):
            network = {
                "network.architecture": row.architecture.value,
                "network.encoder": row.encoder,
                "network.hrda": row.hrda,
            }
            config = with_changes(RunConfig(data=data), {**base, **network})
            run = create_run(config, Path(folder) / f"run-{index}")
            times[name_of(row)] = f"{seconds_per_step(Session(config, list_run(run))):.2f}"
            print(name_of(row), times[name_of(row)], file=sys.stderr)
    return times


def seconds_per_step(session: Session) -> float:
    """Median of a few steps, decoding left out."""
    session.begin_adaptation()
    seconds = []
    for batch in [session.make_batch(step) for step in range(1 + STEPS)]:
        started = time.perf_counter()
        session.train_step(batch)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def standing(text: str) -> dict[str, str]:
    """Return the seconds in the chapter's table, by a row's name."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {cells[1]: cells[5] for cells in rows if len(cells) == 8}


def updated(text: str, times: dict[str, str]) -> str:
    """Return the chapter's text with its table replaced."""
    marked = f"{re.escape(START)}.*{re.escape(END)}"
    return re.sub(marked, lambda _: f"{START}\n\n{table(times)}\n\n{END}", text, flags=re.DOTALL)


def main() -> int:
    """Write or print the table; return 1 if the chapter has no place for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-times", action="store_true", help="keep the seconds in the chapter")
    parser.add_argument("--print", action="store_true", help="print the table, and leave the chapter alone")
    args = parser.parse_args()
    text = CHAPTER.read_text(encoding="utf-8")
    if not args.print and (START not in text or END not in text):
        print(f"{CHAPTER} has no place for the table: put {START} and {END} where it belongs.", file=sys.stderr)
        return 1
    times = standing(text) if args.no_times else measured()
    if args.print:
        print(table(times))
    else:
        CHAPTER.write_text(updated(text, times), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
