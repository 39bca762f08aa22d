"""What a session is built of: the network, the pretrained encoder for L_fd, and what it computes with."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.configuration.choices import Precision
from core.configuration.config import RunConfig
from core.dataset.listing import Listing
from core.errors import RunError
from core.method.feature_distance import FeatureAnchor
from core.networks.build import NetworkError, Segmenter, build, build_empty
from core.networks.device import choose_device
from core.networks.store import StoreError, read_card
from core.training.checkpoint import CheckpointError
from core.training.device import Compute, resolve
from core.training.distributed import Group

logger = logging.getLogger(__name__)


def new_network(config: RunConfig, num_classes: int) -> Segmenter:
    """Build the network with its starting weights. Raises RunError."""
    try:
        return build(config.network, num_classes)
    except (NetworkError, StoreError) as error:
        raise RunError(str(error)) from error


def network_of(checkpoint: Path, num_classes: int) -> Segmenter:
    """Build the network that a checkpoint describes, without its weights. Raises RunError; StoreError for a damaged file."""
    card = read_card(checkpoint)
    try:
        return build_empty(card.description, num_classes, card.normalisation)
    except NetworkError as error:
        raise RunError(str(error)) from error


def check_crop(network: Segmenter, crop_hw: tuple[int, int]) -> int:
    """Return the pixels that HRDA's sub-crop moves by, 0 without one.

    Raises:
        RunError: the crop cannot be halved on the network's grid.
    """
    step = int(getattr(network, "detail_step", 0))
    unit = math.lcm(network.stride, 2 * step) if step else 1
    if any(side % unit for side in crop_hw):
        raise RunError(
            f"With network.hrda, training.crop_size {crop_hw} must be a multiple of {unit}: "
            f"set it to {max(unit, min(crop_hw) // unit * unit)}."
        )
    return step


def feature_anchor(config: RunConfig, network: Segmenter, listing: Listing, *, resumed: bool) -> FeatureAnchor | None:
    """Keep the pretrained encoder for L_fd, where it is asked for; on resume it is loaded again. Raises RunError."""
    if not config.loss.feature_distance_weight:
        return None
    names = [name.strip() for name in config.loss.feature_distance_classes.split(",") if name.strip()]
    if unknown := set(names) - set(listing.space.classes):
        raise RunError(
            f"loss.feature_distance_classes names {', '.join(sorted(unknown))}, which is not among the classes "
            f"({', '.join(listing.space.classes)})."
        )
    device = next(network.parameters()).device
    pretrained = new_network(config, listing.space.num_classes).to(device) if resumed else network
    classes = [listing.space.classes.index(name) for name in names] or range(listing.space.num_classes)
    return FeatureAnchor(pretrained.encoder, classes)


def new_compute(config: RunConfig, group: Group) -> Compute:
    """Resolve what a new run computes with."""
    return _resolved(config, group.device(config.training.device))


def compute_of(state: Mapping[str, Any], config: RunConfig, group: Group) -> tuple[Compute, str]:
    """Return what a checkpoint was computed with, and a sentence where that is not available here.

    On another kind of device precision, memory layout and threads are resolved again: what is fast on a GPU (bf16, channels
    last) is slow on a CPU.

    Raises:
        CheckpointError: the checkpoint does not say.
    """
    try:
        stored = Compute(
            str(state["device"]), str(state["device_reason"]), Precision(state["precision"]), int(state["threads"]),
            bool(state["channels_last"]),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"state.json does not say what the run was computed with ({error}).") from error
    wanted = stored.device if group.share.world == 1 else group.device(_kind(stored.device))
    try:
        choose_device(wanted)
    except RunError:
        return _elsewhere(stored, config, group)
    return replace(stored, device=wanted), ""


def _elsewhere(stored: Compute, config: RunConfig, group: Group) -> tuple[Compute, str]:
    device, reason = choose_device(group.device("auto"))
    words = f"The run was trained on {stored.device}, which is not available here. It continues on {device} ({reason})"
    if _kind(device) == _kind(stored.device):
        return replace(stored, device=device, reason=reason), f"{words}."
    compute = replace(_resolved(config, device), reason=reason)
    return (
        compute,
        f"{words} in {compute.precision.value}. Its further losses differ in rounding from those it had there.",
    )


def _resolved(config: RunConfig, device: str) -> Compute:
    return resolve(config.training.model_copy(update={"device": device}))


def _kind(device: str) -> str:
    return device.partition(":")[0]
