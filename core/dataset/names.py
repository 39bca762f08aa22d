"""What file names say about images and labels: suffixes, marks such as `_labelIds`, names to pass over.

Importable without torch.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

IMAGE_SUFFIX_ORDER = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
LABEL_SUFFIX_ORDER = (".png", ".tif", ".tiff", ".bmp", ".webp", ".jpg", ".jpeg")
IMAGE_SUFFIXES = frozenset(IMAGE_SUFFIX_ORDER)
VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv"))

# Ends of a label's name, best first: of several labels of one image the earlier counts. Lower case.
LABEL_MARKS = (
    "_gtfine_labeltrainids", "_gtcoarse_labeltrainids", "_gt_labeltrainids", "_labeltrainids", "_trainids", "_train_id",
    "_gtfine_labelids", "_gtcoarse_labelids", "_gt_labelids", "_labelids", "_label_ids", "_ids", "_id",
    "_labels", "_label", "_lbl", "_masks", "_mask", "_annotations", "_annotation", "_annot", "_anno", "_ann",
    "_segmentation", "_segmask", "_semantic", "_seg", "_gtfine", "_groundtruth", "_ground_truth", "_gt", "_l",
    "_gtfine_color", "_gtcoarse_color", "_gt_labelcolor", "_labelcolor", "_color_mask", "_color", "_colour",
    "_gtfine_instancetrainids", "_gtfine_instanceids", "_gtcoarse_instanceids", "_instanceids", "_instance",
)  # fmt: skip
LABEL_HEADS = ("labels_", "label_", "masks_", "mask_", "gt_", "seg_", "annotation_")
IMAGE_MARKS = (
    r"_leftimg8bit(?:_foggy_beta_[0-9.]+|_rain_.+)?|_rightimg8bit|_rgb_anon|_rgb_ref_anon|_images?|_img|_rgb|_im|_photo"
)
IMAGE_HEADS = ("images_", "image_", "img_", "rgb_")
LABEL_PLACES = frozenset((
    "labels", "label", "lbl", "masks", "mask", "gt", "gtfine", "gtcoarse", "annotations", "annotation", "annot", "ann",
    "segmentation", "seg", "segmentationclass", "groundtruth", "ground_truth",
))  # fmt: skip
PLAIN_PLACES = LABEL_PLACES | {
    "images", "image", "imgs", "img", "rgb", "rgb_anon", "leftimg8bit", "jpegimages", "frames", "semantic", "labelids",
}  # fmt: skip
SYSTEM_NAMES = frozenset(("thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "$recycle.bin", "@eadir"))

_RANKS = {mark: rank for rank, mark in enumerate(LABEL_MARKS)}
_LABEL_END = re.compile(f"(?:{'|'.join(sorted(LABEL_MARKS, key=len, reverse=True))})$")
_IMAGE_END = re.compile(f"(?:{IMAGE_MARKS})$")
_LABEL_HEAD = re.compile(f"^(?:{'|'.join(LABEL_HEADS)})")
_IMAGE_HEAD = re.compile(f"^(?:{'|'.join(IMAGE_HEADS)})")


def is_system_name(name: str) -> bool:
    """Whether a file or folder is hidden, or belongs to the operating system."""
    return name.startswith((".", "~$")) or name.lower() in SYSTEM_NAMES


def fold(text: str) -> str:
    """Bring a name to the form in which names are compared: composed Unicode, case folded."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def label_rank(stem: str) -> int | None:
    """Place of a label's mark in LABEL_MARKS (those at a name's head come after all of them); None without a mark."""
    folded = fold(stem)
    if found := _LABEL_END.search(folded):
        return _RANKS[found[0]]
    return len(LABEL_MARKS) if _LABEL_HEAD.match(folded) else None


def label_base(stem: str) -> str:
    """A label's name without its mark."""
    return _base(fold(stem), _LABEL_END, _LABEL_HEAD)


def image_base(stem: str) -> str:
    """An image's name without its mark."""
    return _base(fold(stem), _IMAGE_END, _IMAGE_HEAD)


def _base(folded: str, end: re.Pattern[str], head: re.Pattern[str]) -> str:
    shortened = end.sub("", folded, count=1)
    if shortened == folded:
        shortened = head.sub("", folded, count=1)
    return shortened or folded


@lru_cache(maxsize=4096)
def plain_place(place: str) -> str:
    """A folder without the parts that only say what it holds: `train/images/a/` gives `train/a`."""
    return "/".join(part for part in fold(place).split("/") if part and part not in PLAIN_PLACES)


@lru_cache(maxsize=4096)
def is_label_place(place: str) -> bool:
    """Whether one of the folders of a place is called as folders of labels are."""
    return any(part in LABEL_PLACES for part in fold(place).split("/"))
