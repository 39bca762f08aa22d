"""Train with several processes, on PyTorch's DistributedDataParallel.

`torchrun` starts the processes and names them in the environment. Each trains on its share of every batch. The draws, the
batches and the decisions are those of one process with the whole batch. Process 0 alone writes, and decides on changes.

Some values are compared within one process's share only: with fewer target than source images ClassMix pairs those of one
share, and `pseudo_label_share = batch` and the feature distance take their means over it.

Control (stop, pause, changes) goes over a gloo group on the CPU, so asking for it never waits for a GPU.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.method.draws import Share
from core.networks.segmenter import Segmenter, padded_side

AGREE_EVERY_S = 0.5  # between two agreements on stop, pause and changes
MOST_STEPS = 1000  # between two agreements, however short the steps are
SYNCHRONISED_ON = ("cuda",)  # devices that torch's SyncBatchNorm accepts


class Group:
    """Stand for the processes of a run. This very class is the single process of an ordinary run."""

    share = Share()
    local_rank = 0
    local_processes = 1  # of the run, on this machine

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run."""
        return self.share.rank == 0

    def device(self, wanted: str) -> str:
        """Return the device of this process, where `wanted` is the run's setting."""
        return wanted

    def synchronised(self, network: Segmenter) -> Segmenter:
        """Return the network with batch norms that see the images of all processes, where the device allows it."""
        return network

    def wrap(self, network: Segmenter) -> Any:
        """Return the network as training calls it; None stands for the network itself."""
        return None

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set in any process."""
        return list(flags)

    def most(self, *values: float) -> list[float]:
        """Return for each value the largest over the processes."""
        return list(values)

    def from_main(self, values: list[Any]) -> list[Any]:
        """Return the main process's list of JSON values in all processes."""
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes, on the device."""
        return values

    def worst(self, value: Tensor) -> Tensor:
        """Return the largest value over the processes, on the device."""
        return value

    def sum(self, counts: np.ndarray) -> np.ndarray:
        """Return the sum over the processes."""
        return counts

    def align(self, modules: Sequence[nn.Module]) -> None:
        """Copy the buffers of process 0 to all processes."""

    def wait(self) -> None:
        """Wait until every process has arrived."""


SOLO = Group()


class Processes(Group):
    """Talk to the other processes after `init_process_group`."""

    def __init__(self) -> None:
        self.share = Share(dist.get_rank(), dist.get_world_size())
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self._control: Any = dist.new_group(backend="gloo")

    def device(self, wanted: str) -> str:
        if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()):
            return f"cuda:{self.local_rank}"
        if wanted.startswith("cuda:"):
            raise RunError(
                f"training.device {wanted} is one GPU, but {self.share.world} processes were started: set it to cuda."
            )
        return "cpu" if wanted == "auto" else wanted

    def synchronised(self, network: Segmenter) -> Segmenter:
        return synchronised(network) if next(network.parameters()).device.type in SYNCHRONISED_ON else network

    def wrap(self, network: Segmenter) -> DistributedDataParallel:
        device = next(network.parameters()).device
        return DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # `align` does it, where something depends on them
            find_unused_parameters=has_unused_parameters(network),
        )

    def any(self, *flags: bool) -> list[bool]:
        return [bool(value) for value in self.most(*flags)]

    def most(self, *values: float) -> list[float]:
        found = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self._control)
        return found.tolist()

    def from_main(self, values: list[Any]) -> list[Any]:
        text = json.dumps(values).encode() if self.is_main else b""
        length = int(self.most(len(text))[0])  # the others have none
        found = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(length, dtype=torch.uint8)
        dist.broadcast(found, 0, group=self._control)
        return json.loads(found.numpy().tobytes())

    def mean(self, values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values / self.share.world

    def worst(self, value: Tensor) -> Tensor:
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return value

    def sum(self, counts: np.ndarray) -> np.ndarray:
        total = torch.from_numpy(counts.copy())
        dist.all_reduce(total, group=self._control)
        return total.numpy()

    @torch.no_grad()
    def align(self, modules: Sequence[nn.Module]) -> None:
        # One message for all of them, as bytes. The largest types come first, so that each starts at a multiple of its size.
        buffers = sorted((b for module in modules for b in module.buffers()), key=lambda b: -b.element_size())
        if not buffers:
            return
        sent = torch.cat([b.contiguous().view(-1).view(torch.uint8) for b in buffers])
        dist.broadcast(sent, 0)
        parts = sent.split([b.numel() * b.element_size() for b in buffers])
        received = [part.view(b.dtype).view_as(b) for part, b in zip(parts, buffers, strict=True)]
        torch._foreach_copy_(buffers, received)  # pyright: ignore[reportPrivateImportUsage]

    def wait(self) -> None:
        dist.barrier(group=self._control)


class Agreement:
    """Ask all processes together, at most every half second, whether to stop, to pause, or to change settings.

    Every process asks at the same steps: the slowest one's pace decides how many steps lie between two agreements. A single
    process is asked at every step, which costs nothing.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._asked_at, self._asked_step = time.monotonic(), -1
        self._due = -1

    def ask(self, step: int, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set in any process; all False between two agreements.

        Args:
            step: finished steps; it grows from call to call, alike in all processes.
        """
        if self._group.share.world == 1:
            return list(flags)
        if step < self._due:
            return [False] * len(flags)
        now = time.monotonic()
        pace = (now - self._asked_at) / max(1, step - self._asked_step)  # seconds
        *found, pace = self._group.most(*flags, pace)
        self._due = step + max(1, min(MOST_STEPS, int(AGREE_EVERY_S / max(pace, 1e-6))))
        self._asked_at, self._asked_step = now, step
        return [bool(value) for value in found]


def has_unused_parameters(network: Segmenter) -> bool:
    """Return whether some parameters get no gradient, as in encoders that keep a layer their own classifier needed.

    DistributedDataParallel then has to search the graph in every step, and fails if it does not know.
    """
    side = 2 * padded_side(1, network.stride)
    like = next(network.parameters())
    modes = {module: module.training for module in network.modules()}
    network.eval()  # draws nothing, and moves no running statistics
    try:
        with torch.enable_grad():
            logits = network(torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device))
            trained = [p for p in network.parameters() if p.requires_grad]
            return None in torch.autograd.grad(logits.sum(), trained, allow_unused=True)
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def processes() -> Iterator[Group]:
    """Join the processes that `torchrun` has started, and leave them at the end."""
    if torch.cuda.is_available():
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if local_rank >= torch.cuda.device_count():
            raise RunError(
                f"Process {local_rank} on this machine has no GPU: it has {torch.cuda.device_count()}. "
                "Start as many processes with --nproc-per-node."
            )
        torch.cuda.set_device(local_rank)
    # Both, because a run may be told to train on the CPU of a machine with GPUs.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()


def synchronised(network: Segmenter) -> Segmenter:
    """Return the same network with batch norms that see the images of all processes.

    It is timm's function: torch's own would drop the activations that timm's encoders keep inside their batch norms.
    """
    return cast("Segmenter", convert_sync_batchnorm(network))


def check_shares(training: TrainingConfig, share: Share) -> None:
    """Raise RunError for a batch that cannot be divided evenly: the mean of the processes' losses would not be the batch's."""
    for name, size in (("batch_size", training.batch_size), ("target_batch_size", training.target_batch)):
        if size % share.world:
            raise RunError(
                f"training.{name} {size} cannot be divided among {share.world} processes: set it to a multiple of "
                f"{share.world}."
            )
