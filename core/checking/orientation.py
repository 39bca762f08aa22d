"""Find images and labels that do not lie on each other: one is turned, and the other is not.

Borders between classes lie where images change. For each position that a label of this size could be in, the image's changes
at the label's borders are compared with those everywhere; over a folder the right position stands out. Two ways to be wrong:

* an image whose EXIF orientation says that it was held otherwise is turned when it is read, but its label was drawn on the
  pixels as they are stored;
* labels are turned by 180 degrees (square ones by 90 degrees too) against images without such a mark, whose mark was lost.

Importable without torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.dataset.problems import Problem, Severity
from core.labels import IGNORE

NUM_LOOKED_AT = 64  # pairs of a folder, evenly spread
LONGEST_SIDE = 512  # px: images are compared no larger than this
LEAST_GAIN = 0.25  # standard deviations of the image's changes, by which another position must be better
LEAST_FIT = 0.4  # how well it must fit; labels of street scenes that lie right fit by 0.9, and turned by 0.1
CERTAIN = 4.0  # standard errors
FEW = 3  # with fewer pairs than this the gain alone decides, and must be FEW_GAIN
FEW_GAIN = 0.5
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_BY_EXIF = {  # how stored pixels become shown ones, by EXIF orientation
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@dataclass(frozen=True)
class Turn:
    """How well a label fits its image in another position: mean change at its borders, in standard deviations."""

    kind: str  # "exif": as the image is stored; "180", "90", "270": turned by so many degrees
    fit: float
    gain: float  # against the position as it is; worse: below 0


def turns(image: np.ndarray, label: np.ndarray, exif: int) -> list[Turn]:
    """Compare the positions that a label could be in.

    Args:
        image: RGB uint8 (H, W, 3), as it is shown: the EXIF orientation is applied.
        label: ids uint8 (H, W), as they are stored; of a stored image's size if that is turned by 90 degrees.
        exif: the image's EXIF orientation, 1 to 8.
    """
    shown = image.shape[:2]
    others: dict[str, np.ndarray] = {}
    if exif in _BY_EXIF:
        others["exif"] = _BY_EXIF[exif](label)
    else:
        others["180"] = label[::-1, ::-1]
        if shown[0] == shown[1]:
            others |= {"90": np.rot90(label), "270": np.rot90(label, -1)}
    fitting = {kind: one for kind, one in others.items() if one.shape == shown}
    if not fitting:
        return []
    step = max(1, math.ceil(max(shown) / LONGEST_SIDE))
    changes = _changes(image[::step, ::step])
    now = _fit(changes, label[::step, ::step]) if label.shape == shown else 0.0
    fits = {kind: _fit(changes, one[::step, ::step]) for kind, one in fitting.items()}
    return [Turn(kind, fit, fit - now) for kind, fit in fits.items()]


def _changes(image: np.ndarray) -> np.ndarray:
    """How much the brightness changes at each pixel, in standard deviations from the image's mean."""
    grey = image.astype(np.float32) @ LUMA
    down, right = np.gradient(grey) if min(grey.shape) > 1 else (grey, grey)
    size = np.sqrt(np.hypot(down, right))  # the root: a few hard edges must not decide alone
    return (size - size.mean()) / max(1e-6, float(size.std()))


def _fit(changes: np.ndarray, label: np.ndarray) -> float:
    """Mean change on the borders between classes; 0 without any."""
    border = np.zeros(label.shape, bool)
    down = (label[1:] != label[:-1]) & (label[1:] != IGNORE) & (label[:-1] != IGNORE)
    right = (label[:, 1:] != label[:, :-1]) & (label[:, 1:] != IGNORE) & (label[:, :-1] != IGNORE)
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return float(changes[border].mean()) if border.any() else 0.0


@dataclass
class TurnTally:
    """Collects the turns of pairs by role."""

    turns: dict[tuple[str, str], list[Turn]] = field(default_factory=lambda: defaultdict(list))  # by role and kind
    paths: dict[tuple[str, str], list[Path]] = field(default_factory=lambda: defaultdict(list))

    def add(self, role: str, path: Path, found: Sequence[Turn]) -> None:
        for turn in found:
            self.turns[role, turn.kind].append(turn)
            self.paths[role, turn.kind].append(path)

    def problems(self) -> list[Problem]:
        """The positions in which labels fit better, one problem per role at most."""
        best: dict[str, tuple[float, str]] = {}
        for (role, kind), found in self.turns.items():
            mean = float(np.mean([turn.gain for turn in found]))
            if _is_certain(found) and mean > best.get(role, (0.0, ""))[0]:
                best[role] = mean, kind
        return [_problem(role, kind, self.paths[role, kind]) for role, (_, kind) in sorted(best.items())]


def _is_certain(found: Sequence[Turn]) -> bool:
    gains = [turn.gain for turn in found]
    mean = float(np.mean(gains))
    if np.mean([turn.fit for turn in found]) < LEAST_FIT:
        return False
    if len(gains) < FEW:
        return mean > FEW_GAIN
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return mean > LEAST_GAIN and mean > CERTAIN * error


def _problem(role: str, kind: str, paths: Sequence[Path]) -> Problem:
    details: Mapping[str, str] = {"role": role, "position": kind}
    where = f"{role.replace('_', ' ')}, such as {paths[0].name}"
    if kind == "exif":
        message = (
            f"The images of {len(paths)} of the {where}, are turned when they are read, because their EXIF orientation says "
            "so; the labels' borders fit the pixels as they are stored. The labels were drawn on unturned images. Write the "
            "images as they are stored, `masktwins convert IMAGES OUT --as-stored`, and choose that folder; or turn the labels."
        )
        return Problem("label_orientation", Severity.ERROR, message, tuple(paths), details)
    message = (
        f"The {where}, fit their images better when they are turned by {kind} degrees (compared on {len(paths)} of them). "
        "Probably one of the two was turned and the other was not: look at both (`masktwins check --pictures OUT`), and turn "
        "the labels."
    )
    return Problem("label_orientation", Severity.WARNING, message, tuple(paths), details)
