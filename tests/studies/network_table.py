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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.configuration.choices import Architecture
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.demo.data import make_demo
from core.memory import keep_freed_memory
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


@dataclass(frozen=True)
class Row:
    architecture: Architecture
    encoder: str
    use: str
    hrda: bool = False

    @property
    def name(self) -> str:
        return f"`{self.architecture.value}` `{self.encoder}`{' with HRDA' if self.hrda else ''}"


PVT, MIT = "tu-pvt_v2_b0", "mit_b0"
DINOV2, DINOV3 = "tu-vit_small_patch14_dinov2.lvd142m", "tu-vit_small_patch16_dinov3.lvd1689m"
ROWS = (
    Row(Architecture.SEGFORMER, PVT, "the default: light, and no licence forbids commercial use"),
    Row(Architecture.UNET, PVT, "logits at every pixel, for small things and fine borders"),
    Row(Architecture.UPERNET, PVT, "pooled context and a feature pyramid, for most of the parameters"),
    Row(Architecture.DAFORMER, PVT, "the paper's head on a permissively licensed encoder"),
    Row(Architecture.SEGFORMER, MIT, "the paper's family of encoders, the smallest"),
    Row(Architecture.UNET, MIT, "as on PVTv2"),
    Row(Architecture.DEEPLABV3PLUS, MIT, "dilated convolutions (ASPP) on MiT"),
    Row(Architecture.UPERNET, MIT, "as on PVTv2"),
    Row(Architecture.DAFORMER, MIT, "the paper's head, on the smallest encoder"),
    Row(Architecture.DEEPLABV3PLUS, "tu-resnet50.a1_in1k", "a convolutional network throughout"),
    Row(Architecture.SEGFORMER, "mit_b2", "between B0 and B5"),
    Row(Architecture.SEGFORMER, "mit_b5", "the paper's encoder with the lighter head"),
    Row(Architecture.DAFORMER, "mit_b5", "comparison with DAFormer; takes its released checkpoints"),
    Row(
        Architecture.DAFORMER,
        "mit_b5",
        "the paper's network; takes HRDA's, MIC's and MaskTwins' checkpoints",
        hrda=True,
    ),
    Row(Architecture.UPERNET, "tu-convnext_tiny.fb_in1k", "a modern convolutional encoder"),
    Row(
        Architecture.UPERNET,
        "tu-swin_tiny_patch4_window7_224.ms_in1k",
        "Swin with its own paper's head; exports safetensors alone",
    ),
    Row(Architecture.DPT, DINOV2, "a foundation encoder with finer logits (stride 2)"),
    Row(Architecture.DPT, DINOV3, "a newer foundation encoder; mind its licence"),
    Row(Architecture.LINEAR, DINOV2, "a foundation encoder with next to no head; coarse borders (stride 14)"),
)


def table(times: dict[str, str]) -> str:
    """The networks as a Markdown table; `times` holds seconds per step by a row's name."""
    lines = [
        "| network | parameters | code | ImageNet or foundation weights | s per step | what it is for |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        cells = (
            row.name,
            f"{num_parameters(row) / 1e6:.1f} M",
            code_licence(row.encoder, row.architecture),
            imagenet_licence(row.encoder),
            times.get(row.name, UNKNOWN_TIME),
            row.use,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def num_parameters(row: Row) -> int:
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
        for index, row in enumerate(ROWS):
            network = {
                "network.architecture": row.architecture.value,
                "network.encoder": row.encoder,
                "network.hrda": row.hrda,
            }
            config = with_changes(RunConfig(data=data), {**base, **network})
            run = create_run(config, Path(folder) / f"run-{index}")
            times[row.name] = f"{seconds_per_step(Session(config, list_run(run))):.2f}"
            print(row.name, times[row.name], file=sys.stderr)
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
