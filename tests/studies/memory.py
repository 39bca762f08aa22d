"""Estimate the memory of a training step on a CUDA card, without a card: `python tests/studies/memory.py [PRESET …]`.

A step is made on simulated CUDA tensors and the bytes of all living ones are added up. The peak of a step lies where the
forward of the twins ends and their backward begins; the backward itself is left out, because a simulated one asks the driver.
Not counted: the CUDA context (about 0.5 GiB), what the allocator loses to fragments, and the workspaces of kernels.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.configuration.choices import Precision
from core.configuration.config import RunConfig
from core.configuration.settings import apply_preset, presets, with_changes
from core.loading.random import generator
from core.loading.sampling import Batch
from core.method.draws import draw
from core.method.step import Images, masktwins_step
from core.method.student import Student
from core.method.teacher import Teacher
from core.method.transfer import to_device
from core.networks.device import autocast
from core.networks.families import build_empty, described
from core.networks.recompute import recompute_blocks
from core.pixels import Normalisation
from core.training.optim import StepGuard, build_optimizer
from tests.core.fake_cuda import fake_card, move_there, without_backward

NUM_CLASSES = 19
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "separate twins": {"training.twin_forward": "separate"},
    "gradient checkpointing": {"training.gradient_checkpointing": True},
    "accumulation of 2": {"training.accumulation": 2},
}


class Living(TorchDispatchMode):
    """Adds up the bytes of the tensors that exist, and keeps the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.device.type == "cuda":
                self._add(tensor.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.bytes += storage.nbytes()
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


def peak_gib(config: RunConfig, precision: Precision) -> float:
    """Return the estimated peak of an adaptation step in GiB; of one part where the batch is divided."""
    config = with_changes(config, {"network.weights": "none", "loss.feature_distance_weight": 0.0})
    training, network = config.training, config.network
    description = described(network.architecture, network.encoder, hrda=network.hrda)
    segmenter = build_empty(description, NUM_CLASSES, Normalisation()).train()
    if training.gradient_checkpointing:
        recompute_blocks(segmenter.encoder)
    host = _batch(
        training.batch_size // training.accumulation, training.target_batch // training.accumulation, training.crop_hw
    )
    step = int(getattr(segmenter, "detail_step", 0))
    draws = draw(config, host, lambda purpose: generator(0, 0, purpose), step)
    with fake_card(), Living() as living, without_backward(segmenter):
        move_there(segmenter)
        student = Student(segmenter, segmenter.normalisation, autocast(precision, "cuda"))
        teacher = Teacher(segmenter, training.teacher_statistics)
        optimizer = build_optimizer(segmenter, training)
        guard = StepGuard(optimizer, [segmenter, teacher.network])
        for t in range(2):  # the optimiser has its moments from the second step on
            living.peak = 0
            guard.before()
            images = Images(*(_there(name, tensor) for name, tensor in vars(host).items()))
            guard.apply(masktwins_step(student, teacher, images, draws, config, t))
            del images
        return living.peak / 2**30


def _batch(source: int, target: int, hw: tuple[int, int]) -> Batch:
    image, mask = torch.zeros(source, 3, *hw, dtype=torch.uint8), torch.zeros(source, *hw, dtype=torch.uint8)
    other = torch.zeros(target, 3, *hw, dtype=torch.uint8)
    return Batch(image, mask, other, torch.ones(target, *hw, dtype=torch.bool))


def _there(name: str, tensor: Tensor) -> Tensor:
    moved = to_device(tensor, "cuda")
    return moved.float().div(255) if name.endswith("image") else moved


def main() -> int:
    """Print a table of presets and of ways to need less."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(presets()))
    print("| preset | way | bf16 | fp32 |", "|---|---|---|---|", sep="\n")
    for name in parser.parse_args().presets:
        for way, changes in WAYS.items():
            config = with_changes(apply_preset(RunConfig(), name), changes)
            bf16, fp32 = (peak_gib(config, precision) for precision in (Precision.BF16, Precision.FP32))
            print(f"| {name} | {way} | {bf16:.1f} GiB | {fp32:.1f} GiB |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
