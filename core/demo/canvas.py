"""The canvas of the demo's scenes: geometry of the view, polygons with texture, labels. Importable without torch.

A thing that stands at image row `base` below the horizon appears (base - horizon) / 4 pixels per metre, as from a camera
4 m above the road.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import cv2
import numpy as np

CAMERA_HEIGHT_M = 4.0
SUBPIXEL_BITS = 4  # of OpenCV's polygon corners

Colour = np.ndarray  # (3,) float32 RGB, 0..1
Rows = TypeVar("Rows", float, np.ndarray)


class Thing(IntEnum):
    """The classes of the demo, by id."""

    SKY = 0
    BUILDING = 1
    ROAD = 2
    PAVEMENT = 3
    GRASS = 4
    TREE = 5
    VEHICLE = 6
    POLE = 7


@dataclass(frozen=True)
class View:
    """Where the camera stands: the horizon's row, the road's middle at the horizon and at the bottom, in pixels."""

    height: int
    width: int
    horizon: float
    far_x: float
    near_x: float
    bend: float
    sun: float  # -1 left … 1 right

    def base(self, depth: float) -> float:
        """Return the image row of the ground at a depth (1 is the bottom edge, 10 is far away)."""
        return self.horizon + (self.height - self.horizon) / depth

    def metre(self, base: Rows) -> Rows:
        """Return the pixels per metre of things that stand at this row."""
        return (base - self.horizon) / CAMERA_HEIGHT_M

    def x(self, base: Rows, lateral_m: float) -> Rows:
        """Return the column of a point `lateral_m` to the right of the road's middle, at the row `base`."""
        near = (base - self.horizon) / (self.height - self.horizon)
        middle = self.far_x + (self.near_x - self.far_x) * near + self.bend * near * (1 - near)
        return middle + lateral_m * self.metre(base)


class Canvas:
    """Picture (H, W, 3) float32 in 0..1 and label (H, W) uint8 that are painted together.

    The strength of the texture is painted too. The texture itself is added once, at the end.
    """

    def __init__(self, view: View) -> None:
        self.image = np.zeros((view.height, view.width, 3), np.float32)
        self.label = np.zeros((view.height, view.width), np.uint8)
        self._texture = np.zeros((view.height, view.width, 2), np.float32)  # strength of the fine and the coarse one

    def paint(
        self, corners: np.ndarray, colour: Colour, thing: Thing | None, *, fine: float = 0.04, coarse: float = 0.06
    ) -> None:
        """Fill a polygon (N, 2) of x, y, or several (K, N, 2); `thing` None leaves the label as it is."""
        points = list(np.rint(np.atleast_3d(corners.T).T * 2**SUBPIXEL_BITS).astype(np.int32))
        cv2.fillPoly(self.image, points, [float(part) for part in colour], shift=SUBPIXEL_BITS)
        cv2.fillPoly(self._texture, points, (fine, coarse), shift=SUBPIXEL_BITS)
        if thing is not None:
            cv2.fillPoly(self.label, points, (int(thing),), shift=SUBPIXEL_BITS)

    def darken(self, x: float, y: float, radius_x: float, radius_y: float, factor: float) -> None:
        """Cast a soft-edged shadow on the ground; labels stay."""
        top, left = (max(0, int(middle - 1.3 * radius)) for middle, radius in ((y, radius_y), (x, radius_x)))
        window = np.s_[top : max(0, int(y + 1.3 * radius_y) + 1), left : max(0, int(x + 1.3 * radius_x) + 1)]
        rows, columns = np.indices(self.label[window].shape, np.float32)
        distance = ((columns + left - x) / radius_x) ** 2 + ((rows + top - y) / radius_y) ** 2
        ground = (self.label[window] >= Thing.ROAD) & (self.label[window] <= Thing.GRASS)
        shade = 1 - (1 - factor) * np.clip(1.6 - distance, 0, 1) * ground
        self.image[window] *= shade[..., None]

    def textured(self, rng: np.random.Generator) -> np.ndarray:
        """Return the picture with its textures, within 0..1."""
        height, width = self.label.shape
        fine, coarse = noise(rng, height, width, (2, 4)), noise(rng, height, width, (6, 14, 30))
        factor = 1 + self._texture[..., 0] * fine + self._texture[..., 1] * coarse
        return np.clip(self.image * factor[..., None], 0, 1)


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, ...]) -> np.ndarray:
    """Draw smooth noise (H, W) float32 of mean 0 and standard deviation about 1, summed over cell sizes in pixels."""
    total = np.zeros((height, width), np.float32)
    for cell in cells:
        grid = rng.standard_normal((height // cell + 2, width // cell + 2)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return total / np.float32(total.std() + 1e-6)


def pick(rng: np.random.Generator, colours: list[tuple[float, float, float]], spread: float = 0.05) -> Colour:
    """Draw one of the colours and vary its brightness, and slightly its hue."""
    colour = np.array(colours[rng.integers(len(colours))], np.float32)
    return np.clip(colour * rng.uniform(0.85, 1.15) + rng.normal(0, spread, 3), 0.03, 1).astype(np.float32)


def strip(view: View, left_m: float, right_m: float, near: float = 1.0, far: float = 60.0, num: int = 24) -> np.ndarray:
    """Return the polygon on the ground between two lateral positions, along the road from depth `near` to `far`."""
    bases = view.horizon + (view.height - view.horizon) / np.geomspace(far, near, num)
    left, right = (np.stack([view.x(bases, lateral), bases], 1) for lateral in (left_m, right_m))
    return np.concatenate([left, right[::-1]])


def box(left: float, base: float, width: float, height: float) -> np.ndarray:
    return np.array([[left, base - height], [left + width, base - height], [left + width, base], [left, base]])


def disc(centre: np.ndarray, radius: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return the polygon of a disc, with a ragged edge if a generator is given."""
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    radii = radius * (1 + (rng.uniform(-0.18, 0.18, 18) if rng is not None else 0))
    return centre + np.stack([np.cos(angles), np.sin(angles)], 1) * np.reshape(radii, (-1, 1))
