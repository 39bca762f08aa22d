"""Starting weights: the libraries' hub with a quick answer when there is no network, and files of many origins.

A foreign file is matched to the network by the names and shapes of its tensors, under the renamings its origin uses.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor

from core.networks.segmenter import NetworkError, Segmenter
from core.networks.store import StoreError, read_weights
from core.pixels import Normalisation

PROBE_SECONDS = 3.0

logger = logging.getLogger(__name__)


# The hub ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HubWeights:
    """A local file of pretrained encoder weights, and the normalisation they were trained with."""

    path: Path
    normalisation: Normalisation


def hub_weights(encoder: str) -> HubWeights:
    """Find an encoder's ImageNet weights in the local hub cache, or download them.

    Raises:
        NetworkError: there are none, or the hub cannot be reached (said within 5 seconds).
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
    """Whether the server of a URL, or the proxy that leads to it, takes a connection within the time.

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


# Files -----------------------------------------------------------------------------------------

_STAGE = re.compile(r"\bstages\.(\d+)\.")
_WRAPPERS = ("", "module.", "model.", "student.", "teacher.", "module.model.")
_CONTAINERS = ("state_dict", "model_state_dict", "model", "teacher", "student", "network", "net")


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a .pth/.pt file read with weights_only=True alone.

    Raises:
        NetworkError: the file is missing, damaged, or holds more than plain weights.
    """
    if path.suffix == ".safetensors":
        try:
            return read_weights(path)
        except StoreError as error:
            raise NetworkError(str(error)) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise NetworkError(f"The weights file {path} does not exist; correct network.weights.") from error
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise NetworkError(
            f"{path} cannot be read as plain weights, or holds code, which is never run; "
            "save its state_dict alone, best as safetensors."
        ) from error
    while isinstance(content, dict) and (
        inner := next((k for k in _CONTAINERS if isinstance(content.get(k), dict)), "")
    ):
        content = content[inner]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise NetworkError(f"{path} holds no weights by name; save the state_dict of a network.")
    return {str(name): tensor for name, tensor in tensors.items()}


def load_into(segmenter: Segmenter, state: dict[str, Tensor], origin: str) -> tuple[str, ...]:
    """Copy the tensors of a file into a network as far as they fit, and say in words what did not.

    The encoder must be there whole. The decoder is taken whole or not at all; a classifier for another number of
    classes stays as it was made.

    Raises:
        NetworkError: the encoder's weights are not in the file.
    """
    own = segmenter.state_dict()
    renamed = max(_renamings(state), key=lambda candidate: _num_fitting(candidate, own))
    fitting = {name: tensor for name, tensor in renamed.items() if name in own and own[name].shape == tensor.shape}
    missing = [name for name in own if name.startswith("encoder.") and name not in fitting and not _is_counter(name)]
    if missing:
        raise NetworkError(
            f"{origin} does not hold the weights of {segmenter.description.encoder!r} ({len(missing)} tensors missing, "
            f"first {missing[0]!r}); set network.encoder to the encoder of that file."
        )
    notes = []
    lost = [name for name in own if name.startswith("head.decoder.") and name not in fitting and not _is_counter(name)]
    if lost:
        notes.append(f"{origin} holds no decoder of this architecture: only the encoder is taken, the head starts new.")
        fitting = {name: tensor for name, tensor in fitting.items() if name.startswith("encoder.")}
    elif any(name.startswith("head.classifier.") and name not in fitting for name in own):
        notes.append(
            f"{origin} was made for other classes than these {segmenter.num_classes}: its encoder and decoder are taken, "
            "the classifier starts new."
        )
    segmenter.load_state_dict(fitting, strict=False)
    for note in notes:
        logger.warning("%s", note)
    return tuple(notes)


def _num_fitting(state: dict[str, Tensor], own: dict[str, Tensor]) -> int:
    return sum(name in own and own[name].shape == tensor.shape for name, tensor in state.items())


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")  # old files lack it, and nothing depends on it


def _renamings(state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The state under the names of each origin known: this program, smp, mmsegmentation, timm, a bare encoder."""
    rules: tuple[Callable[[str], str], ...] = (
        lambda name: name,
        _from_smp,
        lambda name: re.sub(r"^backbone\.", "encoder.", name),
        lambda name: f"encoder.{name}",
        lambda name: f"encoder.model.{name}",
        lambda name: _STAGE.sub(r"stages_\1.", f"encoder.model.{name}"),
    )
    for wrapper in _WRAPPERS:
        inner = {k.removeprefix(wrapper): v for k, v in state.items() if k.startswith(wrapper)}
        for rule in rules:
            yield {rule(name): tensor for name, tensor in inner.items()}


def _from_smp(name: str) -> str:
    name = re.sub(r"^segmentation_head\.0\.", "head.classifier.", name)
    return re.sub(r"^decoder\.", "head.decoder.", name)
