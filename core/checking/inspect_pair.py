"""Look at one image and its label: everything the dataset check must know of them, with each file read once.

Importable without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from core.checking.orientation import Turn, turns
from core.checking.statistics import Measure, measure
from core.dataset.evidence import value_counts
from core.dataset.folders import Pair
from core.dataset.reading import (
    LabelEncodingError,
    ReadError,
    decode_image,
    encode_label,
    exif_orientation,
    pack,
    read_bytes,
    read_label_values,
)
from core.dataset.unknown import value_word
from core.labels import UNKNOWN, Encoding, LabelSpace

MAX_UNKNOWN = 100  # values kept of one label


class Domain(StrEnum):
    SOURCE = "source"
    TARGET = "target"
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class Finding:
    """What one pair showed. `codes`: what is wrong, and the reason in words."""

    domain: Domain
    pair: Pair
    codes: dict[str, str] = field(default_factory=dict)
    digest: bytes = b""  # of the image file's bytes
    measure: Measure | None = None
    label_hw: tuple[int, int] | None = None
    counts: np.ndarray | None = None  # pixels by id, int64 (256,)
    pixels: int = 0  # of the label
    unknown: Mapping[int, int] = field(
        default_factory=dict
    )  # pixels by value that means nothing, the most frequent first
    turns: Sequence[Turn] = ()  # other positions that the label could be in, if they were compared


def inspect(domain: Domain, pair: Pair, space: LabelSpace | None, *, compare_turns: bool = False) -> Finding:
    """Read the pair's files. Never raises on bad data.

    Args:
        space: how this camera's labels are read; None: they are not understood.
        compare_turns: look for other positions in which the label fits the image better.
    """
    codes: dict[str, str] = {}
    image = _image(pair, codes)
    label = _label(pair, space, codes) if pair.label is not None else _Label()
    found: Sequence[Turn] = ()
    if image.pixels is not None and label.ids is not None:
        if compare_turns or label.ids.shape != image.pixels.shape[:2]:
            found = turns(image.pixels, label.ids, image.exif)
        if label.ids.shape != image.pixels.shape[:2]:
            codes["size_mismatch"] = (
                f"{_size(image.pixels.shape)} against {_size(label.ids.shape)}{_as_stored(image, found)}"
            )
            found = ()
    elif image.pixels is not None and label.hw is not None and label.hw != image.pixels.shape[:2]:
        codes["size_mismatch"] = f"{_size(image.pixels.shape)} against {_size(label.hw)}"
    measured = None if image.pixels is None else measure(image.pixels)
    return Finding(
        domain, pair, codes, image.digest, measured, label.hw, label.counts, label.num_pixels, label.unknown, found
    )


@dataclass(frozen=True)
class _Image:
    pixels: np.ndarray | None = None  # RGB uint8 (H, W, 3)
    digest: bytes = b""
    exif: int = 1


@dataclass(frozen=True)
class _Label:
    hw: tuple[int, int] | None = None
    ids: np.ndarray | None = None  # uint8 (H, W), UNKNOWN among them
    counts: np.ndarray | None = None
    num_pixels: int = 0
    unknown: Mapping[int, int] = field(default_factory=dict)


def _image(pair: Pair, codes: dict[str, str]) -> _Image:
    digest = b""
    try:
        data = read_bytes(pair.image)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        return _Image(decode_image(pair.image, data), digest, exif_orientation(pair.image, data))
    except ReadError as error:
        codes["image_unreadable"] = str(error)
        return _Image(digest=digest)


def _label(pair: Pair, space: LabelSpace | None, codes: dict[str, str]) -> _Label:
    assert pair.label is not None
    try:
        values = read_label_values(pair.label, space.encoding if space else Encoding.COLOURS)
    except LabelEncodingError as error:
        codes["label_encoding"] = str(error)
        return _Label()
    except ReadError as error:
        codes["label_unreadable"] = str(error)
        return _Label()
    hw = (values.shape[0], values.shape[1])
    if space is None:
        return _Label(hw)
    ids = encode_label(values, space.table)
    counts = np.bincount(ids.ravel(), minlength=256).astype(np.int64)
    unknown = _unknown(values, ids) if counts[UNKNOWN] else {}
    if unknown:
        codes["label_unknown_values"] = ", ".join(value_word(value, space) for value in list(unknown)[:5])
    elif not counts[:UNKNOWN].any():
        codes["label_all_ignored"] = "no pixel has a class"
    return _Label(hw, ids, counts, ids.size, unknown)


def _unknown(values: np.ndarray, ids: np.ndarray) -> dict[int, int]:
    """Pixels by unknown value, the most frequent first."""
    packed = pack(values) if values.ndim == 3 else values
    found, counts = value_counts(packed[ids == UNKNOWN])
    order = np.argsort(-counts, kind="stable")[:MAX_UNKNOWN]
    return dict(zip(found[order].tolist(), counts[order].tolist(), strict=True))


def _as_stored(image: _Image, found: Sequence[Turn]) -> str:
    """A remark where the label has the size of the image's stored pixels."""
    if any(turn.kind == "exif" for turn in found):
        return (
            f", which is the image's size before its EXIF orientation ({image.exif}) is applied: write the images as stored "
            "with masktwins convert IMAGES OUT --as-stored, or turn the labels"
        )
    return ""


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} × {shape[0]}"
