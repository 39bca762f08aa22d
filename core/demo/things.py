"""The things of the demo's scenes: houses, trees, lamps, signs and vehicles. Importable without torch.

Each painter draws one thing at a depth (1 the bottom edge of the picture, 10 far away) on one side of the road (-1 left,
1 right).
"""

from __future__ import annotations

import numpy as np

from core.demo.canvas import Canvas, Thing, View, box, disc, pick

ROAD_HALF_WIDTH_M = 3.6
PAVEMENT_WIDTH_M = 1.9

WALLS = [
    (0.62, 0.36, 0.27),
    (0.78, 0.70, 0.55),
    (0.66, 0.66, 0.66),
    (0.80, 0.78, 0.74),
    (0.50, 0.55, 0.60),
    (0.72, 0.55, 0.38),
]
_CROWNS = [(0.16, 0.32, 0.12), (0.22, 0.38, 0.14), (0.30, 0.36, 0.14), (0.42, 0.32, 0.14)]
_PAINTS = [
    (0.70, 0.10, 0.10),
    (0.10, 0.20, 0.55),
    (0.85, 0.85, 0.85),
    (0.12, 0.12, 0.14),
    (0.62, 0.64, 0.66),
    (0.15, 0.38, 0.22),
    (0.85, 0.65, 0.12),
]
_SIGNS = [(0.80, 0.12, 0.12), (0.10, 0.25, 0.65), (0.90, 0.80, 0.15)]


def _paint_building(canvas: Canvas, view: View, rng: np.random.Generator, depth: float, side: int) -> None:
    """Paint a house with a front that faces the camera, a wall along the road and a roof."""
    near, far = view.base(depth), view.base(depth * rng.uniform(1.25, 1.4))
    inner = side * rng.uniform(7.5, 10)
    tall_m, wide_m = rng.uniform(6, 15), rng.uniform(7, 14)
    wall = pick(rng, WALLS)
    lit = 0.82 + 0.18 * view.sun * side  # the wall along the road looks away from its own side
    along = _wall(view, (inner, near), (inner, far), tall_m)
    front = _wall(view, (inner, near), (inner + side * wide_m, near), tall_m)
    floors = max(2, round(tall_m / 3))
    for quad, light, bays in ((along, lit, 4), (front, 1.0, max(2, round(wide_m / 2.6)))):
        shaded = wall * np.float32(light)
        canvas.paint(quad, shaded, Thing.BUILDING, fine=0.04, coarse=0.05)
        _paint_windows(canvas, quad, rng, floors, bays, light)
    if rng.random() < 0.6:
        ridge = front[[0, 1]].mean(0) - [0, view.metre(near) * rng.uniform(1.5, 3)]
        roof = pick(rng, [(0.45, 0.22, 0.17), (0.30, 0.30, 0.33)])
        canvas.paint(np.array([front[0], ridge, front[1]]), roof, Thing.BUILDING, fine=0.08)


def _wall(view: View, start: tuple[float, float], end: tuple[float, float], tall_m: float) -> np.ndarray:
    """Return the quad of a wall between two ground points (lateral m, row): top start, top end, bottom end, bottom start."""
    feet = [(view.x(base, lateral), base) for lateral, base in (start, end)]
    tops = [(x, base - tall_m * view.metre(base)) for x, base in feet]
    return np.array([tops[0], tops[1], feet[1], feet[0]])


def _paint_windows(
    canvas: Canvas, quad: np.ndarray, rng: np.random.Generator, floors: int, bays: int, light: float
) -> None:
    glass = pick(rng, [(0.16, 0.20, 0.26), (0.30, 0.36, 0.42), (0.10, 0.10, 0.12)], 0.02) * np.float32(light)
    wide, tall = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.65)
    bay, floor = (axis.reshape(-1, 1) + 0.5 for axis in np.meshgrid(np.arange(bays), np.arange(floors)))
    windows = _on_quad(
        quad,
        (bay + wide * np.array([-0.5, 0.5, 0.5, -0.5])) / bays,
        (floor + tall * np.array([-0.5, -0.5, 0.5, 0.5])) / floors,
    )
    for group, tone in zip(_split(rng, windows), (0.8, 1.25), strict=True):
        canvas.paint(group, glass * np.float32(tone), None, fine=0.02)


