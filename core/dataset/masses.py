"""Find the classes of labels whose edges were smoothed, or which were compressed: a few values hold most of the pixels.

The heaviest solid values are the classes. What compression made of them lies close by; what smoothing made lies between two
of them. Whatever is neither speaks against labels.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.dataset.evidence import THIN_SHARE, Evidence, Storage, unpack

MAX_CLASSES = 254
RADIUS = 24  # how far a value may be from a class to be read as it: well under the distance of colours people choose
CLOUD_RADIUS = 24  # values this near to one ten times as heavy are its shadows, where there are several
CLOUD_RATIO = 10
CLOUD_MEMBERS = 3
MIXTURE_DISTANCE = 8.0  # how far a mixture of two colours may be from the line between them, in RGB
MAX_ENDS = 32  # classes, the heaviest first, between which mixtures are looked for
MAX_STRAYS = 8_000  # other values, the most frequent first, that are looked at


@dataclass(frozen=True)
class Masses:
    """The classes, and what the other pixels are, as shares of all pixels."""

    centres: tuple[int, ...]  # values, sorted
    radius: int  # 0: the classes' own values are all there is
    near: float  # pixels within the radius of a class, its own included
    mixed: float  # other pixels that lie between two classes: smoothed edges

    @property
    def explained(self) -> float:
        return self.near + self.mixed


def weigh(found: Evidence) -> Masses:
    """Find the classes by mass."""
    centres = _centres(found)
    others = sorted(found.shares.keys() - set(centres), key=lambda value: -found.shares[value])[:MAX_STRAYS]
    own = found.share(centres)
    if not others or not centres:
        return Masses(tuple(sorted(centres)), 0, own, 0.0)
    ends, strays = _points(centres, found.storage), _points(others, found.storage)
    shares = np.array([found.shares[value] for value in others])
    radius = _radius(ends)
    near = _distances(strays, ends).min(axis=1) <= radius
    mixed = ~near & _are_mixtures(strays, ends[:MAX_ENDS])
    return Masses(tuple(sorted(centres)), radius, own + float(shares[near].sum()), float(shares[mixed].sum()))


def _centres(found: Evidence) -> list[int]:
    """Values that are classes, the heaviest first: the solid ones, and without smoothing thin ones too."""
    heaviest = sorted((v for v in found.solid if not found.is_tiny(v)), key=lambda value: -found.shares[value])
    clouds = _shadows(heaviest, found)
    if len(clouds) >= CLOUD_MEMBERS or found.lossy:
        heaviest = [value for value in heaviest if value not in clouds]
    heaviest = heaviest[: MAX_CLASSES + 1]
    is_smooth = len(found.shares) - len(heaviest) > len(heaviest)
    kept: list[int] = []
    for value in heaviest:  # wide soft edges have steps three pixels wide, which are solid, but thin
        thin = is_smooth and found.shares[value] < THIN_SHARE
        if not (thin and _is_mixture(value, kept, found.storage)):
            kept.append(value)
    if is_smooth or found.storage is not Storage.COLOURS:
        return kept
    for value, share in found.shares.items():
        is_thin = share >= THIN_SHARE and value not in found.solid
        if is_thin and len(kept) <= MAX_CLASSES and not _is_mixture(value, kept, found.storage):
            kept.append(value)
    return kept


def _shadows(heaviest: Sequence[int], found: Evidence) -> set[int]:
    """Values that lie close to one of the others that is much heavier."""
    if len(heaviest) < 2:
        return set()
    points = _points(heaviest[:2048], found.storage)
    shares = np.array([found.shares[value] for value in heaviest[:2048]])
    leaders: list[int] = []
    shadows: set[int] = set(heaviest[2048:])
    for index, value in enumerate(heaviest[:2048]):
        close = _distances(points[index : index + 1], points[leaders])[0] <= CLOUD_RADIUS if leaders else np.zeros(0)
        if leaders and (close & (shares[leaders] >= CLOUD_RATIO * shares[index])).any():
            shadows.add(value)
        else:
            leaders.append(index)
    return shadows


def _radius(ends: np.ndarray) -> int:
    """At most RADIUS, and less than half the distance between any two classes."""
    if len(ends) < 2:
        return RADIUS
    distances = _distances(ends, ends)
    np.fill_diagonal(distances, np.inf)
    return int(max(0, min(RADIUS, 0.45 * distances.min())))


def _points(values: Sequence[int], storage: Storage) -> np.ndarray:
    """Values as points: colours in RGB (N, 3), numbers on a line (N, 1)."""
    if storage is Storage.COLOURS:
        return np.array([unpack(value) for value in values], float).reshape(-1, 3)
    return np.array(values, float).reshape(-1, 1)


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - others[None], axis=-1)


def _is_mixture(value: int, ends: Sequence[int], storage: Storage) -> bool:
    points = _points(ends[:MAX_ENDS], storage)
    return bool(_are_mixtures(_points([value], storage), points)[0])


def _are_mixtures(points: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which points (N, D) lie between two of the ends, as a smoothed edge's do: bool (N,)."""
    found = np.zeros(len(points), bool)
    for i in range(len(ends)):
        for j in range(i):
            line = ends[j] - ends[i]
            along = np.clip((points - ends[i]) @ line / max(1e-9, float(line @ line)), 0, 1)
            between = ends[i] + along[:, None] * line
            found |= np.linalg.norm(between - points, axis=1) <= MIXTURE_DISTANCE
    return found
