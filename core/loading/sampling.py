"""The t-th training batch, as a pure function of (configuration, seed, t) and of the files.

Every draw of step t comes from :func:`generator`; there is no state to save, and a resumed run sees the batches that the
uninterrupted one would have seen, with any number of reading threads and of processes.

Order: shuffled epochs, so that each image is seen equally often. Position k = t · batch_size + j belongs to epoch
k // n, whose permutation is drawn from (seed, epoch, camera). Source and target are drawn independently. With
`data.rare_class_sampling` the source has no epochs: its images are drawn by class (`core.loading.rare_classes`).

A pair that cannot be read, or whose image and label differ in size, is reported once, left out, and replaced by another
one, drawn from (seed, position, camera). One whose files cannot be opened, as on a network drive that is away for a moment,
is tried again after a while; when all of a camera are, they are waited for, with a warning.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from torch import Tensor

from core.configuration.sections import DataConfig
from core.configuration.training import TrainingConfig
from core.dataset.folders import Pair
from core.dataset.reading import ReadError, UnreachableError, read_image, read_label_and_unknown
from core.dataset.unknown import words_of_one
from core.errors import RunError
from core.events import Warned
from core.labels import IGNORE, LabelSpace
from core.loading.cropping import Crop, cut
from core.loading.random import generator
from core.loading.rare_classes import MAX_REDRAWS, RareClasses, Wish

logger = logging.getLogger(__name__)

TRY_AGAIN_S = 10.0  # after which a file that could not be opened is tried again
PATIENCE_S = 60.0  # for which images are waited for when none of a camera can be opened
LOOK_S = 0.2  # between two looks at whether the wait shall end


class LoadingStopped(Exception):  # noqa: N818 - not an error
    """The wait for images that cannot be opened was ended by a stop."""


@dataclass(frozen=True)
class Batch:
    """Hold one step's crops on the host: B images of each camera, none of the target where it was not asked for."""

    source_image: Tensor  # (B, 3, H, W) uint8 RGB 0..255
    source_label: Tensor  # (B, H, W) uint8, class ids and IGNORE
    target_image: Tensor  # (B, 3, H, W) uint8 RGB 0..255
    target_valid: Tensor  # (B, H, W) bool, False on padding


class BatchSource:
    """Batches by number.

    `batch` may be called by several threads at once and in any order. `on_problem` is called by whichever thread meets a
    bad file, once per file; it must be safe for that (`deque.append` is).

    Raises:
        RunError: there is no source pair, a source pair has no label, or rare classes cannot be sampled.
    """

    def __init__(
        self,
        source: Sequence[Pair],
        target: Sequence[Pair],
        space: LabelSpace,
        data: DataConfig,
        training: TrainingConfig,
        on_problem: Callable[[Warned], None],
        counts: np.ndarray | None = None,
        stopping: Callable[[], bool] = lambda: False,
        *,
        pinned: bool = False,
    ) -> None:
        """Check the pairs and prepare the sampling.

        Args:
            counts: pixels of each class (num_source, C) by `core.loading.counting`; rare-class sampling needs them.
            stopping: whether to give up waiting for images that cannot be opened; any thread may call it.
            pinned: make batches in page-locked memory, which a CUDA device reads without making the host wait. torch
                keeps such memory and uses it again for later batches.
        """
        cv2.setNumThreads(1)  # the parallelism is across batches; OpenCV's own threads would only compete with it
        if not source:
            raise RunError("There is no labelled source image to train on. Check data.source_images and source_labels.")
        if unlabelled := next((pair for pair in source if pair.label is None), None):
            raise RunError(f"The source image {unlabelled.image} has no label. Give it one, or remove it.")
        rare = _rare_classes(counts, data, training, (len(source), space.num_classes))
        self._crop_hw = training.crop_hw
        self._pinned = pinned
        self._source_size, self._target_size = training.batch_size, training.target_batch
        self._source = _Camera("source", source, space, data, training, on_problem, stopping, rare)
        self._target = _Camera("target", target, None, data, training, on_problem, stopping)

    def batch(self, t: int, *, with_target: bool = True, shard: tuple[int, int] = (0, 1)) -> Batch:
        """Make batch `t` >= 0, or one process's share of it.

        Args:
            with_target: False leaves the target tensors empty (B = 0) and reads no target file.
            shard: (rank, world): only the images of this process are read (see `share`); the shares of all ranks, one
                after the other, are the whole batch. A share can be empty (B = 0).

        Raises:
            RunError: no image of a camera can be read.
            LoadingStopped: a stop came while images were waited for.
        """
        source = list(self._source.crops(t, self._source_size, share(self._source_size, *shard)))
        wanted = share(self._target_size, *shard) if with_target else range(0)
        target = list(self._target.crops(t, self._target_size, wanted))
        images = [self._empty(len(crops), 3) for crops in (source, target)]
        label, valid = self._empty(len(source)), self._empty(len(target), dtype=torch.bool)
        # Filled by numpy: torch would start a team of OpenMP threads in each reading thread, and they would compete with
        # the training's own.
        for image, crops in zip(images, (source, target), strict=True):
            for row, crop in zip(image.numpy(), crops, strict=True):
                row[:] = crop.image.transpose(2, 0, 1)
        for row, crop in zip(label.numpy(), source, strict=True):
            row[:] = crop.label
        for row, crop in zip(valid.numpy(), target, strict=True):
            np.not_equal(crop.label, IGNORE, out=row)
        return Batch(images[0], label, images[1], valid)

    def _empty(self, count: int, *channels: int, dtype: torch.dtype = torch.uint8) -> Tensor:
        return torch.empty((count, *channels, *self._crop_hw), dtype=dtype, pin_memory=self._pinned)


