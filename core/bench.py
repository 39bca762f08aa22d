"""`masktwins bench`: seconds per step and where they go, for a few named configurations on generated images.

The parts are what a profiler attributes to the step's own labelled ranges; the step's time itself is measured without
the profiler. No wall time is ever an assertion.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from core.config import RunConfig
from core.data.demo import make_demo
from core.data.listing import create_run, list_run
from core.data.prefetch import Prefetcher
from core.settings import with_changes
from core.training.device import memory_gib
from core.training.session import Session

PARTS = ("source", "teacher", "mix", "twins", "optimiser", "ema")
WARM_UP = 2  # steps before the clock starts: memory is allocated and kernels are chosen in them


@dataclass(frozen=True)
class Case:
    name: str
    changes: dict[str, Any]


CASES = (
    Case("segformer pvt_v2_b0 160 ×4", {"training.crop_size": 160, "training.batch_size": 4}),
    Case("segformer mit_b0 256 ×2", {"network.encoder": "mit_b0", "training.crop_size": 256}),
    Case("unet resnet18 160 ×4", {
        "network.architecture": "unet", "network.encoder": "resnet18",
        "training.crop_size": 160, "training.batch_size": 4,
    }),
)  # fmt: skip


def run_bench(steps: int, device: str = "auto", progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure every case. Raises RunError where the device is not there."""
    rows: list[dict[str, Any]] = []
    session: Session | None = None
    with TemporaryDirectory() as folder:
        data = make_demo(Path(folder) / "data", source=16, target=16, evaluation=1, size=(288, 384))
        base = {
            "network.weights": "none", "mask.block_size": 16, "training.device": device, "training.source_steps": 0,
            "training.steps": 10_000, "training.batch_size": 2, "training.pseudo_label_threshold": 0.0,
        }  # fmt: skip
        for case in CASES:
            if progress is not None:
                progress(case.name)
            config = with_changes(RunConfig(data=data), {**base, **case.changes})
            run = create_run(config, Path(folder) / case.name.replace(" ", "-"))
            session = Session(config, run, list_run(run), None)
            rows.append({"name": case.name, **_measure(session, steps)})
    assert session is not None
    compute = session.compute
    return {
        "device": compute.device,
        "device_reason": compute.reason,
        "precision": compute.precision.value,
        "threads": compute.threads,
        "torch": torch.__version__,
        "gemm_gflops": _gemm_gflops(compute.device),
        "configurations": rows,
    }


def _measure(session: Session, steps: int) -> dict[str, Any]:
    session.begin_adaptation()
    total = WARM_UP + 2 * steps
    with Prefetcher(session.make_batch, 0, total, session.config.data.loader_threads) as batches:
        for _ in range(WARM_UP):
            session.train_step(next(batches))
        seconds, waits = [], []
        for _ in range(steps):
            started = time.perf_counter()
            batch = next(batches)
            waits.append(time.perf_counter() - started)
            session.train_step(batch)
            _synchronise(session.compute.device)
            seconds.append(time.perf_counter() - started)
        cached = [next(batches) for _ in range(min(steps, 4))]
    parts = _profile(session, cached)
    median = statistics.median(seconds)
    return {
        "seconds_per_step": median,
        "images_per_second": 2 * session.config.training.batch_size / median,
        "memory_gib": memory_gib(session.compute.device),
        "parts": {"data wait": statistics.median(waits), **parts},
    }


def _profile(session: Session, batches: list[Any]) -> dict[str, float]:
    """Seconds per step of the step's labelled ranges."""
    on_cuda = session.compute.device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as profiler:
        for batch in batches:
            session.train_step(batch)
        _synchronise(session.compute.device)
    found = {event.key: event for event in profiler.key_averages()}
    totals = {part: found[f"masktwins::{part}"] for part in PARTS if f"masktwins::{part}" in found}
    return {
        part: (event.device_time_total if on_cuda else event.cpu_time_total) / 1e6 / len(batches)
        for part, event in totals.items()
    }


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _gemm_gflops(device: str, size: int = 1024) -> float:
    """What the machine multiplies matrices at, in fp32, to read the other figures by."""
    a = torch.randn(size, size, device=device)
    times = []
    for _ in range(7):
        _synchronise(device)
        started = time.perf_counter()
        torch.mm(a, a)
        _synchronise(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(times) / 1e9
