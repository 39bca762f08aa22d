"""Which folders probably belong to a chosen one: its neighbours, by their names."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROLES = ("source_images", "source_labels", "target_images", "target_labels", "evaluation_images")

LABELS = {
    "label",
    "labels",
    "gt",
    "gtfine",
    "mask",
    "masks",
    "annotation",
    "annotations",
    "segmentation",
    "labelids",
    "trainids",
}
IMAGES = {"image", "images", "img", "imgs", "rgb", "leftimg8bit", "jpegimages", "frames"}
SOURCE = {"source", "src", "synthetic", "sim", "simulated", "gta", "gta5", "synthia", "day", "old"}
TARGET = {"target", "tgt", "real", "cityscapes", "night", "dusk", "new", "unlabelled", "unlabeled"}
MEASURE = {"eval", "evaluation", "val", "test", "measure"}
LARGEST_FOLDER = 300  # entries; a folder of images is not searched


def propose(role: str, chosen: Path) -> dict[str, Path]:
    """Propose folders for the other roles, from the two levels above the chosen one. Reads folder names only.

    Args:
        role: what `chosen` was chosen as, one of ROLES.
    """
    if not chosen.is_dir():
        return {}
    same = _domain(role)
    found: dict[str, Path] = {}
    for base in (chosen.parent, chosen.parent.parent):
        for folder in _folders(base):
            if folder == chosen:
                continue
            words = _words(folder.relative_to(base), base)
            for other in ROLES:
                if (
                    other != role
                    and other not in found
                    and _fits(other, words, beside=folder.parent == chosen.parent, same=same)
                ):
                    found[other] = folder
    if "evaluation_images" in found and "target_labels" not in found and role != "target_labels":
        del found["evaluation_images"]
    return found


def _domain(role: str) -> str:
    return role.split("_")[0].replace("evaluation", "target")


def _fits(role: str, words: set[str], *, beside: bool, same: str) -> bool:
    is_label, measures = bool(words & LABELS), bool(words & MEASURE)
    is_source, is_target = bool(words & SOURCE), bool(words & TARGET)
    if beside and not is_source and not is_target:  # images/ beside labels/ without a camera's name
        is_source, is_target = same == "source", same == "target"
    match role:
        case "source_images":
            return is_source and not is_label and not measures
        case "source_labels":
            return is_source and is_label and not measures
        case "target_images":
            return is_target and not is_label and not measures
        case "target_labels":
            return is_target and is_label
        case "evaluation_images":
            return is_target and not is_label and measures
    return False


def _words(relative: Path, base: Path) -> set[str]:
    text = "/".join(relative.parts) if len(relative.parts) > 1 else f"{base.name}/{relative}"
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return {word for word in re.split(r"[^a-z0-9]+", f"{text} {spaced}".lower()) if word}


def _folders(base: Path) -> list[Path]:
    """Leaf-like folders one and two levels below the base, by name."""
    found = []
    for folder in _children(base):
        inner = [child for child in _children(folder) if _words(Path(child.name), folder) & (LABELS | IMAGES)]
        found += inner or [folder]
    return sorted(found)


def _children(base: Path) -> list[Path]:
    try:
        with os.scandir(base) as entries:
            listed = [entry for _, entry in zip(range(LARGEST_FOLDER), entries, strict=False)]
        return [Path(e.path) for e in listed if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []
