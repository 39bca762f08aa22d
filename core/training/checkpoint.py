"""Checkpoints: written beside and renamed, pickle-free, and enough for an exact resume.

A folder holds student.safetensors, teacher.safetensors (once there is a teacher), optimizer.safetensors, model.json,
state.json, and the checksums of them all. No loader or generator state is needed: every draw of step t follows from (seed, t).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from core.checksums import SUMS, ChecksumError, check_file, sum_of, to_text
from core.files import fsync_folder, read_json, write_durably
from core.networks.store import read_weights

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class CheckpointError(RuntimeError):
    """Raised for a checkpoint that cannot be written or read. The message names the file."""


@dataclass(frozen=True)
class Snapshot:
    """Hold what a training has reached at a step, and what it needs to continue from there."""

    step: int  # source-only ones included
    source_steps: int
    student: nn.Module
    teacher: nn.Module | None
    optimizer: torch.optim.Optimizer
    card: Mapping[str, Any]  # content of model.json
    state: Mapping[str, Any]  # further content of state.json


def save_checkpoint(
    folder: Path,
    student: nn.Module,
    teacher: nn.Module | None,
    optimizer: torch.optim.Optimizer | None,
    card: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint folder; after a crash at any moment there is the whole of it or nothing.

    Raises:
        CheckpointError: nothing was written (disk full, read-only …); what stood in the folder before still stands.
    """
    beside = folder.with_name(f".{folder.name}.tmp")
    contents: dict[str, Callable[[], bytes]] = {
        "student.safetensors": lambda: to_bytes(_contiguous(student.state_dict())),
        "model.json": lambda: json.dumps(card, indent=1).encode(),
        "state.json": lambda: json.dumps(state, indent=1).encode(),
    }
    if teacher is not None:
        contents["teacher.safetensors"] = lambda: to_bytes(_contiguous(teacher.state_dict()))
    if optimizer is not None:
        contents["optimizer.safetensors"] = lambda: to_bytes(_optimizer_tensors(student, optimizer))
    try:
        shutil.rmtree(beside, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)  # but not its parents: a run folder that was deleted stays deleted
        beside.mkdir()
        sums = {}
        for name, make in contents.items():
            content = make()
            sums[name] = sum_of(content)
            write_durably(beside / name, content)
        write_durably(beside / SUMS, to_text(sums).encode())
        fsync_folder(beside)
        if folder.exists():
            _retire(folder)
        beside.rename(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise CheckpointError(f"The checkpoint {folder} could not be written: {error.strerror or error}.") from error


def _retire(folder: Path) -> None:
    """Delete an older folder of the same name. It is renamed first, so that a partially deleted one never has this name."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def delete_checkpoint(folder: Path) -> None:
    if folder.exists():
        _retire(folder)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, contiguous and each with memory of its own, as safetensors needs them. Waits for the device."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _optimizer_tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for name, parameter in network.named_parameters():
        for moment, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{moment}:{name}"] = value
    return _contiguous(tensors)


def read_state(folder: Path) -> dict[str, Any]:
    path = folder / "state.json"
    try:
        check_file(path)
        state = read_json(path)
    except ChecksumError as error:
        raise CheckpointError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise CheckpointError(f"{path} is not a checkpoint's state.")
    return state


def load_optimizer(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Copy AdamW's state into tensors with the strides of their parameters.

    A fused AdamW reads parameter and moments in memory order: contiguous moments beside a channels-last weight would
    silently give wrong weights.

    Raises:
        CheckpointError: the file belongs to another network. StoreError: it cannot be read.
    """
    tensors = read_weights(path)
    for name, parameter in network.named_parameters():
        if f"step:{name}" not in tensors:
            continue  # the parameter has had no gradient yet
        try:
            stored = {moment: tensors[f"{moment}:{name}"] for moment in MOMENTS}
            _check_moments(stored, parameter)
            optimizer.state[parameter] = {
                "step": stored["step"].to(parameter.device),
                "exp_avg": torch.empty_like(parameter).copy_(stored["exp_avg"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(stored["exp_avg_sq"]),
            }
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} does not belong to this network: {name}: {error}") from error


def _check_moments(stored: Mapping[str, Tensor], parameter: Tensor) -> None:
    """Refuse what `copy_` would convert or repeat without a word. Raises ValueError."""
    for moment, tensor in stored.items():
        shape = torch.Size(()) if moment == "step" else parameter.shape
        if tensor.shape != shape or not tensor.is_floating_point():
            raise ValueError(
                f"{moment} is {tuple(tensor.shape)} of {tensor.dtype}, not {tuple(shape)} of floating point"
            )
