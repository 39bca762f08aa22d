"""What a new project begins with: preset, crop, batch and steps from the data and the device, each with its reason.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.checking.statistics import DomainStatistics
from core.configuration import settings
from core.configuration.config import RunConfig

CROP_MULTIPLE = 32  # the encoders halve an image five times
SMALLEST_CROP = 64
LARGEST_BATCH = 8
MOST_PASSES = 200  # over the smaller set of images: more rarely helps, and a run on a small set ends sooner
LEAST_STEPS = 500
BLOCKS_PER_CROP = 16  # as in the paper: 64 of 1024 pixels


@dataclass(frozen=True)
class Proposal:
    """Settings by dotted path, beside those of the preset, and one sentence for each choice."""

    preset: str
    crop: int
    batch: int
    steps: int
    changes: Mapping[str, Any]
    reasons: tuple[str, ...]


def propose(domains: Mapping[str, DomainStatistics], device: str) -> Proposal | None:
    """Propose the settings of a first run; None as long as one camera's images are unknown.

    Args:
        domains: what was measured of the images, by "source" and "target".
        device: "cpu", "cuda", "cuda:1", "mps" …
    """
    cameras = [domains[name] for name in ("source", "target") if name in domains and domains[name].sizes]
    if len(cameras) < 2:
        return None
    preset, why_preset = _preset(device)
    wanted = settings.apply_preset(RunConfig(), preset).training
    crop, why_crop = _crop(cameras, wanted.crop_hw[0])
    batch, why_batch = _batch(wanted.batch_size, wanted.crop_hw[0], crop)
    steps, why_steps = _steps(wanted.steps, batch, min(camera.num_read for camera in cameras))
    changes = {
        "training.crop_size": crop,
        "training.batch_size": batch,
        "training.steps": steps,
        "training.source_steps": round(steps * wanted.source_steps / wanted.steps),
        "training.warmup_steps": None,  # automatic: the preset's would be long for fewer steps
        "mask.block_size": max(4, crop // BLOCKS_PER_CROP),
        "mask.block_fraction": 0.0,
    }
    return Proposal(preset, crop, batch, steps, changes, (why_preset, why_crop, why_batch, why_steps))


def _preset(device: str) -> tuple[str, str]:
    if device.startswith("cuda"):
        return "standard", "Preset standard: an NVIDIA GPU was found."
    if device == "mps":
        return "quick", "Preset quick: an Apple GPU trains the larger networks slowly."
    return "quick", "Preset quick: without a GPU the larger networks take days."


def _crop(cameras: list[DomainStatistics], preset_crop: int) -> tuple[int, str]:
    """The largest crop that the usual images of both cameras hold without being enlarged."""
    side = min(min(camera.sizes[0][0]) for camera in cameras)
    crop = max(SMALLEST_CROP, min(preset_crop, side // CROP_MULTIPLE * CROP_MULTIPLE))
    if crop < preset_crop:
        return crop, f"Crop {crop} px: the images are {side} px on their shorter side."
    return crop, f"Crop {crop} px: the preset's."


def _batch(preset_batch: int, preset_crop: int, crop: int) -> tuple[int, str]:
    """As many pixels in a step as the preset's, as far as that is useful."""
    batch = int(min(LARGEST_BATCH, max(preset_batch, preset_batch * (preset_crop / crop) ** 2)))
    if batch > preset_batch:
        return batch, f"Batch {batch}: smaller crops leave room for more of them."
    return batch, f"Batch {batch}: the preset's."


def _steps(preset_steps: int, batch: int, num_images: int) -> tuple[int, str]:
    most = MOST_PASSES * num_images // batch // 100 * 100
    steps = min(preset_steps, max(LEAST_STEPS, most))
    passes = max(1, round(steps * batch / num_images))
    return steps, f"{steps} steps: about {passes} passes over {num_images} images."