def share(num: int, rank: int, world: int) -> range:
    """Which of `num` images belong to a rank 0..world − 1: consecutive ones, as equal as possible, the first ranks' more."""
    least, more = divmod(num, world)
    first = rank * least + min(rank, more)
    return range(first, first + least + (rank < more))


def _rare_classes(
    counts: np.ndarray | None, data: DataConfig, training: TrainingConfig, shape: tuple[int, int]
) -> RareClasses | None:
    if not data.rare_class_sampling:
        return None
    if counts is None or counts.shape != shape:
        raise RunError(
            f"data.rare_class_sampling needs the classes counted in all {shape[0]} source labels; "
            "start the run again, or set it to false."
        )
    try:
        return RareClasses(counts, data.rare_class_temperature, training.crop_hw)
    except ValueError as error:
        raise RunError(str(error)) from error


class _MismatchError(ValueError):
    """The image and the label can be read, but their sizes differ."""


class _Camera:
    """The crops of one camera; its labels too when a label space is given."""

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        space: LabelSpace | None,
        data: DataConfig,
        training: TrainingConfig,
        on_problem: Callable[[Warned], None],
        stopping: Callable[[], bool],
        rare: RareClasses | None = None,
    ) -> None:
        self._stopping = stopping
        self._name = name
        self._pairs = tuple(pairs)
        self._space = space
        self._data = data
        self._seed = training.seed
        self._crop_hw = training.crop_hw
        self._on_problem = on_problem
        self._rare = rare
        self._bad: dict[int, str] = {}  # index of the pair: the reason
        self._has_unknown = False
        self._away: dict[int, float] = {}  # index of a pair that cannot be opened: when to try again (time.monotonic)
        self._waiting = False  # for images, none of which can be opened
        self._lock = threading.Lock()  # guards _bad and _waiting, so that each is reported once
        self._epoch_order = lru_cache(maxsize=4)(self._draw_epoch_order)

    def crops(self, t: int, num: int, wanted: range) -> Iterator[Crop]:
        """The `wanted` ones of the `num` crops of step t; which are wanted changes none of them."""
        if not self._pairs or not wanted:
            return
        draws = generator(self._seed, t, f"{self._name} crop").random((num, 4))
        if self._rare is not None:
            yield from self._rare_crops(self._rare, t, draws, wanted)
            return
        for j in wanted:
            image, label = self._read_good(partial(self._candidates, t * num + j))
            yield cut(image, label, self._crop_hw, self._data, draws[j])

    def _rare_crops(self, rare: RareClasses, t: int, first_draws: np.ndarray, wanted: range) -> Iterator[Crop]:
        num = len(first_draws)
        wishes = generator(self._seed, t, f"{self._name} class").random((num, 2))
        redraws = generator(self._seed, t, f"{self._name} redraw").random((num, MAX_REDRAWS, 4))
        for j in wanted:
            wish = rare.wish(wishes[j])
            image, label = self._read_good(partial(self._candidates_of, rare, wish, t * num + j))
            tries = np.concatenate([first_draws[j : j + 1], redraws[j]])
            draws = rare.best_draws(wish.class_id, label, self._data, tries)
            yield cut(image, label, self._crop_hw, self._data, draws)

    def _draw_epoch_order(self, epoch: int) -> np.ndarray:
        return generator(self._seed, epoch, f"{self._name} order").permutation(len(self._pairs))

    def _candidates(self, position: int) -> Iterator[int]:
        """The pair of this position of the endless shuffled list, then its replacements."""
        epoch, offset = divmod(position, len(self._pairs))
        yield int(self._epoch_order(epoch)[offset])
        yield from self._replacements(position)

    def _candidates_of(self, rare: RareClasses, wish: Wish, position: int) -> Iterator[int]:
        """The pairs that hold the class, the drawn one first, then any."""
        yield from rare.images(wish)
        yield from self._replacements(position)

    def _replacements(self, position: int) -> Iterator[int]:
        order = generator(self._seed, position, f"{self._name} replacement").permutation(len(self._pairs))
        yield from (int(index) for index in order)

    def _read_good(self, candidates: Callable[[], Iterator[int]]) -> tuple[np.ndarray, np.ndarray]:
        until = time.monotonic() + PATIENCE_S
        while True:
            for index in candidates():
                if index in self._bad and time.monotonic() < self._away.get(index, math.inf):
                    continue
                try:
                    found = self._read(self._pairs[index])
                except UnreachableError as error:
                    if self._stopping():
                        raise LoadingStopped from error
                    self._away[index] = time.monotonic() + TRY_AGAIN_S
                    self._report(index, error)
                except (ReadError, _MismatchError, OSError) as error:
                    self._away.pop(index, None)
                    self._report(index, error)
                else:
                    self._waiting = False
                    return found
            if not self._away or time.monotonic() > until:
                break
            self._wait()
        raise RunError(
            f"None of the {len(self._pairs)} {self._name} images can be used, the first because: "
            f"{next(iter(self._bad.values()))} Check the folders (`masktwins check` lists every problem)."
        )

    def _wait(self) -> None:
        """Wait until unreachable images can be tried again. Raises LoadingStopped."""
        message = f"No {self._name} image can be opened. Waiting for the drive, up to {PATIENCE_S:.0f} s."
        logger.warning("%s", message)
        with self._lock:
            if not self._waiting:
                self._on_problem(Warned("waiting", message))
            self._waiting = True
        until = time.monotonic() + TRY_AGAIN_S
        while time.monotonic() < until:
            if self._stopping():
                raise LoadingStopped
            time.sleep(min(LOOK_S, TRY_AGAIN_S))

    def _read(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """The image (H, W, 3) and its label (H, W); without labels zeros, and IGNORE on the margins."""
        image = read_image(pair.image)
        if self._space is None or pair.label is None:
            return image, _blank_label(image.shape[0], image.shape[1], self._data)
        label, unknown = read_label_and_unknown(pair.label, self._space)
        if unknown and not self._has_unknown:
            self._has_unknown = True  # once is enough: the check counts them all
            self._on_problem(Warned("unknown_values", words_of_one(pair.label, unknown, self._space), pair.label))
        if label.shape != image.shape[:2]:
            height, width = image.shape[:2]
            raise _MismatchError(
                f"{pair.label} is {label.shape[1]} × {label.shape[0]} pixels, its image {pair.image} {width} × {height}."
            )
        return image, label

    def _report(self, index: int, error: Exception) -> None:
        with self._lock:
            if index in self._bad:
                return
            self._bad[index] = str(error)
        logger.warning("%s image left out: %s", self._name, error)
        message = f"A {self._name} image is left out of the training: {error}"
        self._on_problem(Warned("bad_image", message, self._pairs[index].image))


def _blank_label(height: int, width: int, data: DataConfig) -> np.ndarray:
    """Zeros (H, W) uint8, and IGNORE where the target image has no pseudo-label: burnt-in text, the car's own hood."""
    label = np.zeros((height, width), np.uint8)
    label[: round(data.target_margin_top * height)] = IGNORE
    label[height - round(data.target_margin_bottom * height) :] = IGNORE
    return label
