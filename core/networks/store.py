"""Models on disk: weights as safetensors, and model.json that says what they are the weights of. Nothing is pickled.

A folder holds one model.json and the weights beside it: student and teacher in a checkpoint, `model` in a bundle.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from core.checksums import ChecksumError, check_file
from core.configuration.choices import Architecture
from core.errors import ConfigError
from core.events import Model
from core.files import read_json, write_durably
from core.labels import LabelSpace
from core.networks.families import build_empty
from core.networks.segmenter import NetworkDescription, NetworkError, Segmenter
from core.pixels import Normalisation
from core.runs.folder import CHECKPOINT_NAME, RunFolder

FORMAT_VERSION = 1
CARD = "model.json"
BUNDLE_WEIGHTS = "model.safetensors"

logger = logging.getLogger(__name__)


class StoreError(RuntimeError):
    """A model that cannot be written or read. The message names the file and what to do."""


@dataclass(frozen=True)
class StoredCard:
    """The content of a model.json, checked."""

    description: NetworkDescription
    space: LabelSpace
    normalisation: Normalisation
    stride: int


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, in eval mode on the CPU."""

    segmenter: Segmenter
    space: LabelSpace
    path: Path  # the weights file
    title: str  # for people: "teacher, step-000500"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.space.classes

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return self.space.palette

    @property
    def description(self) -> NetworkDescription:
        return self.segmenter.description


# Writing ---------------------------------------------------------------------------------------


def model_card(segmenter: Segmenter, space: LabelSpace) -> dict[str, Any]:
    """Content of model.json: all that is needed to build the network again, and the licences."""
    return {
        "format_version": FORMAT_VERSION,
        **asdict(segmenter.description),
        "classes": list(space.classes),
        "palette": [list(colour) for colour in space.palette],
        "label_space": space.name,
        "normalisation": asdict(segmenter.normalisation),
        "stride": segmenter.stride,
    }


def write_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, contiguous, atomically. Raises StoreError."""
    state = {  # each in memory of its own: shared tensors are refused
        name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        for name, tensor in module.state_dict().items()
    }
    write_tensors(state, path)


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write contiguous CPU tensors, atomically and flushed to the disk. Raises StoreError."""
    beside = path.with_name(f".{path.name}.tmp")
    try:  # not by save_file, whose files nobody else may read, whatever the umask says
        write_durably(beside, to_bytes(tensors, metadata={"format": "pt"}))
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written ({error}); free some space or choose another folder.") from error


# Reading ---------------------------------------------------------------------------------------


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, on the CPU.

    Raises:
        StoreError: the file is missing, damaged, not the one that was written, or holds numbers that are not finite.
    """
    try:
        check_file(path)
        tensors = load_file(path, device="cpu")
    except ChecksumError as error:
        raise StoreError(str(error)) from error
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing; choose another checkpoint or copy the folder again.") from error
    except (
        OSError,
        SafetensorError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise StoreError(
            f"{path} is damaged or not a safetensors file ({error}); choose another checkpoint or copy it again."
        ) from error
    check_finite(tensors, path)
    return tensors


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse infinite numbers and NaN: a network with them predicts class 0 everywhere. Raises StoreError.

    Takes about as long as summing up the numbers.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.itemsize < 2:
            raise StoreError(f"{path} holds {name!r} as {tensor.dtype}; save the weights with 16 or 32 bits each.")
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise StoreError(
                f"{path} holds numbers that are not finite (in {name}): the training that wrote it had failed, or the file is "
                "damaged. Choose another checkpoint."
            )


def load_weights(module: nn.Module, path: Path) -> None:
    """Copy a file's tensors into a module of exactly these names, shapes and types, keeping its strides. Raises StoreError."""
    state = read_weights(path)
    own = module.state_dict()
    different = sorted(own.keys() ^ state.keys()) or [
        name for name, tensor in own.items() if (tensor.shape, tensor.dtype) != (state[name].shape, state[name].dtype)
    ]
    if different:
        raise StoreError(
            f"{path} does not fit the network of its model.json ({len(different)} tensors differ in name, shape or type, first "
            f"{different[0]!r}); the files of two models may be mixed: copy the folder again."
        )
    module.load_state_dict(state)


def read_card(folder: Path) -> StoredCard:
    """Read and check a folder's model.json. Raises StoreError."""
    path = folder / CARD
    try:
        check_file(path)
        card = read_json(path)
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing; choose a run, a checkpoint or an exported bundle.") from error
    except ChecksumError as error:
        raise StoreError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged ({error}); copy the folder again.") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if version != FORMAT_VERSION:
        raise StoreError(f"{path} has format_version {version}; this program reads {FORMAT_VERSION}: update it.")
    try:
        return _parse_card(card)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StoreError(f"{path} is incomplete or wrong ({error!r}); copy the folder again.") from error


