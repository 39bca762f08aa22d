"""The t-th training batch, as a pure function of (configuration, seed, t) and of the files.

Every draw of step t comes from :func:`generator`; there is no state to save, and a resumed run sees the batches that the
uninterrupted one would have seen, with any number of reading threads.

Order: shuffled epochs, so that each image is seen equally often. Position k = t · batch_size + j belongs to epoch
k // n, whose permutation is drawn from (seed, epoch, camera). Source and target are drawn independently.

Geometry: a box of crop / scale pixels is cut from the image and resized to the crop, the image by area when shrinking and
linearly when enlarging, the label by nearest pixel centre; half of the crops are mirrored. An image smaller than the
crop is enlarged until it covers it. Only where the shapes differ more than twofold (a strip in a square crop) it is
enlarged to twice the contained size, and the rest of the crop is padded: reflected pixels, label IGNORE, valid False.

A pair that cannot be read, or whose image and label differ in size, is reported once, left out, and replaced by another
one, drawn from (seed, position, camera).
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from core.config import DataConfig, TrainingConfig
from core.data.folders import Pair
from core.data.reading import ReadError, read_image, read_label
from core.events import RunError, Warned
from core.labels import IGNORE, LabelSpace

LOG = logging.getLogger(__name__)

MAX_ASPECT_CUT = 2.0  # how far beyond containment an image is enlarged before padding takes over


def generator(seed: int, t: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose at step t: the same on every machine, independent of all other purposes and steps."""
    # crc32: Python's hash() of a string differs from process to process.
    return np.random.default_rng(np.random.SeedSequence((seed, t, zlib.crc32(purpose.encode()))))


@dataclass(frozen=True)
class Batch:
    """One step's crops on the host: B images of each camera (none of the target where it was not asked for)."""

    source_image: Tensor  # (B, 3, H, W) uint8 RGB 0..255
    source_label: Tensor  # (B, H, W) uint8, class ids and IGNORE
    target_image: Tensor  # (B, 3, H, W) uint8 RGB 0..255
    target_valid: Tensor  # (B, H, W) bool, False on padding


@dataclass(frozen=True)
class Crop:
    """A crop of one image."""

    image: np.ndarray  # (H, W, 3) uint8
    label: np.ndarray  # (H, W) uint8; all 0 where there is no label, IGNORE on padding


class BatchSource:
    """Batches by number.

    `batch` may be called by several threads at once and in any order. `on_problem` is called by whichever thread meets a
    bad file, once per file; it must be safe for that (`deque.append` is).

    Raises:
        RunError: there is no source pair, or a source pair has no label.
    """

    def __init__(
        self,
        source: Sequence[Pair],
        target: Sequence[Pair],
        space: LabelSpace,
        data: DataConfig,
        training: TrainingConfig,
        on_problem: Callable[[Warned], None],
    ) -> None:
        cv2.setNumThreads(1)  # the parallelism is across batches; OpenCV's own threads would only compete with it
        if not source:
            raise RunError("There is no labelled source image to train on. Check data.source_images and source_labels.")
        if unlabelled := next((pair for pair in source if pair.label is None), None):
            raise RunError(f"The source image {unlabelled.image} has no label. Give it one, or remove it.")
        self._batch_size = training.batch_size
        self._source = _Camera("source", source, space, data, training, on_problem)
        self._target = _Camera("target", target, None, data, training, on_problem)

    def batch(self, t: int, *, with_target: bool = True) -> Batch:
        """Make batch `t` >= 0. `with_target=False` leaves the target tensors empty (B = 0) and reads no target file.

        Raises:
            RunError: no image of a camera can be read.
        """
        size = self._batch_size
        source = list(self._source.crops(t, size))
        target = list(self._target.crops(t, size if with_target else 0))
        hw = source[0].label.shape
        return Batch(
            source_image=_images(source, hw),
            source_label=torch.from_numpy(np.stack([crop.label for crop in source])),
            target_image=_images(target, hw),
            target_valid=_valid(target, hw),
        )


def _images(crops: Sequence[Crop], hw: tuple[int, ...]) -> Tensor:
    if not crops:
        return torch.empty((0, 3, *hw), dtype=torch.uint8)
    return torch.from_numpy(np.stack([np.ascontiguousarray(crop.image.transpose(2, 0, 1)) for crop in crops]))


