"""Generated street scenes with their labels: what the demo's two cameras look at. Importable without torch.

Scenes are laid out in metres and painted from far to near at twice the final size. Colours vary between things of one
class and overlap between classes (green cars, brown trees, grey houses), so that a model has to learn texture, shape
and place too.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.demo.canvas import Canvas, Colour, Thing, View, box, noise, pick, strip
from core.demo.things import PAINTERS, PAVEMENT_WIDTH_M, ROAD_HALF_WIDTH_M, WALLS

SUPERSAMPLING = 2


def make_scene(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene: RGB (H, W, 3) float32 in 0..1 (linear enough for a camera model) and its label (H, W) uint8."""
    view = _draw_view(rng, height * SUPERSAMPLING, width * SUPERSAMPLING)
    canvas = Canvas(view)
    _paint_sky(canvas, view, rng)
    _paint_skyline(canvas, view, rng)
    _paint_ground(canvas, view, rng)
    for depth, side, kind in _layout(rng):
        PAINTERS[kind](canvas, view, rng, depth, side)
    return _shrink(canvas.textured(rng), canvas.label, height, width)


def _draw_view(rng: np.random.Generator, height: int, width: int) -> View:
    far_x = width * rng.uniform(0.3, 0.7)
    return View(
        height=height,
        width=width,
        horizon=height * rng.uniform(0.36, 0.5),
        far_x=far_x,
        near_x=0.5 * far_x + 0.5 * width * rng.uniform(0.35, 0.65),
        bend=width * rng.uniform(-0.25, 0.25),
        sun=rng.uniform(-1, 1),
    )


def _layout(rng: np.random.Generator) -> list[tuple[float, int, str]]:
    """Draw depth, side (-1 left, 1 right) and kind of every thing, from far to near."""
    things: list[tuple[float, int, str]] = []
    for side in (-1, 1):
        depth = rng.uniform(1.4, 2.2)
        while depth < 9:  # a row of houses with gaps
            if rng.random() < 0.72:
                things.append((depth, side, "building"))
            depth *= rng.uniform(1.35, 1.6)
        things += [(depth, side, "tree") for depth in rng.uniform(1.15, 6, rng.integers(1, 5))]
        things += [(depth, side, "pole") for depth in rng.uniform(1.05, 4.5, rng.integers(1, 4))]
        things += [(depth, side, "sign") for depth in rng.uniform(1.1, 3, rng.integers(0, 3))]
        things += [(depth, side, "vehicle") for depth in rng.uniform(1.15, 5, rng.integers(1, 4))]
    return sorted(things, key=lambda thing: -thing[0])


def _shrink(image: np.ndarray, label: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Average the picture, and give each pixel the class that covers most of it (poles need less)."""
    size = (width, height)  # OpenCV's order
    shares = np.stack(
        [cv2.resize((label == thing) * np.float32(1), size, interpolation=cv2.INTER_AREA) for thing in Thing]
    )
    shares[Thing.POLE] *= 1.6
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), shares.argmax(0).astype(np.uint8)


def _paint_sky(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    top = pick(rng, [(0.33, 0.53, 0.80), (0.42, 0.60, 0.85), (0.60, 0.66, 0.72)], 0.02)
    bottom = np.clip(top * 0.35 + 0.62 + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32)
    down = np.linspace(0, 1, view.height, dtype=np.float32)[:, None, None] * (view.height / view.horizon)
    clouds = np.clip(noise(rng, view.height, view.width, (16, 40, 80)) * 0.8 + rng.uniform(-0.6, 0.5), 0, 1)[..., None]
    clear = top * (1 - down) + bottom * down
    canvas.image[:] = clear * (1 - 0.7 * clouds) + 0.7 * clouds * np.float32(rng.uniform(0.82, 0.95))


def _paint_skyline(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Paint a distant line of trees and a few houses in front of it."""
    columns = np.linspace(0, view.width, 40)
    tops = view.horizon - view.height * (0.025 + 0.05 * rng.random() + 0.022 * rng.random(40))
    base = view.horizon + 3
    line = np.concatenate([np.stack([columns, tops], 1), [[view.width, base], [0, base]]])
    canvas.paint(line, pick(rng, [(0.30, 0.42, 0.30), (0.36, 0.44, 0.38)], 0.02), Thing.TREE, fine=0.12)
    for left in rng.uniform(0, view.width, rng.integers(2, 6)):
        side, tall = view.width * rng.uniform(0.03, 0.09), view.height * rng.uniform(0.04, 0.12)
        canvas.paint(box(left, base, side, tall), pick(rng, WALLS) * np.float32(0.9), Thing.BUILDING)


def _paint_ground(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    grass = pick(rng, [(0.36, 0.50, 0.20), (0.45, 0.52, 0.25), (0.55, 0.52, 0.30)], 0.02)
    canvas.paint(
        np.array([[0, view.horizon], [view.width, view.horizon], [view.width, view.height], [0, view.height]]),
        grass, Thing.GRASS, fine=0.14, coarse=0.10,
    )  # fmt: skip
    asphalt = np.float32(rng.uniform(0.30, 0.44)) + rng.normal(0, 0.012, 3).astype(np.float32)
    kerb = ROAD_HALF_WIDTH_M + PAVEMENT_WIDTH_M
    stone = np.clip(asphalt * 1.35 + np.array([0.07, 0.05, 0.02], np.float32), 0, 1)
    canvas.paint(strip(view, -kerb, kerb), stone, Thing.PAVEMENT, fine=0.03, coarse=0.04)
    _paint_slabs(canvas, view, stone * np.float32(0.8))
    canvas.paint(
        strip(view, -ROAD_HALF_WIDTH_M - 0.2, ROAD_HALF_WIDTH_M + 0.2), stone * np.float32(0.65), Thing.PAVEMENT
    )
    canvas.paint(strip(view, -ROAD_HALF_WIDTH_M, ROAD_HALF_WIDTH_M), asphalt, Thing.ROAD, fine=0.07, coarse=0.05)
    white = np.full(3, rng.uniform(0.75, 0.9), np.float32)
    for start in 1 / np.linspace(0.08, 1, 9) + rng.uniform(-0.05, 0.0):
        canvas.paint(strip(view, -0.1, 0.1, max(start, 1), max(start, 1) * 1.09, 4), white, None)
    for side in (-1, 1):
        edge = side * (ROAD_HALF_WIDTH_M - 0.35)
        canvas.paint(strip(view, edge - 0.07, edge + 0.07), white * np.float32(0.92), None)


def _paint_slabs(canvas: Canvas, view: View, colour: Colour) -> None:
    """Paint the joints across the pavements."""
    for side in (-1, 1):
        left, right = sorted((side * ROAD_HALF_WIDTH_M, side * (ROAD_HALF_WIDTH_M + PAVEMENT_WIDTH_M)))
        joints = [strip(view, left, right, depth, depth * 1.008, 2) for depth in 1 / np.linspace(0.1, 1, 26)]
        canvas.paint(np.stack(joints), colour, None)
