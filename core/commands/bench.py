"""Measure seconds per step and where they go, for a few named configurations on generated images (`masktwins bench`).

What is compared is measured in turn, so that a machine's other work falls on all of it alike:

* the step on batches from the loader, and on a batch that lies ready: their ratio is what waiting for data costs;
* the step, and the plain work it cannot do without (forward and backward of the same student images in the same batches,
  and the teacher's forward): their ratio is what masks, mixing, losses, EMA and optimiser cost;
* the step of each variant that a configuration names.

The parts are wall times of the step's own labelled ranges, in steps without a profiler, which would slow them down unevenly.
The operators are a profiler's shares in further steps. No wall time is ever an assertion.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from core.configuration.choices import TwinForward
from core.configuration.config import RunConfig
from core.configuration.sections import DataConfig
from core.configuration.settings import with_changes
from core.configuration.training import TrainingConfig
from core.demo.data import make_demo
from core.errors import RunError
from core.loading.prefetch import Prefetcher
from core.loading.sampling import Batch
from core.memory import give_back_memory
from core.method.parts import timing
from core.networks.device import choose_device
from core.runs.create import create_run, list_run
from core.training.device import peak_memory_gib, reset_peak_memory, resolve
from core.training.session import Session

PARTS = ("source", "teacher", "mix", "twins", "optimiser", "ema")
OURS = "_DilatedDepthwiseBackward"  # of core.networks.depthwise: its inner operators count as one
LARGEST = 8  # operators that are named
WARM_UP = 2  # steps before the clock starts: memory is allocated and kernels are chosen in them
FRAME = (288, 384)  # pixels of the generated images
CAMERA_FRAME = (1024, 2048)


@dataclass(frozen=True)
class Case:
    name: str
    changes: dict[str, Any]
    variants: tuple[dict[str, Any], ...] = ()  # further changes, each measured in turn with the case
    frame: tuple[int, int] = FRAME


RELEASED = {  # the configuration whose released code was timed: see the guide (speed.md)
    "network.architecture": "daformer", "network.encoder": "mit_b0",
    "training.crop_size": 256, "training.target_batch_size": 1,
}  # fmt: skip
BF16, COMPILED = {"training.precision": "bf16"}, {"training.compile": True}
CASES = (
    Case("segformer pvt_v2_b0 160 ×4", {"training.crop_size": 160, "training.batch_size": 4}, (BF16, COMPILED)),
    Case("daformer mit_b0 256 ×2", RELEASED, ({"training.twin_forward": "separate"}, BF16)),
    Case("HRDA daformer mit_b0 256 ×2", {**RELEASED, "network.hrda": True}, (BF16,)),
    Case("unet resnet18 160 ×4", {
        "network.architecture": "unet", "network.encoder": "resnet18",
        "training.crop_size": 160, "training.batch_size": 4,
    }),
    Case("segformer pvt_v2_b0 512 ×2, 2048 × 1024 PNG", {"training.crop_size": 512}, frame=CAMERA_FRAME),
)  # fmt: skip
_LARGE = {"network.architecture": "daformer", "network.encoder": "mit_b5", "network.hrda": True}
_FP32 = {"training.precision": "fp32"}
CUDA_CASES = (
    *(
        Case(
            f"segformer mit_b2 {crop} ×2", {"network.encoder": "mit_b2", "training.crop_size": crop}, (_FP32, COMPILED)
        )
        for crop in (512, 1024)
    ),
    *(
        Case(f"HRDA daformer mit_b5 {crop} ×2", {**_LARGE, "training.crop_size": crop}, (_FP32,))
        for crop in (512, 1024)
    ),
)


def run_bench(
    steps: int, device: str = "auto", progress: Callable[[str], None] | None = None, only: str = ""
) -> dict[str, Any]:
    """Measure the case named `only`, or else every case whose name contains it.

    Raises:
        RunError: the device is unavailable, or no case matches.
    """
    rows: list[dict[str, Any]] = []
    device, reason = choose_device(device)
    resolved = resolve(TrainingConfig(device=device))
    known = (*CASES, *(CUDA_CASES if device.startswith("cuda") else ()))
    cases = [case for case in known if case.name == only] or [case for case in known if only in case.name]
    if not cases:
        raise RunError(f"No configuration's name holds {only!r}; there are: {'; '.join(case.name for case in known)}.")
    with TemporaryDirectory() as folder:
        for case in cases:
            if progress is not None:
                progress(case.name)
            data = _frames(Path(folder) / "x".join(map(str, case.frame)), case.frame)
            make = partial(_session, case, data, device, Path(folder))
            rows.append({"name": case.name, **_measure(make, _runnable(case.variants, device), steps)})
            give_back_memory()
    return {
        "device": device,
        "device_reason": reason,
        "precision": resolved.precision.value,
        "threads": resolved.threads,
        "torch": torch.__version__,
        "gemm_gflops": gemm_gflops(device),
        "gemm_gflops_bf16": gemm_gflops(device, torch.bfloat16),
        "configurations": rows,
    }


def _frames(folder: Path, size: tuple[int, int]) -> DataConfig:
    count = 16 if size == FRAME else 4
    return make_demo(folder, source=count, target=count, evaluation=1, size=size)


def _runnable(variants: tuple[dict[str, Any], ...], device: str) -> dict[str, dict[str, Any]]:
    """The variants by their words; without torch.compile where a CPU has no C++ compiler for it."""
    compiler = device.startswith("cuda") or any(map(shutil.which, ("g++", "clang++", "cl")))
    return {
        ", ".join(f"{path}={value}" for path, value in changes.items()): changes
        for changes in variants
        if compiler or changes is not COMPILED
    }


def _session(case: Case, data: DataConfig, device: str, folder: Path, further: dict[str, Any]) -> Session:
    base = {
        "network.weights": "none", "mask.block_size": 16, "training.device": device, "training.source_steps": 0,
        "training.steps": 10_000, "training.batch_size": 2, "training.pseudo_label_threshold": 0.0,
    }  # fmt: skip
    config = with_changes(RunConfig(data=data), {**base, **case.changes, **further})
    run = create_run(config, Path(mkdtemp(dir=folder)) / "run")
    session = Session(config, list_run(run))
    session.begin_adaptation()
    return session


def _measure(
    make: Callable[[dict[str, Any]], Session], variants: dict[str, dict[str, Any]], steps: int
) -> dict[str, Any]:
    """Time the session without further changes, and those of the variants beside it."""
    session = make({})
    device = session.compute.device
    cached = session.make_batch(0)
    work: dict[str, Callable[[], Any]] = {"cached": lambda: session.train_step(cached)}
    reset_peak_memory(device)
    for _ in range(WARM_UP):
        work["cached"]()
    memory = peak_memory_gib(device)  # before the variants take theirs
    work["plain"] = lambda: _plain(session, cached)
    for words, changes in variants.items():
        work[words] = partial(make(changes).train_step, cached)
    for run in work.values():
        for _ in range(WARM_UP):
            run()
    waits: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in ("step", *work)}
    with Prefetcher(session.make_batch, range(WARM_UP + steps), session.loader_threads) as batches:
        work["step"] = lambda: _loaded_step(session, batches, waits)
        for _ in range(WARM_UP + steps):
            for name, run in work.items():
                found[name].append(_timed(device, run))
    seconds = {name: values[WARM_UP:] for name, values in found.items()}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = {name: statistics.median(_ratios(seconds["cached"], values)) for name, values in seconds.items()}
    parts = _parts(session, cached, steps)
    operators = _operators(session, cached, min(steps, 4))
    return {
        "seconds_per_step": median["step"],
        "images_per_second": (len(cached.source_image) + len(cached.target_image)) / median["step"],
        "memory_gib": memory,
        "step_to_plain": ratio["plain"],
        "loaded_to_cached": 1 / ratio["step"],
        "variant_to_step": {words: 1 / ratio[words] for words in variants},
        "parts": {"data wait": statistics.median(waits[WARM_UP:]), **parts},
        "operators": operators,
    }


def _loaded_step(session: Session, batches: Iterator[Batch], waits: list[float]) -> None:
    started = time.perf_counter()
    batch = next(batches)
    waits.append(time.perf_counter() - started)
    session.train_step(batch)


def _timed(device: str, run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    _synchronise(device)
    return time.perf_counter() - started


def _ratios(first: list[float], second: list[float]) -> list[float]:
    return [a / b for a, b in zip(first, second, strict=True)]


def _plain(session: Session, batch: Batch) -> None:
    """Forward and backward of the student's images of a step, in the step's batches, and the teacher's forward."""
    student, teacher = session.student, session.teacher
    assert teacher is not None
    images = session.to_device(batch)
    source, target = (student.normalisation.apply(image) for image in (images.source, images.target))
    twins = [target] * session.config.mask.views
    batched = session.config.training.twin_forward is TwinForward.BATCHED
    H, W = source.shape[-2:]
    box = session.source_box(H, W)
    for x in (source, source, *([torch.cat(twins)] if batched else twins)):
        _backward(student(x, box=box).logits)
    with torch.no_grad(), student.autocast():
        teacher.logits(target)
    student.network.zero_grad(set_to_none=True)