def load_model(path: Path, which: Model = Model.TEACHER, checkpoint: str = "last") -> LoadedModel:
    """Load a model for inference from a run, a checkpoint, an exported bundle, or a safetensors file in one of them.

    Args:
        which: the teacher, the student, or the student at the end of the source-only steps. A bundle holds one model.
        checkpoint: in a run: "last", "best", or a number of adaptation steps.

    Raises:
        StoreError: something is missing, damaged, or of another program version.
    """
    weights = locate(path, which, checkpoint)
    card = read_card(weights.parent)
    try:
        segmenter = build_empty(card.description, card.space.num_classes, card.normalisation)
    except NetworkError as error:
        raise StoreError(f"{weights.parent / CARD}: {error}") from error
    load_weights(segmenter, weights)
    return LoadedModel(segmenter.eval(), card.space, weights, f"{weights.stem}, {weights.parent.name}")


def locate(path: Path, which: Model = Model.TEACHER, checkpoint: str = "last") -> Path:
    """The weights file that a run, checkpoint, bundle or file stands for. Raises StoreError."""
    if path.suffix == ".safetensors" and not path.is_dir():
        return _existing(path)
    if not path.is_dir():
        raise StoreError(f"{path} is no folder; choose a run, a checkpoint or an exported bundle.")
    if (path / BUNDLE_WEIGHTS).is_file():
        return path / BUNDLE_WEIGHTS
    if not RunFolder.is_run(path):
        return _in_checkpoint(path, which)
    return _in_checkpoint(_choose(RunFolder(path), which, checkpoint), which)


def _choose(run: RunFolder, which: Model, checkpoint: str) -> Path:
    try:
        found = run.checkpoints()
    except (ConfigError, OSError) as error:
        raise StoreError(
            f"{run.path} cannot be read as a run ({error}); choose one of its checkpoint folders."
        ) from error
    if which is Model.SOURCE:
        found = [ref for ref in found if ref.is_source]
    if not found:
        raise StoreError(
            f"{run.path} holds no {'source-only ' if which is Model.SOURCE else ''}checkpoint yet; let it train longer."
        )
    if which is Model.SOURCE or checkpoint == "last":
        return found[-1].path
    names = {ref.path.name: ref.path for ref in found}
    if checkpoint == "best":
        name = str(run.status().get("best_checkpoint") or "")
        if not name:
            raise StoreError(f"{run.path} has no best checkpoint: nothing was measured yet; choose last or a step.")
    else:
        name = run.checkpoint_path(int(checkpoint)).name if checkpoint.isdecimal() else checkpoint
    if name not in names:
        raise StoreError(f"{run.path} has no checkpoint {checkpoint!r}; there are {', '.join(names)}.")
    return names[name]


def _in_checkpoint(folder: Path, which: Model) -> Path:
    match = CHECKPOINT_NAME.match(folder.name)
    is_source = match is not None and match[1] == "source"
    if which is Model.SOURCE and match is not None and not is_source:
        raise StoreError(f"{folder} holds no source-only model; name the run, or its source-… checkpoint.")
    if which is Model.TEACHER and is_source:
        logger.info("%s: the teacher starts as the student's copy, so the student is taken", folder)
        which = Model.STUDENT  # t = 0: φ ← θ
    return _existing(folder / ("teacher.safetensors" if which is Model.TEACHER else "student.safetensors"))


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    raise StoreError(f"{path} is missing; choose a run, a checkpoint or an exported bundle, or copy the folder again.")


def _parse_card(card: dict[str, Any]) -> StoredCard:
    description = NetworkDescription(
        Architecture(card["architecture"]),
        *(str(card[name]) for name in ("encoder", "weights", "code_licence", "weights_licence")),
        hrda=bool(card.get("hrda", False)),  # cards of earlier versions do not say
    )
    palette = tuple((int(r), int(g), int(b)) for r, g, b in card["palette"])
    for name in card["classes"]:
        str(name).encode("utf-8")  # JSON can hold halves of characters, which no file and no window can
    space = LabelSpace(str(card.get("label_space", "model")), tuple(map(str, card["classes"])), palette)
    mean, std = (tuple(float(v) for v in card["normalisation"][name]) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("normalisation needs three values each")
    if not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"normalisation by mean {mean} and std {std} is impossible; std must be above 0")
    return StoredCard(description, space, Normalisation(mean, std), int(card["stride"]))
