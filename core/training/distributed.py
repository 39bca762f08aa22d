"""Training with several processes, on PyTorch's DistributedDataParallel.

`torchrun` starts the processes and names them in the environment. Each trains on its share of every batch; the draws, the
batches and the decisions are those of one process with the whole batch. Process 0 alone writes.

What a batch is compared over stays within a process: with fewer target than source images ClassMix pairs those of one share,
and `pseudo_label_share = batch` and the feature distance take their means over it.

Control (stop, pause) goes over a gloo group on the CPU, so that asking for it never waits for a GPU.
"""

from __future__ import annotations

import os
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
from core.networks.segmenter import Segmenter


class Group:
    """Talk to the other processes of a run. This class itself stands for the one process of an ordinary run."""

    share = Share()
    local_rank = 0
    local_processes = 1  # of the run, on this machine

    @property
    def is_main(self) -> bool:
        return self.share.rank == 0

    def device(self, wanted: str) -> str:
        """Return the device of this process, where `wanted` is the run's setting."""
        return wanted

    def wrap(self, network: nn.Module) -> Any:
        """Return the network as it is called in training; None for the network itself."""
        return None

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set in any process."""
        return list(flags)

    def mean(self, values: Tensor) -> Tensor:
        return values

    def worst(self, value: Tensor) -> Tensor:
        """Return the largest value over the processes, on the device."""
        return value

    def sum(self, counts: np.ndarray) -> np.ndarray:
        return counts

    def align(self, modules: Sequence[nn.Module]) -> None:
        """Give the buffers of process 0 to all."""

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

    def wrap(self, network: nn.Module) -> DistributedDataParallel:
        device = next(network.parameters()).device
        ids = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=ids, find_unused_parameters=True)

    def any(self, *flags: bool) -> list[bool]:
        values = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self._control)
        return [bool(value) for value in values]

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

    def align(self, modules: Sequence[nn.Module]) -> None:
        for module in modules:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        dist.barrier(group=self._control)


@contextmanager
def processes() -> Iterator[Group]:
    """Join the processes that `torchrun` has started."""
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

    By timm's function: torch's own would drop the activations that timm's encoders keep inside their batch norms.
    """
    return cast("Segmenter", convert_sync_batchnorm(network))


def check_shares(training: TrainingConfig, share: Share) -> None:
    """Raise RunError where a batch cannot be divided evenly: the mean of the processes' losses would not be the batch's."""
    for name, size in (("batch_size", training.batch_size), ("target_batch_size", training.target_batch)):
        if size % share.world:
            raise RunError(
                f"training.{name} {size} cannot be divided among {share.world} processes: set it to a multiple of "
                f"{share.world}."
            )
