"""The recorded draws and choices of golden.npz as our own types."""

import numpy as np
import torch
from torch import nn

from core.method.augment import ColourDraw

THINGS = (6, 7, *range(11, 19))  # classes of Cityscapes that L_fd is taken over


def golden_draw(golden) -> ColourDraw:
    names = ("brightness", "contrast", "saturation", "hue")
    factors = {name: golden[f"cj_param_{name}_factor"] for name in names}
    return ColourDraw(**factors, order=tuple(int(i) for i in golden["cj_param_order"]))


def chosen_table(classes):
    table = np.zeros((1, 256), bool)
    table[0, classes] = True
    return torch.from_numpy(table)


class Weights(nn.Module):
    def __init__(self, w, s):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.s = nn.Parameter(torch.tensor(s))
