"""Changes of the configuration that are certain to solve a problem. Nothing of the user's files is ever changed.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.checking.proposal import BLOCKS_PER_CROP, CROP_MULTIPLE, SMALLEST_CROP
from core.configuration.sections import DataConfig
from core.dataset.problems import Problem
from core.dataset.recognise import AUTO, recognise, resolve_space
from core.labels import LabelSpaceError, built_in_names

MISREAD_LABELS = ("label_unknown_values", "label_encoding", "label_unreadable", "label_lossy", "label_space")


@dataclass(frozen=True)
class Fix:
    """What to change, by dotted path, and in words; `problem` is what it solves."""

    problem: Problem
    title: str
    changes: Mapping[str, Any]


def find_fixes(
    problems: Sequence[Problem],
    data: DataConfig,
    images: Mapping[str, Sequence[Path]],
    labels: Mapping[str, Sequence[Path]],
) -> tuple[Fix, ...]:
    """Find the certain fixes, one for a problem at most. Reads a few label files.

    Args:
        problems: what the check has found.
        images: image files by camera, "source" and "target".
        labels: label files by camera.
    """
    found: dict[int, Fix] = {}
    for fix in _candidates(problems, data, images, labels):
        found.setdefault(id(fix.problem), fix)
    return tuple(found.values())


def _candidates(
    problems: Sequence[Problem],
    data: DataConfig,
    images: Mapping[str, Sequence[Path]],
    labels: Mapping[str, Sequence[Path]],
) -> Iterator[Fix]:
    for problem in problems:
        role = str(problem.details.get("role", ""))
        if problem.code == "label_space":
            role = "source_labels"  # the classes are the source's
        camera = role.partition("_")[0]
        if problem.code == "image_smaller_than_crop":
            yield _smaller_crop(problem)
        if problem.code not in MISREAD_LABELS or not role.endswith("_labels"):
            continue
        if _are_exchanged(images.get(camera, ()), labels.get(camera, ())):
            changes = {
                f"data.{camera}_images": getattr(data, f"{camera}_labels"),
                f"data.{camera}_labels": getattr(data, f"{camera}_images"),
            }
            yield Fix(problem, f"Exchange the folders: the {camera} labels were chosen as images", changes)
        elif problem.code == "label_unknown_values":
            yield from _other_space(problem, data, camera, labels.get(camera, ()))


def _smaller_crop(problem: Problem) -> Fix:
    crop = max(SMALLEST_CROP, min(problem.details["smallest"]) // CROP_MULTIPLE * CROP_MULTIPLE)
    changes = {
        "training.crop_size": crop,
        "mask.block_size": max(4, crop // BLOCKS_PER_CROP),
        "mask.block_fraction": 0.0,
    }
    return Fix(problem, f"Use crops of {crop} pixels, with blocks of {changes['mask.block_size']}", changes)


def _are_exchanged(images: Sequence[Path], labels: Sequence[Path]) -> bool:
    """Whether what was chosen as images are labels, and the other way round."""
    return bool(images) and bool(labels) and _are_labels(images) and not _are_labels(labels)


def _are_labels(files: Sequence[Path]) -> bool:
    try:
        found = recognise(files)
    except (LabelSpaceError, OSError, ValueError):
        return False
    return found.confidence >= 0.5 and found.unknown_share == 0


def _other_space(problem: Problem, data: DataConfig, camera: str, labels: Sequence[Path]) -> Iterator[Fix]:
    """The one label space that knows every value, where there is exactly one."""
    setting = f"{camera}_label_space" if getattr(data, f"{camera}_label_space") else "label_space"
    stated = getattr(data, setting)
    fitting = list(_fitting([AUTO] if stated != AUTO else built_in_names(), labels))
    if len(fitting) == 1:
        words = "recognise the label space" if fitting[0] == AUTO else f"read the labels as {fitting[0]}"
        yield Fix(problem, words.capitalize(), {f"data.{setting}": fitting[0]})


def _fitting(names: Iterable[str], labels: Sequence[Path]) -> Iterator[str]:
    for name in names:
        try:
            if resolve_space(name, labels).unknown_share == 0:
                yield name
        except (LabelSpaceError, OSError, ValueError):
            continue