def _backward(logits: Tensor) -> None:
    logits.float().square().mean().backward()


def _parts(session: Session, batch: Batch, steps: int) -> dict[str, float]:
    """Return the median seconds per step of each part, and of the rest of the step."""
    found: list[dict[str, float]] = []
    for _ in range(steps):
        with timing(lambda: _synchronise(session.compute.device)) as seconds:
            whole = _timed(session.compute.device, lambda: session.train_step(batch))
        found.append({**seconds, "rest": whole - sum(seconds.values())})
    return {name: statistics.median(each[name] for each in found) for name in (*PARTS, "rest") if name in found[0]}


def _operators(session: Session, batch: Batch, steps: int) -> dict[str, float]:
    """Return the share of each kind of operator in all work of a step, the largest ones."""
    on_cuda = session.compute.device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        for _ in range(steps):
            session.train_step(batch)
        _synchronise(session.compute.device)
    work: Counter[str] = Counter()
    for event in profiler.events() or ():
        if event.is_user_annotation or event.device_type.name != "CPU":
            continue  # a range of ours, or a kernel, whose time its operator has too
        work[_kind(event)] += event.self_device_time_total if on_cuda else event.self_cpu_time_total
    return {kind: time / work.total() for kind, time in work.most_common(LARGEST)}


def _kind(event: FunctionEvent) -> str:
    """The operator's name; a convolution by its kernel and whether each channel goes by itself."""
    ancestor = event.cpu_parent
    while ancestor is not None:
        if ancestor.name == OURS:
            return OURS
        ancestor = ancestor.cpu_parent
    if "convolution" not in event.name or event.input_shapes is None:
        return event.name
    backward = "backward" in event.name
    shapes: Any = event.input_shapes  # a list of each; of a weight: (O, I / groups, kernel height, kernel width)
    weight = (*shapes, [], [], [])[2 if backward else 1]
    if len(weight) != 4:
        return event.name
    words = f"convolution {weight[2]}×{weight[3]}" + (", depthwise" if weight[1] == 1 < weight[0] else "")
    return words + (", backward" if backward else "")


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def gemm_gflops(device: str, dtype: torch.dtype = torch.float32, size: int = 2048) -> float:
    """Measure the machine's matrix-multiplication throughput, as a reference for the other figures."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    times = [_timed(device, lambda: torch.mm(a, a)) for _ in range(7)]
    return 2 * size**3 / statistics.median(times) / 1e9
