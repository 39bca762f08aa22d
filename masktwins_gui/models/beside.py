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
    found: dict[str, tuple[Path, bool]] = {}
    for base in (chosen.parent, chosen.parent.parent):
        for folder in _folders(base):
            words = _words(folder.relative_to(base), base)
            measures = bool(words & MEASURE)
            for other in ROLES:
                known = found.get(other)
                better = known is None or (other == "target_labels" and measures and not known[1])
                beside = folder.parent == chosen.parent
                if folder != chosen and other != role and better and _fits(other, words, beside=beside, same=same):
                    found[other] = (folder, measures)
    labels = chosen if role == "target_labels" else found.get("target_labels", (None,))[0]
    if "evaluation_images" in found and (labels is None or labels.parent != found["evaluation_images"][0].parent):
        del found["evaluation_images"]
    return {other: folder for other, (folder, _) in found.items()}


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
    """Words of the path below the base; the base's own name counts where it names a camera."""
    above = _split(base.name)
    return _split("/".join(relative.parts)) | (above if above & (SOURCE | TARGET) else set())


def _split(text: str) -> set[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return {word for word in re.split(r"[^a-z0-9]+", f"{text} {spaced}".lower()) if word}


def _folders(base: Path) -> list[Path]:
    """Leaf-like folders one and two levels below the base, by name."""
    found = []
    for folder in _children(base):
        inner = [child for child in _children(folder) if _split(child.name) & (LABELS | IMAGES)]
        found += inner or [folder]
    return sorted(found)


def _children(base: Path) -> list[Path]:
    try:
        with os.scandir(base) as entries:
            listed = [entry for _, entry in zip(range(LARGEST_FOLDER), entries, strict=False)]
        return [Path(e.path) for e in listed if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []
