"""Frames per second of the sliding Predictor beside a plain loop over windows: `.venv/bin/python tests/studies/sliding.py`.

Both take turns in one process on the same image (2048 × 1024 pixels, windows of 512 × 512 with half overlap) and the same
network with random weights (three small convolutions, or the SegFormer of `--encoder`), so that a busy machine slows both alike; the fastest turn of each counts. The plain loop is
what one would write first: a window at a time, weighted sum and sum of weights over the whole image, then the quotient.
Ends after `--seconds`, and not before each had a turn. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.configuration.choices import Architecture
from core.configuration.sections import NetworkConfig
from core.evaluation.predictor import Predictor
from core.memory import keep_freed_memory
from core.networks.build import build
from core.networks.segmenter import Head, NetworkDescription, Segmenter, resize
from core.pixels import Normalisation

HEIGHT, WIDTH, WINDOW = 1024, 2048, 512
NUM_CLASSES = 19


class Convolutions(nn.Sequential):
    """Features (B, 64, H/4, W/4) of images: an encoder that costs next to nothing."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())


def small_network() -> Segmenter:
    return Segmenter(
        Convolutions(),
        Head(nn.Identity(), nn.Conv2d(64, NUM_CLASSES, 1)),
        num_classes=NUM_CLASSES,
        stride=4,
        normalisation=Normalisation(),
        description=NetworkDescription(Architecture.SEGFORMER, "none"),
    )


@torch.no_grad()
def plain_loop(segmenter: Segmenter, image: np.ndarray, device: str) -> Tensor:
    """Logits (C, H, W) of an RGB image (H, W, 3) uint8, window by window with half overlap."""
    pixels = torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255
    pixels = segmenter.normalisation.apply(pixels)
    height, width = image.shape[:2]
    position = torch.arange(WINDOW, device=device) + 0.5
    ramp = torch.minimum(position, WINDOW - position) / (WINDOW / 2)
    weight = ramp[:, None] * ramp
    total = torch.zeros(segmenter.num_classes, height, width, device=device)
    weights = torch.zeros(height, width, device=device)
    step = WINDOW // 2
    for y, x in product(range(0, height - WINDOW + 1, step), range(0, width - WINDOW + 1, step)):
        logits = segmenter(pixels[None, :, y : y + WINDOW, x : x + WINDOW])
        total[:, y : y + WINDOW, x : x + WINDOW] += resize(logits, (WINDOW, WINDOW))[0] * weight
        weights[y : y + WINDOW, x : x + WINDOW] += weight
    return total / weights


def seconds_of(function: Callable[[], Tensor], device: str) -> float:
    started = time.perf_counter()
    function()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(segmenter: Segmenter, device: str, batch_size: int, seconds: float) -> dict[str, float]:
    """Frames per second of both, their quotient, and the largest difference of their logits."""
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    predictor = Predictor(segmenter, device, window=(WINDOW, WINDOW), batch_size=batch_size)
    segmenter.eval()
    ways: dict[str, Callable[[], Tensor]] = {
        "predictor": lambda: predictor.logits(image),
        "plain_loop": lambda: plain_loop(segmenter, image, device),
    }
    started = time.perf_counter()
    difference = float((ways["predictor"]() - ways["plain_loop"]()).abs().max())  # warms both up too
    fastest = dict.fromkeys(ways, float("inf"))
    turns = 0
    while not turns or (time.perf_counter() - started) * (turns + 2) / (turns + 1) < seconds:
        for name, way in ways.items():
            fastest[name] = min(fastest[name], seconds_of(way, device))
        turns += 1
    rates = {name: 1 / best for name, best in fastest.items()}
    return {**rates, "ratio": rates["predictor"] / rates["plain_loop"], "turns": turns, "difference": difference}


def main(arguments: Sequence[str] | None = None) -> int:
    keep_freed_memory()  # as the program does
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--encoder", help="measure a SegFormer on this encoder instead of the small network")
    parser.add_argument("--batch-size", type=int, default=4, help="windows that the Predictor takes together")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args(arguments)
    if options.encoder:
        segmenter = build(NetworkConfig(encoder=options.encoder, weights="none"), NUM_CLASSES)
    else:
        segmenter = small_network()
    found = compare(segmenter.to(options.device), options.device, options.batch_size, options.seconds)
    print(
        f"{WIDTH} × {HEIGHT} pixels, windows of {WINDOW}, {options.encoder or 'small network'} on {options.device}: "
        f"Predictor {found['predictor']:.3f} frames/s, plain loop {found['plain_loop']:.3f} frames/s, "
        f"{found['ratio']:.2f} times as fast; logits differ by at most {found['difference']:.1e}."
    )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
