"""Predict images of any size, whole or by a sliding window.

Shapes: B windows, C classes, H × W pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from core.configuration.choices import Precision
from core.evaluation.compare import CERTAIN, Ranked
from core.evaluation.errors import PredictionError, PredictionStoppedError
from core.memory import is_out_of_memory
from core.method.transfer import to_device
from core.networks.device import autocast, resolve_precision
from core.networks.hrda import Hrda
from core.networks.segmenter import Segmenter, resize

__all__ = ["PredictionError", "PredictionStoppedError", "Predictor"]

UseBand = Callable[[int, Tensor], None]  # first row, logits (C, rows, W) float32
RANKS = 3  # likeliest classes that `ranked` keeps
BAND_ROWS = 256  # of a whole image that are ranked at once


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

    def ranked(self, image: np.ndarray, cancelled: Callable[[], bool] | None = None) -> Ranked:
        """Return the likeliest classes of each pixel with their probabilities, as arrays on the host.

        Where windows slide, the logits of one row of windows are held at a time, however large the image is.

        Args:
            cancelled: asked before each batch of windows.

        Raises:
            PredictionStoppedError: cancelled. Else as `logits`.
        """
        height, width = self._check(image)
        ranking = _Ranking(self.segmenter.num_classes, (height, width))
        with self._memory_in_words(height, width), self._inference(), ranking.listen_to(self.segmenter.encoder):
            bytes_CHW = to_device(image, self.device).permute(2, 0, 1)
            if self._slides(bytes_CHW):
                self._each_band(bytes_CHW, ranking.add, self._normalised, cancelled or (lambda: False))
            else:
                logits_CHW = resize(self._forward(self._normalised(bytes_CHW[None])), (height, width))[0]
                for top in range(0, height, BAND_ROWS):
                    ranking.add(top, logits_CHW[:, top : top + BAND_ROWS])
        return ranking.result()

    def ids(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return class ids (B, H, W) uint8 on the device, of images of one size. Raises as `logits` does."""
        pixels_BCHW = self.pixels(images)
        # One by one with a sliding window: only one image's logits are in memory, whatever the number of images.
        parts = pixels_BCHW.split(1) if self._slides(pixels_BCHW) else (pixels_BCHW,)
        return torch.cat([self.logits_of(part).argmax(1).to(torch.uint8) for part in parts])

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return normalised pixels (B, 3, H, W) float32 on the device, of images of one size. Raises as `logits` does."""
        sizes = [self._check(image) for image in images]
        with self._memory_in_words(*sizes[0]):
            return self._normalised(to_device(np.stack(images), self.device).permute(0, 3, 1, 2))

    def _check(self, image: np.ndarray) -> tuple[int, int]:
        """Return height and width of an image. Raises ValueError."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 1:
            raise ValueError(f"an image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        return image.shape[0], image.shape[1]

    def _normalised(self, bytes_BCHW: Tensor) -> Tensor:
        return self.segmenter.normalisation.apply(bytes_BCHW.float().div(255))

    def logits_of(self, pixels_BCHW: Tensor) -> Tensor:
        """Return logits (B, C, H, W) float32 of normalised pixels on the device. Raises PredictionError as `logits` does."""
        with self._memory_in_words(pixels_BCHW.shape[-2], pixels_BCHW.shape[-1]), self._inference():
            if self._slides(pixels_BCHW):
                return torch.stack([self._slide(pixels_CHW) for pixels_CHW in pixels_BCHW])
            return resize(self._forward(pixels_BCHW), (pixels_BCHW.shape[-2], pixels_BCHW.shape[-1]))

    def _slides(self, pixels: Tensor) -> bool:
        sides = pixels.shape[-2:]
        return self.window is not None and any(side > most for side, most in zip(sides, self.window, strict=True))

    def _forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return float32 logits at the network's own resolution."""
        with self._autocast():
            return self.segmenter(pixels_BCHW).float()

    def _slide(self, pixels_CHW: Tensor) -> Tensor:
        """Return logits (C, H, W) float32, blended of windows."""
        H, W = pixels_CHW.shape[-2:]
        total_CHW = torch.empty(self.segmenter.num_classes, H, W, device=self.device)

        def keep(top: int, band_CrW: Tensor) -> None:
            total_CHW[:, top : top + band_CrW.shape[1]] = band_CrW

        self._each_band(pixels_CHW, keep)
        return total_CHW

    def _each_band(
        self,
        pixels_CHW: Tensor,
        use: UseBand,
        prepare: Callable[[Tensor], Tensor] = lambda windows: windows,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Blend windows, and hand over the rows that no later window reaches. Few rows of sums are held at a time.

        Args:
            prepare: turns a batch of windows cut from `pixels_CHW` into what the network takes.
        """
        assert self.window is not None
        H, W = pixels_CHW.shape[-2:]
        h, w = min(self.window[0], H), min(self.window[1], W)
        tops, lefts = _starts(H, h, self.overlap), _starts(W, w, self.overlap)
        ramp_y, ramp_x = self._ramp(h), self._ramp(w)
        weight_hw = ramp_y[:, None] * ramp_x
        # The windows form a grid, so that the sum of their weights is a product of one sum per side.
        coverage_y, coverage_x = self._coverage(H, tops, ramp_y), self._coverage(W, lefts, ramp_x)
        corners = list(product(tops, lefts))
        first = 0  # row of the image that the sums begin with
        sums_CrW = torch.zeros(self.segmenter.num_classes, 0, W, device=self.device)
        for batch, following in _batches(corners, self.batch_size):
            if cancelled():
                raise PredictionStoppedError("The prediction was cancelled.")
            sums_CrW = nn.functional.pad(sums_CrW, (0, 0, 0, batch[-1][0] + h - first - sums_CrW.shape[1]))
            windows = prepare(torch.stack([pixels_CHW[:, y : y + h, x : x + w] for y, x in batch]))
            # Enlarged one by one: at full size a batch of windows would take as much memory as the image.
            for (y, x), logits_1Cuv in zip(batch, self._forward(windows).split(1), strict=True):
                rows = slice(y - first, y - first + h)
                sums_CrW[:, rows, x : x + w].addcmul_(resize(logits_1Cuv, (h, w))[0], weight_hw)
            end = H if following is None else following[0]
            if end > first:
                use(first, sums_CrW[:, : end - first] / coverage_y[first:end, None] / coverage_x)
                sums_CrW, first = sums_CrW[:, end - first :].clone(), end

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


class _Ranking:
    """Collects the likeliest classes of bands of logits."""

    def __init__(self, num_classes: int, size: tuple[int, int]) -> None:
        shape = (min(RANKS, num_classes), *size)
        self._classes, self._probabilities = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        self._entropy = 0.0  # summed over the pixels
        self._most = math.log(max(2, num_classes))
        self._features: list[Tensor] = []  # (F,) of each forward, on the device

    @contextmanager
    def listen_to(self, encoder: nn.Module) -> Iterator[None]:
        """Collect the mean of the deepest features of every forward within."""

        def collect(module: nn.Module, inputs: object, features: Sequence[Tensor]) -> None:
            self._features.append(features[-1].float().mean((0, 2, 3)))

        handle = encoder.register_forward_hook(collect)
        try:
            yield
        finally:
            handle.remove()

    def add(self, top: int, logits_CrW: Tensor) -> None:
        """Take the rows from `top` on (waits for the device)."""
        rows = slice(top, top + logits_CrW.shape[1])
        logarithms = logits_CrW.log_softmax(0)
        best, classes = logarithms.topk(len(self._classes), 0)
        self._classes[:, rows] = classes.to(torch.uint8).cpu().numpy()
        self._probabilities[:, rows] = (best.exp() * CERTAIN).round().to(torch.uint8).cpu().numpy()
        self._entropy -= float((logarithms.exp() * logarithms).sum())

    def result(self) -> Ranked:
        pixels = self._classes.shape[1] * self._classes.shape[2]
        features = torch.stack(self._features).mean(0).cpu().numpy()
        return Ranked(self._classes, self._probabilities, self._entropy / (pixels * self._most), features)


def _batches(
    corners: Sequence[tuple[int, int]], size: int
) -> Iterator[tuple[Sequence[tuple[int, int]], tuple[int, int] | None]]:
    """Batches of corners, each with the corner that follows it."""
    for start in range(0, len(corners), size):
        yield corners[start : start + size], corners[start + size] if start + size < len(corners) else None


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return the first pixels of windows that cover a side evenly, with at least this overlap."""
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    number = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (number - 1)) for i in range(number)]
