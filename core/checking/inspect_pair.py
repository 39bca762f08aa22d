"""Look at one image and its label: everything the dataset check must know of them, with each file read once.

Importable without torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from core.checking.statistics import Measure, measure
from core.dataset.evidence import solid_values, value_counts
from core.dataset.folders import Pair
from core.dataset.reading import LabelEncodingError, ReadError, decode_image, decode_label, pack, read_bytes
from core.labels import UNKNOWN, Encoding, LabelSpace

STRAY_SHARE = 0.1  # share of unknown values at edges that a smoothed label may have


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
    unknown: tuple[int, ...] = ()  # values that mean no class, the most frequent first


@dataclass(frozen=True)
class Tables:
    """A label space with its lookup, made once for all labels; unknown values are told from ignored ones."""

    space: LabelSpace
    table: np.ndarray

    @staticmethod
    def of(space: LabelSpace) -> Tables:
        colours = space.encoding is Encoding.COLOURS
        return Tables(space, space.colour_lookup(UNKNOWN) if colours else space.lookup(UNKNOWN))


def inspect(domain: Domain, pair: Pair, tables: Tables | None) -> Finding:
    """Read the pair's files. Never raises on bad data."""
    codes: dict[str, str] = {}
    digest, measured = _image(pair, codes)
    label_hw, counts, unknown = _label(pair, tables, codes) if pair.label is not None else (None, None, ())
    if measured is not None and label_hw is not None and label_hw != measured.hw:
        codes["size_mismatch"] = f"{_size(measured.hw)} against {_size(label_hw)}"
    return Finding(domain, pair, codes, digest, measured, label_hw, counts, unknown)


def _image(pair: Pair, codes: dict[str, str]) -> tuple[bytes, Measure | None]:
    digest = b""
    try:
        data = read_bytes(pair.image)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        return digest, measure(decode_image(pair.image, data))
    except ReadError as error:
        codes["image_unreadable"] = str(error)
        return digest, None


def _label(
    pair: Pair, tables: Tables | None, codes: dict[str, str]
) -> tuple[tuple[int, int] | None, np.ndarray | None, tuple[int, ...]]:
    assert pair.label is not None
    try:
        data = read_bytes(pair.label)
        values = decode_label(pair.label, data, tables.space.encoding if tables else Encoding.COLOURS)
    except LabelEncodingError as error:
        codes["label_encoding"] = str(error)
        return None, None, ()
    except ReadError as error:
        codes["label_unreadable"] = str(error)
        return None, None, ()
    hw = (values.shape[0], values.shape[1])
    if tables is None:
        return hw, None, ()
    counts, unknown = _tally(values, tables)
    if unknown:
        codes["label_unknown_values"] = ", ".join(value_word(value, tables.space) for value in unknown[:5])
    elif not counts[:UNKNOWN].any():
        codes["label_all_ignored"] = "no pixel has a class"
    return hw, counts, unknown


def value_word(value: int, space: LabelSpace) -> str:
    """A file's value as people write it: a number, or a colour as #rrggbb."""
    return f"#{value:06x}" if space.encoding is Encoding.COLOURS else str(value)


def _tally(values: np.ndarray, tables: Tables) -> tuple[np.ndarray, tuple[int, ...]]:
    """Pixels by id, and the values that are faults: of colours and masks only those that are no strays of smoothing."""
    packed = pack(values) if values.ndim == 3 else values
    found, counts = value_counts(packed)
    ids = tables.table[found]
    by_id = np.bincount(ids, weights=counts, minlength=256).astype(np.int64)
    unknown = found[ids == UNKNOWN]
    if not unknown.size:
        return by_id, ()
    order = np.argsort(-counts[ids == UNKNOWN], kind="stable")
    if tables.space.encoding in (Encoding.COLOURS, Encoding.BINARY) and by_id[UNKNOWN] <= STRAY_SHARE * packed.size:
        solid, _ = value_counts(solid_values(packed))
        order = order[np.isin(unknown[order], solid)]
    return by_id, tuple(unknown[order].tolist())


def _size(hw: tuple[int, int]) -> str:
    return f"{hw[1]} × {hw[0]}"
