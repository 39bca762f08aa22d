"""Predict images of any size, whole or by a sliding window.

Shapes: B windows, C classes, H × W pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product

import numpy as np
import torch
from torch import Tensor

from core.configuration.choices import Precision
from core.memory import is_out_of_memory
from core.method.transfer import to_device
from core.networks.device import autocast, resolve_precision
from core.networks.hrda import Hrda
from core.networks.segmenter import Segmenter, resize


class PredictionError(RuntimeError):
    """Raised when a prediction cannot be made. The message says what to do instead."""


class Predictor:
    """Predict with a segmenter, always in evaluation mode. After each call the segmenter has its former mode again.

    Args:
        window: (height, width) in pixels of a sliding window. None: each image goes through the network whole.
        overlap: share of a window that the next window covers again, 0 ≤ overlap < 1.
        batch_size: windows, or images of one size, that go through the network together.
        precision: bf16 autocasts, and auto does so on CUDA cards that have it. Logits are always float32.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        device: torch.device | str = "cpu",
        window: tuple[int, int] | None = None,
        overlap: float = 0.5,
        batch_size: int = 4,
        precision: Precision = Precision.FP32,
    ) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap {overlap} must be at least 0 and below 1")
        if window is not None and min(window) < 1:
            raise ValueError(f"window {window} must be at least 1 × 1 pixels")
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        self.device = torch.device(device)
        self.segmenter = segmenter.to(self.device)
        self.window = window
        self.overlap = overlap
        self.batch_size = batch_size
        self._autocast = autocast(resolve_precision(precision, self.device), self.device)

    def logits(self, image: np.ndarray) -> Tensor:
        """Return logits (C, H, W) float32 on the device, of an RGB image (H, W, 3) uint8.

        Raises:
            ValueError: the array is not an image.
            PredictionError: the device has too little memory.
        """
        return self.logits_of(self.pixels([image]))[0]

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Return class ids (H, W) uint8. Raises as `logits` does."""
        return self.ids([image])[0].cpu().numpy()

    def ids(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return class ids (B, H, W) uint8 on the device, of images of one size. Raises as `logits` does."""
        pixels_BCHW = self.pixels(images)
        # One by one with a sliding window: only one image's logits are in memory, whatever the number of images.
        parts = pixels_BCHW.split(1) if self._slides(pixels_BCHW) else (pixels_BCHW,)
        return torch.cat([self.logits_of(part).argmax(1).to(torch.uint8) for part in parts])

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return normalised pixels (B, 3, H, W) float32 on the device, of images of one size. Raises as `logits` does."""
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 1:
                raise ValueError(f"an image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        with self._memory_in_words(images[0].shape[0], images[0].shape[1]):
            pixels_BHWC = to_device(np.stack(images), self.device)
            return self.segmenter.normalisation.apply(pixels_BHWC.permute(0, 3, 1, 2).float().div(255))

    def logits_of(self, pixels_BCHW: Tensor) -> Tensor:
        """Return logits (B, C, H, W) float32 of normalised pixels on the device. Raises PredictionError as `logits` does."""
        with self._memory_in_words(pixels_BCHW.shape[-2], pixels_BCHW.shape[-1]), self._inference():
            if self._slides(pixels_BCHW):
                return torch.stack([self._slide(pixels_CHW) for pixels_CHW in pixels_BCHW])
            return resize(self._forward(pixels_BCHW), (pixels_BCHW.shape[-2], pixels_BCHW.shape[-1]))

    def _slides(self, pixels_BCHW: Tensor) -> bool:
        sides = pixels_BCHW.shape[-2:]
        return self.window is not None and any(side > most for side, most in zip(sides, self.window, strict=True))

    def _forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return float32 logits at the network's own resolution."""
        with self._autocast():
            return self.segmenter(pixels_BCHW).float()

    def _slide(self, pixels_CHW: Tensor) -> Tensor:
        """Blend windows into one sum. It needs the memory of one image and one batch, however many windows there are."""
        assert self.window is not None
        H, W = pixels_CHW.shape[-2:]
        h, w = min(self.window[0], H), min(self.window[1], W)
        tops, lefts = _starts(H, h, self.overlap), _starts(W, w, self.overlap)
        ramp_y, ramp_x = self._ramp(h), self._ramp(w)
        weight_hw = ramp_y[:, None] * ramp_x
        total_CHW = torch.zeros(self.segmenter.num_classes, H, W, device=self.device)
        for corners in _batches(product(tops, lefts), self.batch_size):
            windows = torch.stack([pixels_CHW[:, y : y + h, x : x + w] for y, x in corners])
            # Enlarged one by one: at full size a batch of windows would take as much memory as the image.
            for (y, x), logits_1Cuv in zip(corners, self._forward(windows).split(1), strict=True):
                total_CHW[:, y : y + h, x : x + w].addcmul_(resize(logits_1Cuv, (h, w))[0], weight_hw)
        # The windows form a grid, so that the sum of their weights is a product of one sum per side.
        total_CHW /= self._coverage(H, tops, ramp_y)[:, None]
        total_CHW /= self._coverage(W, lefts, ramp_x)
        return total_CHW

    def _ramp(self, side: int) -> Tensor:
        """Return the weights (side,) of a window's pixels: they fall to the borders, where it knows least, but never to 0."""
        position = torch.arange(side, device=self.device) + 0.5
        return torch.minimum(position, side - position) / (side / 2)

    def _coverage(self, length: int, starts: Sequence[int], ramp: Tensor) -> Tensor:
        total = torch.zeros(length, device=self.device)
        for start in starts:
            total[start : start + len(ramp)] += ramp
        return total

    @contextmanager
    def _memory_in_words(self, height: int, width: int) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise PredictionError(
                f"{self.device} has too little memory for an image of {width} × {height} pixels. "
                f"{self._remedy(height, width)}"
            ) from error

    def _remedy(self, height: int, width: int) -> str:
        """Say what needs less memory, with the options of the command line."""
        kind, side = ("smaller", min(self.window)) if self.window else ("sliding", min(height, width, 1024))
        cpu = "" if self.device.type == "cpu" else ", or the CPU (--device cpu)"
        return f"Use a {kind} window, one at a time (--window {max(64, side // 2)} --batch 1){cpu}."

    @contextmanager
    def _inference(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.segmenter.modules()]
        looks_twice = [module for module in self.segmenter.modules() if isinstance(module, Hrda)]
        window_batches = [module.window_batch for module in looks_twice]
        self.segmenter.eval()
        for module in looks_twice:  # changes nothing in eval mode but the memory
            module.window_batch = self.batch_size
        try:
            with torch.no_grad():
                yield
        finally:
            for module, window_batch in zip(looks_twice, window_batches, strict=True):
                module.window_batch = window_batch
            for module, training in modes:
                module.training = training


def _batches(corners: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    while batch := list(islice(corners, size)):
        yield batch


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return the first pixels of windows that cover a side evenly, with at least this overlap."""
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    number = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (number - 1)) for i in range(number)]
