"""Find starting weights on the libraries' hub, and report quickly when there is no network."""

from __future__ import annotations

import json
import logging
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError

from core.networks.segmenter import NetworkError
from core.pixels import Normalisation

PROBE_SECONDS = 3.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubWeights:
    """Hold a local file of pretrained encoder weights, and the normalisation they were trained with."""

    path: Path
    normalisation: Normalisation


def hub_weights(encoder: str) -> HubWeights:
    """Find an encoder's ImageNet weights in the local hub cache, or download them.

    Raises:
        NetworkError: there are none, or the hub cannot be reached. It comes within 5 seconds.
    """
    if not encoder.startswith("tu-"):
        return _smp_weights(encoder)
    config = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"))
    identifier = getattr(config, "hf_hub_id", None)
    if config is None or not identifier:
        raise NetworkError(f"There are no pretrained weights of {encoder!r}; set network.weights to none or to a file.")
    repository, _, revision = str(identifier).partition("@")
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    return HubWeights(_hub_file(repository, names, revision or None), _normalisation(config.mean, config.std))


def _smp_weights(encoder: str) -> HubWeights:
    settings = smp.encoders.encoders[encoder]["pretrained_settings"].get("imagenet")
    if settings is None:
        raise NetworkError(f"There are no ImageNet weights of {encoder!r}; set network.weights to none or to a file.")
    repository, revision = settings["repo_id"], settings["revision"]
    path = _hub_file(repository, ["model.safetensors"], revision)
    try:
        config = json.loads(_hub_file(repository, ["config.json"], revision).read_text(encoding="utf-8"))
    except (NetworkError, OSError, ValueError) as error:
        logger.warning("No preprocessing is stored with the weights of %s (%s): ImageNet's is taken", encoder, error)
        config = {}
    default = Normalisation()
    return HubWeights(path, _normalisation(config.get("mean", default.mean), config.get("std", default.std)))


def _normalisation(mean: Any, std: Any) -> Normalisation:
    (r, g, b), (sr, sg, sb) = mean, std
    return Normalisation((float(r), float(g), float(b)), (float(sr), float(sg), float(sb)))


def _hub_file(repository: str, names: list[str], revision: str | None) -> Path:
    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    if constants.HF_HUB_OFFLINE or not can_reach(constants.ENDPOINT):
        raise NetworkError(_offline(repository))
    for name in names:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision, etag_timeout=5))
        except EntryNotFoundError:
            continue
        except OSError as error:
            logger.warning("Download of %s/%s failed: %s", repository, name, error)
            break
    raise NetworkError(_offline(repository))


def _offline(repository: str) -> str:
    return (
        f"The pretrained weights {repository} cannot be downloaded from {urlparse(constants.ENDPOINT).hostname}: connect "
        "to the internet, set network.weights to the path of a weights file, a run or a bundle, or set it to none."
    )


def can_reach(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Return whether the server of a URL, or the proxy that leads to it, accepts a connection within the time.

    The hub's client would try for about 27 seconds. A resolver has no time limit of its own, hence the thread.
    """
    parts = urlparse(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and parts.hostname and not proxy_bypass(parts.hostname):
        parts = urlparse(proxy if "//" in proxy else f"//{proxy}")
    address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            reached.set()
        except OSError:
            logger.info("%s:%s does not answer", *address)

    thread = threading.Thread(target=connect, name="hub-probe", daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return reached.is_set()