def _valid(crops: Sequence[Crop], hw: tuple[int, ...]) -> Tensor:
    if not crops:
        return torch.empty((0, *hw), dtype=torch.bool)
    return torch.from_numpy(np.stack([crop.label != IGNORE for crop in crops]))


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
    ) -> None:
        self._name = name
        self._pairs = tuple(pairs)
        self._space = space
        self._data = data
        self._seed = training.seed
        self._crop_hw = training.crop_hw
        self._on_problem = on_problem
        self._bad: dict[int, str] = {}  # index of the pair: the reason
        self._lock = threading.Lock()  # guards _bad, so that a file is reported once
        self._epoch_order = lru_cache(maxsize=4)(self._draw_epoch_order)

    def crops(self, t: int, num: int) -> Iterator[Crop]:
        """The `num` crops of step t."""
        if not self._pairs:
            return
        draws = generator(self._seed, t, f"{self._name} crop").random((num, 4))
        for j in range(num):
            image, label = self._read_good(t * num + j)
            yield cut(image, label, self._crop_hw, self._data, draws[j])

    def _draw_epoch_order(self, epoch: int) -> np.ndarray:
        return generator(self._seed, epoch, f"{self._name} order").permutation(len(self._pairs))

    def _candidates(self, position: int) -> Iterator[int]:
        """The pair of this position of the endless shuffled list, then its replacements."""
        epoch, offset = divmod(position, len(self._pairs))
        yield int(self._epoch_order(epoch)[offset])
        replacements = generator(self._seed, position, f"{self._name} replacement").permutation(len(self._pairs))
        yield from (int(index) for index in replacements)

    def _read_good(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        for index in self._candidates(position):
            if index in self._bad:
                continue
            try:
                return self._read(self._pairs[index])
            except (ReadError, _MismatchError, OSError) as error:
                self._report(index, error)
        raise RunError(
            f"None of the {len(self._pairs)} {self._name} images can be used, the first because: "
            f"{next(iter(self._bad.values()))} Check the folders (`masktwins check` lists every problem)."
        )

    def _read(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """The image (H, W, 3) and its label (H, W), zeros for a camera without labels."""
        image = read_image(pair.image)
        if self._space is None or pair.label is None:
            return image, np.zeros(image.shape[:2], np.uint8)
        label = read_label(pair.label, self._space)
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
        LOG.warning("%s image left out: %s", self._name, error)
        message = f"A {self._name} image is left out of the training: {error}"
        self._on_problem(Warned("bad_image", message, self._pairs[index].image))


def cut(image: np.ndarray, label: np.ndarray, crop_hw: tuple[int, int], data: DataConfig, draws: np.ndarray) -> Crop:
    """Cut one crop by four numbers in [0, 1): scale, top, left, mirror."""
    scale = _scale(label.shape, crop_hw, data, draws[0])
    (top, height, out_height), (left, width, out_width) = (
        _span(side, crop, scale, draw) for side, crop, draw in zip(label.shape, crop_hw, draws[1:3], strict=True)
    )
    window = np.s_[top : top + height, left : left + width]
    size = (out_width, out_height)  # OpenCV's order
    # Area averaging avoids the moiré of thin structures; INTER_NEAREST (not EXACT) would shift labels by half a pixel.
    image = cv2.resize(image[window], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    label = cv2.resize(label[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
    if data.flip and draws[3] < 0.5:
        image, label = cv2.flip(image, 1), cv2.flip(label, 1)
    return _pad(image, label, crop_hw)


def _scale(hw: tuple[int, ...], crop_hw: tuple[int, int], data: DataConfig, draw: float) -> float:
    drawn = data.scale_min + draw * (data.scale_max - data.scale_min)
    fits = [crop / side for side, crop in zip(hw, crop_hw, strict=True)]
    return max(drawn, min(max(fits), MAX_ASPECT_CUT * min(fits)))


def _span(side: int, crop: int, scale: float, draw: float) -> tuple[int, int, int]:
    """Where the box starts and how long it is along one side of the image, and its length in the crop."""
    box = min(side, max(1, round(crop / scale)))
    out = crop if box < side else min(crop, max(1, round(side * scale)))  # shorter than the crop: padding follows
    return int(draw * (side - box + 1)), box, out


def _pad(image: np.ndarray, label: np.ndarray, crop_hw: tuple[int, int]) -> Crop:
    """Fill the crop below and to the right of an image that is too short for it."""
    below, right = (crop - side for side, crop in zip(label.shape, crop_hw, strict=True))
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT)
        label = cv2.copyMakeBorder(label, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(IGNORE,))
    return Crop(image, label)
