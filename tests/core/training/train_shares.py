"""Train runs one after another, alone or in the processes that torchrun starts: `train_shares.py RUN[:STOP_AT] …`.

Several processes must give the losses of one. The networks are small ones, of a kind that the run's encoder names: `plain`
without batch norm, `hrda` and `norm` with batch norms that see the images of all processes. torch's SyncBatchNorm refuses
CPU tensors, so `Synchronised` stands in for it.
"""

import os
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import nn

from core.configuration.choices import Architecture
from core.control import RunControl
from core.events import SettingsChanged, StepDone, Warned
from core.networks.families import described
from core.networks.hrda import Hrda
from core.networks.segmenter import Head, Segmenter
from core.pixels import Normalisation
from core.runs.folder import RunFolder
from core.training import building, distributed
from core.training.distributed import SOLO, processes
from core.training.loop import adapt

KINDS = {"plain": "tu-test_resnet", "norm": "tu-test_efficientnet", "hrda": "tu-test_vit"}  # names that settings accept
CHANGED_AT, NEW_RATE = 6, 3e-3
REFUSED_RATE = 7e-3  # that the disk does not take: see `Disk`


class Encoder(nn.Module):
    def __init__(self, *, norm):
        super().__init__()
        self.out_channels = [3, 8]
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return [x, self.second(self.norm(self.first(x)).relu()).relu()]


class Last(nn.Module):
    def forward(self, features):
        return features[-1]


class Synchronised(nn.BatchNorm2d):
    """Batch norm over the images of all processes, whose shares are of one size."""

    def forward(self, input):
        if not self.training:
            return super().forward(input)
        mean = input.mean((0, 2, 3))
        square = (input**2).mean((0, 2, 3))
        mean, square = differentiable.all_reduce(torch.stack([mean, square])) / dist.get_world_size()
        variance = square - mean**2
        if self.track_running_stats:
            count = dist.get_world_size() * input.numel() / input.shape[1]
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
                self.num_batches_tracked += 1
        normed = (input - mean.view(1, -1, 1, 1)) * (variance + self.eps).rsqrt().view(1, -1, 1, 1)
        return normed * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def synchronised(network):
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = Synchronised
    return network


def build(network, num_classes):
    return build_kind(network.encoder, num_classes)


def build_kind(encoder, num_classes):
    torch.manual_seed(1)
    segmenter = Segmenter(
        Encoder(norm=encoder == KINDS["norm"]), Head(Last(), nn.Conv2d(8, num_classes, 1)), num_classes=num_classes,
        stride=2, normalisation=Normalisation(), description=described(Architecture.UNET, encoder),
    )  # fmt: skip
    return Hrda.around(segmenter, channels=8) if encoder == KINDS["hrda"] else segmenter


class Seams:
    """What is replaced in the program while these runs train."""

    def __enter__(self):
        self.before = building.build, building.build_empty, distributed.synchronised, distributed.SYNCHRONISED_ON
        building.build = build
        building.build_empty = lambda description, num_classes, normalisation: build_kind(
            description.encoder, num_classes
        )
        distributed.synchronised, distributed.SYNCHRONISED_ON = synchronised, ("cpu",)
        self.pause, distributed.AGREE_EVERY_S = (
            distributed.AGREE_EVERY_S,
            0.0,
        )  # at every step, to be the same each time
        return self

    def __exit__(self, *_):
        building.build, building.build_empty, distributed.synchronised, distributed.SYNCHRONISED_ON = self.before
        distributed.AGREE_EVERY_S = self.pause


class Disk(RunFolder):
    """A run whose disk does not take one change."""

    def append_change(self, step, changes):
        if REFUSED_RATE in changes.values():
            raise OSError(28, "No space left on device")
        super().append_change(step, changes)


def train(path, group=SOLO, stop_at=None, changed=False):
    """Train a run; with `changed` a rate is changed in mid-run, and another change is refused by the disk."""
    control, found = RunControl(), []
    for event in adapt(control, Disk(Path(path)), group):
        found.append(event)
        if not isinstance(event, StepDone):
            continue
        if event.step == stop_at and group.share.rank == group.share.world - 1:
            control.stop()  # the last process alone wants to stop: all must
        if changed and event.step == CHANGED_AT and group.is_main:
            control.change({"training.learning_rate": NEW_RATE})
            control.change({"training.learning_rate": REFUSED_RATE})
    if changed:
        assert [event.changes for event in found if isinstance(event, SettingsChanged)] == [
            {"training.learning_rate": NEW_RATE}
        ]
        refused = [event for event in found if isinstance(event, Warned) and event.code == "disk"]
        assert len(refused) == group.is_main
    return found


def main():
    with ExitStack() as stack:
        group = stack.enter_context(processes() if "WORLD_SIZE" in os.environ else nullcontext(SOLO))
        stack.enter_context(Seams())
        for word in sys.argv[1:]:
            path, _, what = word.partition(":")
            train(path, group, int(what) if what.isdecimal() else None, changed=what == "changed")


if __name__ == "__main__":
    main()