def _split(rng: np.random.Generator, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = rng.random(len(items)) < 0.6
    return items[first], items[~first]


def _on_quad(quad: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the points (..., 2) of a quad at the fractions u (along) and v (down), each (...)."""
    u, v = u[..., None], v[..., None]
    top = quad[0] + u * (quad[1] - quad[0])
    bottom = quad[3] + u * (quad[2] - quad[3])
    return top + v * (bottom - top)


def _paint_tree(canvas: Canvas, view: View, rng: np.random.Generator, depth: float, side: int) -> None:
    base = view.base(depth)
    metre = view.metre(base)
    x = view.x(base, side * rng.uniform(6.3, 9))
    tall, radius = metre * rng.uniform(4, 7.5), metre * rng.uniform(1.3, 2.2)
    canvas.darken(x - view.sun * radius, base, radius * 1.3, radius * 0.25, 0.6)
    bark = pick(rng, [(0.30, 0.22, 0.15), (0.38, 0.32, 0.26)], 0.02)
    canvas.paint(box(x - metre * 0.14, base, metre * 0.28, tall - radius), bark, Thing.TREE, fine=0.1)
    leaves = pick(rng, _CROWNS, 0.03)
    for _ in range(9):
        offset = rng.normal(0, 0.5, 2) * radius
        light = 0.85 - 0.35 * offset[1] / radius + 0.2 * view.sun * offset[0] / radius
        centre = np.array([x, base - tall + radius * 0.6]) + offset
        blob = disc(centre, radius * rng.uniform(0.5, 0.8), rng)
        canvas.paint(blob, leaves * np.float32(np.clip(light, 0.45, 1.4)), Thing.TREE, fine=0.22, coarse=0.1)


def _paint_pole(canvas: Canvas, view: View, rng: np.random.Generator, depth: float, side: int) -> None:
    """Paint a street lamp: mast, arm over the road, lamp."""
    base = view.base(depth)
    metre = view.metre(base)
    x = view.x(base, side * (ROAD_HALF_WIDTH_M + rng.uniform(0.5, 1.2)))
    tall, thick = metre * rng.uniform(5.5, 7.5), max(metre * 0.22, 2.6)
    grey = pick(rng, [(0.30, 0.32, 0.33), (0.55, 0.56, 0.56), (0.20, 0.27, 0.22)], 0.02)
    canvas.paint(box(x - thick / 2, base, thick, tall), grey, Thing.POLE)
    reach = -side * metre * rng.uniform(0.9, 1.6)
    canvas.paint(box(min(x, x + reach), base - tall + thick * 0.8, abs(reach), thick * 0.8), grey, Thing.POLE)
    canvas.paint(
        box(x + reach - thick, base - tall + thick * 1.6, thick * 2.4, thick * 1.4), grey * np.float32(1.2), Thing.POLE
    )


def _paint_sign(canvas: Canvas, view: View, rng: np.random.Generator, depth: float, side: int) -> None:
    base = view.base(depth)
    metre = view.metre(base)
    x = view.x(base, side * (ROAD_HALF_WIDTH_M + rng.uniform(0.4, 1.5)))
    tall, thick, radius = metre * rng.uniform(2.4, 3.2), max(metre * 0.16, 2.2), metre * rng.uniform(0.5, 0.75)
    canvas.paint(box(x - thick / 2, base, thick, tall), np.full(3, 0.5, np.float32), Thing.POLE)
    centre = np.array([x, base - tall])
    plate = disc(centre, radius) if rng.random() < 0.6 else centre + radius * np.array([[-1, 0.8], [1, 0.8], [0, -1]])
    canvas.paint(plate, pick(rng, _SIGNS), Thing.POLE, coarse=0.02)
    canvas.paint(centre + (plate - centre) * 0.6, np.full(3, 0.88, np.float32), Thing.POLE, coarse=0.02)


def _paint_vehicle(canvas: Canvas, view: View, rng: np.random.Generator, depth: float, side: int) -> None:
    """Paint a car or van, seen from behind or from the front: body, cabin with a window, lamps, wheels, its shadow on the road."""
    base = view.base(depth)
    metre = view.metre(base)
    x = view.x(base, side * rng.uniform(1.3, 2.3))
    wide, van = metre * rng.uniform(1.9, 2.3), rng.random() < 0.3
    tall = metre * (rng.uniform(2.2, 2.7) if van else rng.uniform(1.5, 1.8))
    waist = base - tall * (0.48 if van else 0.55)
    paint = pick(rng, _PAINTS, 0.03)
    canvas.darken(x - view.sun * wide * 0.15, base, wide * 0.68, max(wide * 0.09, 1.5), 0.35)
    rubber = np.full(3, 0.06, np.float32)
    for wheel in (-0.4, 0.4):
        canvas.paint(box(x + wheel * wide - wide * 0.09, base, wide * 0.18, tall * 0.25), rubber, Thing.VEHICLE)
    inset = wide * (0.03 if van else 0.14)
    left, right, roof = x - wide / 2, x + wide / 2, base - tall
    cabin = np.array([[left + inset, roof], [right - inset, roof], [right, waist], [left, waist]])
    canvas.paint(cabin, paint * np.float32(1.1), Thing.VEHICLE, coarse=0.03)
    middle = cabin.mean(0)
    canvas.paint(middle + (cabin - middle) * [0.82, 0.68], np.array([0.15, 0.19, 0.24], np.float32), Thing.VEHICLE)
    canvas.paint(box(left, base - tall * 0.12, wide, base - tall * 0.12 - waist), paint, Thing.VEHICLE, coarse=0.03)
    lamp = np.array((0.85, 0.08, 0.06) if side > 0 else (0.98, 0.95, 0.80), np.float32)  # we drive on the right
    for end in (left + wide * 0.03, right - wide * 0.19):
        canvas.paint(box(end, waist + tall * 0.16, wide * 0.16, tall * 0.09), lamp, Thing.VEHICLE, coarse=0)
    plate = box(x - wide * 0.13, base - tall * 0.17, wide * 0.26, tall * 0.07)
    canvas.paint(plate, np.full(3, 0.85, np.float32), Thing.VEHICLE, coarse=0)


PAINTERS = {
    "building": _paint_building,
    "tree": _paint_tree,
    "pole": _paint_pole,
    "sign": _paint_sign,
    "vehicle": _paint_vehicle,
}
