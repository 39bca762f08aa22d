"""Build a network with its starting weights from the configuration."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError

from core.configuration.sections import NetworkConfig
from core.networks.families import build_empty, check_forward, construct, described
from core.networks.foreign import load_into, read_foreign
from core.networks.licences import UNKNOWN, imagenet_licence
from core.networks.segmenter import NetworkDescription, NetworkError, Segmenter
from core.networks.store import CARD, StoredCard, StoreError, locate, read_card, read_weights
from core.networks.weights import hub_weights
from core.pixels import Normalisation

__all__ = ["NetworkDescription", "NetworkError", "Segmenter", "build", "build_empty"]

logger = logging.getLogger(__name__)


def build(network: NetworkConfig, num_classes: int) -> Segmenter:
    """Make the network in train mode on the CPU, with its starting weights.

    Weights that are not loaded are drawn from torch's default generator: seed it before. `notes` of the result holds what
    the user should know about the weights.

    Raises:
        NetworkError: the encoder does not fit, or the weights cannot be found or read. It comes within 5 seconds.
    """
    description = described(network.architecture, network.encoder, hrda=network.hrda)
    match network.weights:
        case "none":
            segmenter = construct(description, num_classes, Normalisation())
        case "imagenet":
            segmenter = _from_hub(description, num_classes)
        case path:
            segmenter = _from_path(description, num_classes, Path(path))
    check_forward(segmenter)
    logger.info("Network: %s", segmenter.description)
    return segmenter


def _from_hub(description: NetworkDescription, num_classes: int) -> Segmenter:
    build_empty(description, num_classes, Normalisation())  # refuses what does not fit before anything is downloaded
    weights = hub_weights(description.encoder)
    description = replace(description, weights="imagenet", weights_licence=imagenet_licence(description.encoder))
    is_timm = description.encoder.startswith("tu-")
    try:
        segmenter = construct(description, num_classes, weights.normalisation, weights.path if is_timm else None)
        if not is_timm:
            segmenter.encoder.load_state_dict(read_weights(weights.path))
    except (SafetensorError, StoreError, RuntimeError, NetworkError) as error:
        raise NetworkError(f"{weights.path} is damaged ({error}); delete it, and it is downloaded again.") from error
    return segmenter


def _from_path(description: NetworkDescription, num_classes: int, path: Path) -> Segmenter:
    """Start from a run, a checkpoint, a bundle (their last teacher), or a weights file of any origin."""
    if not path.exists():
        raise NetworkError(f"The starting weights {path} do not exist; correct network.weights.")
    if not path.is_file() and not path.is_dir():
        raise NetworkError(f"The starting weights {path} are not an ordinary file; correct network.weights.")
    card = None
    try:
        if path.is_dir() or (path.suffix == ".safetensors" and (path.parent / CARD).is_file()):
            path = locate(path)
            card = read_card(path.parent)
    except StoreError as error:
        raise NetworkError(str(error)) from error
    segmenter = construct(
        _inherited(description, card, path), num_classes, card.normalisation if card else Normalisation()
    )
    report = load_into(segmenter, read_foreign(path), str(path))
    segmenter.notes, segmenter.matched = report.notes, report.summary()
    return segmenter


def _inherited(description: NetworkDescription, card: StoredCard | None, path: Path) -> NetworkDescription:
    if card is None:
        return replace(description, weights=path.name, weights_licence=f"{UNKNOWN} (from the file {path.name})")
    if card.description.encoder != description.encoder:
        raise NetworkError(
            f"{path} holds the encoder {card.description.encoder!r}, not {description.encoder!r}; "
            "set network.encoder to it, or choose other starting weights."
        )
    return replace(description, weights=str(path), weights_licence=card.description.weights_licence)
