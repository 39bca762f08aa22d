"""Count the pixels of each class in every label, once: what rare-class sampling needs to know.

The counts can be kept in a file, so that a resumed run does not read all the labels again. The file is valid for the same
labels (names and sizes, in the same order) and the same classes. Otherwise the labels are counted again and it is replaced.

Importable without torch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from core.dataset.folders import Pair
from core.dataset.pages import file_of
from core.dataset.reading import ReadError, read_label
from core.events import Warned
from core.files import fsync_folder
from core.labels import LabelSpace, space_to_toml
from core.loading.prefetch import Prefetcher, default_threads

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
CALL_EVERY = 50  # labels between two calls of the progress


def class_counts(
    pairs: Sequence[Pair],
    space: LabelSpace,
    cache: Path | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Warned], None] | None = None,
    *,
    keep: bool = True,
) -> np.ndarray:
    """Count the pixels of each class in the pairs' labels.

    Args:
        pairs: each with its label; the images are not opened.
        cache: a file. Valid counts are read from it; otherwise new ones are written to it, if `keep`. None: no file.
        progress: called with (labels done, labels in all) from the thread that called. What it raises ends the counting;
            nothing is kept then.
        on_problem: called with each label that cannot be read; its counts are 0.

    Returns:
        uint32 (len(pairs), C): pixels of each class. Ignored and unknown pixels count nowhere.
    """
    key = _key(pairs, space)
    if cache is not None and (kept := _load(cache, key)) is not None:
        return kept
    # A label has fewer than 2**32 pixels, and so the rows of 100,000 labels stay small.
    counts = np.zeros((len(pairs), space.num_classes), np.uint32)
    for index, row in enumerate(_count_all(pairs, space)):
        if isinstance(row, ReadError):
            _report(pairs[index], row, on_problem)
        else:
            counts[index] = row
        if progress is not None and ((index + 1) % CALL_EVERY == 0 or index + 1 == len(pairs)):
            progress(index + 1, len(pairs))
    if cache is not None and keep:
        _store(cache, key, counts)
    return counts


def _report(pair: Pair, error: ReadError, on_problem: Callable[[Warned], None] | None) -> None:
    logger.warning("label not counted: %s", error)
    if on_problem is not None:
        message = f"A source label is left out of the count of the classes: {error}"
        on_problem(Warned("bad_image", message, pair.label))


def _count_all(pairs: Sequence[Pair], space: LabelSpace) -> Iterator[np.ndarray | ReadError]:
    """Yield the rows in the order of the pairs."""
    threads = default_threads()
    _ = space.table  # cached here, before several threads ask for it at once
    with Prefetcher(lambda pair: _count(pair, space), pairs, threads, ahead=4 * threads) as rows:
        yield from rows


def _count(pair: Pair, space: LabelSpace) -> np.ndarray | ReadError:
    assert pair.label is not None
    try:
        label = read_label(pair.label, space)
    except ReadError as error:
        return error
    return np.bincount(label.ravel(), minlength=256)[: space.num_classes]


# The file ------------------------------------------------------------------------------------------


def _key(pairs: Sequence[Pair], space: LabelSpace) -> str:
    """Hash of the labels' names and sizes and of what their values mean."""
    digest = hashlib.sha256(space_to_toml(space).encode())
    for pair in pairs:
        label = pair.label.name if pair.label else ""
        digest.update(f"{pair.name}\0{label}\0{_size(pair.label)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _size(path: Path | None) -> int:
    assert path is not None
    try:
        return file_of(path).stat().st_size
    except OSError:
        return -1  # gone: it is reported when it is read


def _load(path: Path, key: str) -> np.ndarray | None:
    try:
        # Opened here, because numpy leaves a torn archive's file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return kept["counts"] if str(kept["key"]) == key else None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, torn or something else: counted again


def _store(path: Path, key: str, counts: np.ndarray) -> None:
    """Replace the file as a whole. Where it cannot be written the counts still serve, and a resume counts again."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            np.savez(file, key=np.array(key), counts=counts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        logger.warning("%s cannot be written (%s); a resumed run counts the classes again.", path, error)
