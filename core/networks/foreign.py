"""Weights files of many origins, matched to a network by the names and shapes of their tensors.

Known are the names of this program, segmentation-models-pytorch, timm, a bare encoder (`mit_b5.pth` among them), and the
released code of DAFormer, HRDA, MIC and MaskTwins (mmsegmentation's: `backbone.*`, `decode_head.*`; HRDA's
`decode_head.head.*` and `decode_head.scale_attention.*`), SegFormer's head among them. A training state that holds student
and teacher gives the teacher.
"""

from __future__ import annotations

import logging
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from segmentation_models_pytorch.encoders.mix_transformer import mix_transformer_encoders
from torch import Tensor

from core.networks.segmenter import NetworkError, Segmenter
from core.networks.store import StoreError, check_finite, read_weights

__all__ = ["MatchReport", "load_into", "read_foreign", "released_name"]

_TEACHERS = ("ema_model.", "teacher.", "module.ema_model.", "module.teacher.")  # preferred where both are there
_STUDENTS = ("", "module.", "model.", "student.", "module.model.", "module.student.")
_TEACHER_CONTAINERS = ("teacher", "ema_model", "model_ema", "state_dict_ema")
_CONTAINERS = ("state_dict", "model_state_dict", "model", "student", "network", "net")
_PRETRAINED = "imnet_model."  # DAFormer's frozen encoder for the feature distance
MAX_PICKLE_BYTES = 64 << 20  # of a .pth: names and shapes, without the numbers
MAX_TENSORS = 100_000
MAX_DEPTH = 4  # dictionaries within dictionaries
# What torch.load raises over damaged files.
_UNREADABLE = (
    OSError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError,
    ImportError, MemoryError, BufferError, struct.error, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip
_STAGE = re.compile(r"\bstages\.(\d+)\.")

logger = logging.getLogger(__name__)


class _Part(StrEnum):
    ENCODER = "encoder"
    DECODER = "decoder"
    CLASSIFIER = "classifier"
    ATTENTION = "scale attention"
    ATTENTION_CLASSIFIER = "scale attention's classifier"


@dataclass(frozen=True)
class MatchReport:
    """What of a file has gone into a network."""

    origin: str
    taken: tuple[str, ...]  # the network's tensors that come from the file
    missing: tuple[str, ...]  # the network's tensors that start new
    left_over: tuple[str, ...]  # the file's tensors that are not used
    reshaped: tuple[str, ...]  # a sentence for each tensor that has another shape in the file
    notes: tuple[str, ...]  # what the user should know, one sentence each

    def summary(self) -> str:
        """The report in words."""
        parts = [f"{len(self.taken)} of {len(self.taken) + len(self.missing)} tensors come from {self.origin}."]
        parts += self.notes
        if self.missing:
            parts.append(f"These start new: {_listed(self.missing)}.")
        if self.left_over:
            parts.append(f"The file's other {len(self.left_over)} tensors are not used: {_listed(self.left_over)}.")
        return " ".join([*parts, *self.reshaped])


# Reading ---------------------------------------------------------------------------------------


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a .pth/.pt file read with weights_only=True alone.

    Where the file keeps a teacher apart from other weights, its tensors' names start with `teacher.`.

    Raises:
        NetworkError: the file is missing, damaged, or holds more, or other things, than plain weights.
    """
    try:
        if path.suffix == ".safetensors":
            return read_weights(path)
        tensors = _tensors(_read_pickle(path))
        if not tensors:
            raise NetworkError(f"{path} holds no weights by name; save the state_dict of a network.")
        _check_plain(tensors, path)
        check_finite(tensors, path)
    except StoreError as error:
        raise NetworkError(str(error)) from error
    return tensors


def _read_pickle(path: Path) -> Any:
    """What a .pth file holds; nothing but weights and what they are listed in. Raises NetworkError."""
    try:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise NetworkError(f"The weights file {path} does not exist; correct network.weights.") from error
    except _UNREADABLE as error:
        raise NetworkError(
            f"{path} cannot be read as plain weights, or holds code, which is never run; "
            "save its state_dict alone, best as safetensors."
        ) from error


def _check_archive(path: Path) -> None:
    """Refuse what would take memory beyond the file's size, or time without end. Raises ValueError, OSError."""
    if not path.is_file() and path.exists():
        raise ValueError("it is not an ordinary file")
    if not zipfile.is_zipfile(path):
        return  # written before torch 1.6: one pickle, without compression
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:  # torch.save never compresses
                raise ValueError("it is compressed")
            if entry.filename.endswith(".pkl") and entry.file_size > MAX_PICKLE_BYTES:
                raise ValueError("its list of tensors is too long")


def _tensors(content: Any, depth: int = 0) -> dict[str, Tensor]:
    """Named tensors at the top, or in the dictionaries in which training programs wrap them."""
    if not isinstance(content, dict) or depth > MAX_DEPTH:
        return {}
    inside: dict[str, Tensor] = {}
    for names, prefix in ((_CONTAINERS, ""), (_TEACHER_CONTAINERS, "teacher.")):
        if container := next((name for name in names if isinstance(content.get(name), dict)), ""):
            found = _tensors(content[container], depth + 1)
            inside |= {prefix + name: tensor for name, tensor in found.items()}
    return inside or {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}


def _check_plain(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors without plain numbers in memory, and more of them than any network has. Raises NetworkError."""
    if len(tensors) > MAX_TENSORS:
        raise NetworkError(f"{path} holds {len(tensors):,} tensors; {MAX_TENSORS:,} are the limit. Is it a network?")
    for name, tensor in tensors.items():
        if tensor.is_quantized or tensor.is_nested or tensor.is_meta or tensor.layout is not torch.strided:
            kind = "quantised" if tensor.is_quantized else "empty (meta)" if tensor.is_meta else "sparse or nested"
            raise NetworkError(
                f"{path} holds {name!r} as a {kind} tensor; save the weights as plain floating-point numbers, "
                "best as safetensors."
            )


# Matching --------------------------------------------------------------------------------------


def load_into(segmenter: Segmenter, state: Mapping[str, Tensor], origin: str) -> MatchReport:
    """Copy the tensors of a file into a network as far as they fit, and say what did not.

    The encoder must be there whole. The decoder, and HRDA's scale attention, are taken whole or not at all; a classifier
    for another number of classes stays as it was made.

    Args:
        origin: the file's name, for sentences.

    Raises:
        NetworkError: the encoder's weights are not in the file.
    """
    own = segmenter.state_dict()
    wrapper, names = max(_candidates(state), key=lambda candidate: _num_fitting(candidate[1], state, own))
    fitting = _fitting(names, state, own)
    missing = [name for name in own if name not in fitting and not _is_counter(name)]
    lost = {_part(name) for name in missing}
    if _Part.ENCODER in lost:
        absent = [name for name in missing if _part(name) is _Part.ENCODER]
        raise NetworkError(_other_encoder(segmenter, absent, {*names}, state, origin))
    notes = [*_choices(wrapper, names, state, origin), *_remarks(segmenter, lost, names, origin)]
    dropped = _dropped(lost)
    fitting = {name: tensor for name, tensor in fitting.items() if _part(name) not in dropped}
    segmenter.load_state_dict(fitting, strict=False)
    report = MatchReport(
        origin,
        taken=tuple(fitting),
        missing=tuple(name for name in own if name not in fitting and not _is_counter(name)),
        left_over=tuple(sorted({*state} - {names[name] for name in fitting})),
        reshaped=tuple(_reshaped(names, state, own, fitting)),
        notes=tuple(notes),
    )
    for note in notes:
        logger.warning("%s", note)
    logger.info("%s", report.summary())
    return report


def _candidates(state: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, str]]]:
    """For each wrapper and each origin known: the wrapper, and this program's names with those of the file."""
    rules: tuple[Callable[[str], str], ...] = (
        lambda name: name,
        released_name,
        _segformer_name,
        _smp_name,
        lambda name: f"encoder.{name}",
        lambda name: f"encoder.model.{name}",
        lambda name: re.sub(r"^backbone\.", "encoder.model.", name),
        lambda name: _STAGE.sub(r"stages_\1.", f"encoder.model.{name}"),
    )
    for wrapper in (*_TEACHERS, *_STUDENTS):
        inner = [name for name in state if name.startswith(wrapper)]
        for rule in rules:
            yield wrapper, {rule(name.removeprefix(wrapper)): name for name in inner}


def released_name(name: str) -> str:
    """This program's name of a tensor of the released DAFormer, HRDA, MIC or MaskTwins networks."""
    name = re.sub(r"^backbone\.", "encoder.", name)
    name = re.sub(r"^decode_head\.scale_attention\.conv_seg\.", "scale_attention.classifier.", name)
    name = re.sub(r"^decode_head\.scale_attention\.", "scale_attention.", name)
    name = re.sub(r"^decode_head\.(head\.)?conv_seg\.", "head.classifier.", name)
    return re.sub(r"^decode_head\.(head\.)?", "head.decoder.", name)


def _segformer_name(name: str) -> str:
    """Of a tensor of the released SegFormer, whose head embeds and joins the deepest stage first."""
    name = re.sub(r"^backbone\.", "encoder.", name)
    name = re.sub(
        r"^decode_head\.linear_c([1-4])\.proj\.",
        lambda match: f"head.decoder.mlp_stage.{4 - int(match[1])}.linear.",
        name,
    )
    name = re.sub(r"^decode_head\.linear_fuse\.conv\.", "head.decoder.fuse_stage.0.", name)
    name = re.sub(r"^decode_head\.linear_fuse\.bn\.", "head.decoder.fuse_stage.1.", name)
    return re.sub(r"^decode_head\.linear_pred\.", "head.classifier.", name)


def _smp_name(name: str) -> str:
    name = re.sub(r"^segmentation_head\.0\.", "head.classifier.", name)
    return re.sub(r"^decoder\.", "head.decoder.", name)


def _fitting(names: Mapping[str, str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    shaped = {name: _fitted(state[theirs], own[name]) for name, theirs in names.items() if name in own}
    return {name: tensor for name, tensor in shaped.items() if tensor is not None}


def _num_fitting(names: Mapping[str, str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> int:
    return len(_fitting(names, state, own))


def _fitted(tensor: Tensor, own: Tensor) -> Tensor | None:
    """The tensor if it has the shape and kind of ours; a Linear's weight is a 1×1 convolution's with two sides of 1 less."""
    if tensor.is_floating_point() != own.is_floating_point() or tensor.is_complex():
        return None
    theirs, shape = tuple(tensor.shape), own.shape
    if theirs == tuple(shape):
        return tensor
    return tensor.reshape(shape) if (*theirs, 1, 1) == tuple(shape) or theirs == (*shape, 1, 1) else None


def _part(name: str) -> _Part:
    for prefix, part in (
        ("encoder.", _Part.ENCODER),
        ("scale_attention.classifier.", _Part.ATTENTION_CLASSIFIER),
        ("scale_attention.", _Part.ATTENTION),
        ("head.classifier.", _Part.CLASSIFIER),
    ):
        if name.startswith(prefix):
            return part
    return _Part.DECODER


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")  # old files lack it, and nothing depends on it


def _dropped(lost: set[_Part]) -> set[_Part]:
    """Parts that are not taken, not even what fits of them: what follows a part that is not there is of no use."""
    if _Part.DECODER in lost:
        return {*_Part} - {_Part.ENCODER}
    if _Part.ATTENTION in lost:
        lost = lost | {_Part.ATTENTION_CLASSIFIER}
    return lost


# In words --------------------------------------------------------------------------------------


def _choices(wrapper: str, names: Mapping[str, str], state: Mapping[str, Tensor], origin: str) -> Iterator[str]:
    """What the file holds besides."""
    inner = [name.removeprefix(wrapper) for name in names.values()]
    if wrapper in _TEACHERS and any(other + name in state for other in _STUDENTS for name in inner):
        yield f"{origin} holds a student and a teacher; the teacher is taken."
    if any(name.startswith(_PRETRAINED) for name in state):
        yield (
            f"{origin} also holds the frozen pretrained encoder of the feature distance (imnet_model); it is not needed "
            "and left out."
        )


def _remarks(segmenter: Segmenter, lost: set[_Part], names: Mapping[str, str], origin: str) -> Iterator[str]:
    """What of the network starts new."""
    if _Part.DECODER in lost:
        yield f"{origin} holds no decoder of this architecture: only the encoder is taken, the head starts new."
        return
    if _Part.CLASSIFIER in lost:
        yield (
            f"{origin} was made for other classes than these {segmenter.num_classes}: its encoder and decoder are taken, "
            "the classifier starts new."
        )
    if _Part.ATTENTION in lost:
        yield f"{origin} holds no scale attention of HRDA's: that starts new."
    elif _Part.ATTENTION_CLASSIFIER in lost and _Part.CLASSIFIER not in lost:
        yield f"{origin} holds a scale attention for other classes: its classifier starts new."
    if any(name.startswith("scale_attention.") for name in names) and not hasattr(segmenter, "scale_attention"):
        yield f"{origin} was made with HRDA: its scale attention is left out; set network.hrda to true to take it."


def _reshaped(
    names: Mapping[str, str], state: Mapping[str, Tensor], own: Mapping[str, Tensor], taken: Mapping[str, Tensor]
) -> Iterator[str]:
    for name, theirs in names.items():
        if name in own and own[name].shape != state[theirs].shape:
            done = "the same values are taken" if name in taken else "it starts new"
            yield f"{theirs} is {tuple(state[theirs].shape)} in the file and {tuple(own[name].shape)} here: {done}."


def _other_encoder(
    segmenter: Segmenter, absent: list[str], names: set[str], state: Mapping[str, Tensor], origin: str
) -> str:
    found = _mit_of(state)
    remedy = f"set network.encoder to {found}" if found else "set network.encoder to the encoder of that file"
    return (
        f"{origin} does not hold the weights of {segmenter.description.encoder!r} ({len(absent)} tensors missing, "
        f"first {absent[0]!r}); {remedy}."
    )


def _mit_of(state: Mapping[str, Tensor]) -> str:
    """Which Mix Transformer a file holds, if one."""
    depths = [len({m[1] for name in state if (m := re.search(rf"\bblock{i}\.(\d+)\.", name))}) for i in range(1, 5)]
    width = next((t.shape[0] for name, t in state.items() if name.endswith("patch_embed1.proj.weight") and t.ndim), 0)
    for name, entry in mix_transformer_encoders.items():
        if entry["params"]["depths"] == depths and entry["params"]["embed_dims"][0] == width:
            return name
    return ""


def _listed(names: tuple[str, ...], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
