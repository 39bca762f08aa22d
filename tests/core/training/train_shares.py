"""Trains a run with a network without batch norm, alone or started by torchrun: `train_shares.py RUN [STOP_AT]`.

Several processes must give the losses of one, which batch norm would not: each would see its own images only.
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from core.configuration.choices import Architecture
from core.control import RunControl
from core.events import StepDone
from core.networks.families import described
from core.networks.segmenter import Head, Segmenter
from core.pixels import Normalisation
from core.runs.folder import RunFolder
from core.training import building
from core.training.distributed import SOLO, processes
from core.training.loop import adapt


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return [x, self.second(self.first(x).relu()).relu()]


class Last(nn.Module):
    def forward(self, features):
        return features[-1]


def build(network, num_classes):
    torch.manual_seed(1)
    return Segmenter(
        Encoder(), Head(Last(), nn.Conv2d(8, num_classes, 1)), num_classes=num_classes, stride=2,
        normalisation=Normalisation(), description=described(Architecture.UNET, "tu-test_resnet"),
    )  # fmt: skip


def main():
    building.build = build
    building.build_empty = lambda description, num_classes, normalisation: build(None, num_classes)
    stop_at = int(sys.argv[2]) if len(sys.argv) > 2 else None
    control = RunControl()
    with processes() if "WORLD_SIZE" in os.environ else nullcontext(SOLO) as group:
        for event in adapt(control, RunFolder(Path(sys.argv[1])), group):
            # The last process alone wants to stop: all must.
            if isinstance(event, StepDone) and event.step == stop_at and group.share.rank == group.share.world - 1:
                control.stop()


if __name__ == "__main__":
    main()
