"""Suggest the mask's block size and ratio from the crop and from the sizes of the label regions.

The paper's best block is 1/16 of the crop's side (64 at 1024; 32 to 512 were tried). A block that hides whole objects
leaves the network nothing to infer them from, so the block is made smaller where typical regions are small: at most half
of their side, so that several blocks share an object. This rule is ours.

A class's *typical region* is that in which its typical pixel lies: the median of its connected regions (8 neighbours),
weighted by their area, so that specks do not count as much as objects; its side is the root of its area, in pixels of the
crop. Of the classes the median one decides, of two the smaller: in microscopy the foreground, not the background.

Importable without torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.dataset.evidence import spread
from core.dataset.reading import ReadError, read_label
from core.labels import LabelSpace
from core.loading.cropping import enlarge_to_cover

CROP_SHARE = 16  # the paper's best block is this part of the crop's side
REGION_SHARE = 2  # a block is at most this part of a typical region's side
SMALLEST_BLOCK = 8  # px: smaller gaps lie within one patch of an encoder (4 to 16 px), which fills them from beside
STEP = 4  # px: blocks are multiples of it, an encoder's first stride
MAX_LABELS = 32
MAX_SIDE = 768  # px: labels are looked at no larger than this; regions are measured, not edges
RATIO = 0.5
RATIO_REASON = "half of the blocks is hidden in each twin: best in the paper (mIoU 76.7, against 72.0 with a tenth)"


@dataclass(frozen=True)
class Suggestion:
    """Settings for [mask], and the reason in words with the numbers it rests on."""

    block_size: int  # px of the crop
    ratio: float
    reason: str


def suggest(labels: Sequence[Path], space: LabelSpace, crop_hw: tuple[int, int]) -> Suggestion:
    """Suggest mask.block_size and mask.ratio; at most MAX_LABELS of the labels are read, evenly spread.

    Args:
        crop_hw: (height, width) of the training crops in pixels.
    """
    sides, num_read = typical_sides(labels, space, crop_hw)
    block, why = _block(sides, crop_hw)
    source = f" Measured on {num_read} of {len(labels)} labels." if sides else ""
    return Suggestion(block, RATIO, f"{why} Ratio {RATIO}: {RATIO_REASON}.{source}")


def typical_sides(
    labels: Sequence[Path], space: LabelSpace, crop_hw: tuple[int, int]
) -> tuple[Mapping[str, float], int]:
    """Side of the typical region by class name, in pixels of the crop, and the number of labels that could be read."""
    areas: dict[int, list[float]] = defaultdict(list)
    num_read = 0
    for label in _read_some(labels, space):
        num_read += 1
        scale = enlarge_to_cover(label.shape, crop_hw, 1.0)
        shrink = min(1.0, MAX_SIDE / max(label.shape))
        small = label if shrink == 1 else _shrunk(label, shrink)
        for class_id in np.flatnonzero(np.bincount(small.ravel(), minlength=256)[: space.num_classes]):
            areas[int(class_id)].extend(_areas(small == class_id) * (scale / shrink) ** 2)
    largest = math.sqrt(crop_hw[0] * crop_hw[1])  # more of a region does not fit into a crop
    sides = {space.classes[i]: min(largest, math.sqrt(_weighted_median(np.array(areas[i])))) for i in sorted(areas)}
    return sides, num_read


def _read_some(labels: Sequence[Path], space: LabelSpace) -> Iterator[np.ndarray]:
    """Labels that can be read; the others are the check's to report."""
    for tried, path in enumerate(spread(labels)):
        if tried == MAX_LABELS:
            return
        try:
            yield read_label(path, space)
        except ReadError:
            continue


def _shrunk(label: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in label.shape)
    return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def _areas(mask: np.ndarray) -> np.ndarray:
    """Areas of the connected regions of a mask bool (H, W), in pixels, float64."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return statistics[1:, cv2.CC_STAT_AREA].astype(np.float64)  # the first is what is not in the mask


def _weighted_median(areas: np.ndarray) -> float:
    """The area of the region that the middle one of all pixels lies in."""
    ordered = np.sort(areas)
    cumulative = np.cumsum(ordered)
    return float(ordered[np.searchsorted(cumulative, cumulative[-1] / 2)])


def _block(sides: Mapping[str, float], crop_hw: tuple[int, int]) -> tuple[int, str]:
    """The block's side and the reason."""
    crop = min(crop_hw)
    usual = _multiple(crop / CROP_SHARE)
    of_paper = f"Block {{}} px: 1/{CROP_SHARE} of the crop's {crop} px, as in the paper"
    if not sides:
        return usual, f"{of_paper.format(usual)}; no label could be read to see how large the regions are."
    name, side = sorted(sides.items(), key=lambda item: item[1])[(len(sides) - 1) // 2]
    if usual <= side / REGION_SHARE:
        return (
            usual,
            f"{of_paper.format(usual)}; the typical region of the middle class ({name}) is {side:.0f} px wide.",
        )
    block = min(usual, max(SMALLEST_BLOCK, int(side / REGION_SHARE) // STEP * STEP))
    if block == usual:
        return usual, (
            f"{of_paper.format(usual)}. Blocks may hide whole objects: the typical region of the middle class ({name}) "
            f"is {side:.0f} px wide; a larger training.crop_size on larger images would help."
        )
    limit = "" if block <= side / REGION_SHARE else f" Still smaller gaps than {SMALLEST_BLOCK} px would be no task."
    return block, (
        f"Block {block} px: the typical region of the middle class ({name}) is only {side:.0f} px wide, and a block should "
        f"not hide whole objects; 1/{CROP_SHARE} of the crop's {crop} px, as in the paper, would be {usual}.{limit}"
    )


def _multiple(side: float) -> int:
    """The nearest multiple of STEP, at least one."""
    return max(STEP, STEP * round(side / STEP))
