"""How the program reads each kind of file, and the errors that are its sentences about a bad one."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from core.checksums import SUMS, ChecksumError, read_sums
from core.commands.cli import main
from core.configuration import settings
from core.configuration.config import RunConfig
from core.dataset.choosing import choose
from core.dataset.class_names import NamesError, read_names
from core.dataset.reading import ReadError, image_size, read_image, read_label_values
from core.dataset.walking import File
from core.errors import ConfigError
from core.evaluation.predictor import PredictionError
from core.evaluation.video import Video
from core.labels import Encoding, LabelSpaceError, load_space
from core.networks.foreign import load_into, read_foreign
from core.networks.segmenter import NetworkError
from core.networks.store import StoreError, load_model, read_card, read_weights
from core.runs.folder import RunFolder
from core.training.checkpoint import CheckpointError, load_optimizer, read_state
from masktwins_gui.models.history import read_history
from masktwins_gui.models.runs import list_runs
from tests.core.networks.small import network

SENTENCES = (
    NamesError, ReadError, PredictionError, ConfigError, LabelSpaceError, StoreError, NetworkError, CheckpointError, ChecksumError,
)  # fmt: skip
MOST_FRAMES = 20

# Kind: the file's name, and what reads it. Everything else in its folder is whole.
Read = Callable[[Path], None]


def readers(checkpoint: Path, work: Path) -> dict[str, tuple[str, Read]]:
    """Return the file name and the reader by kind. `checkpoint` is a whole one; `work` is an empty folder."""
    segmenter = network(num_classes=3)
    optimizer = torch.optim.AdamW(segmenter.parameters())

    def in_checkpoint(name: str, read: Callable[[Path], object]) -> Read:
        """Read a folder in which one file is damaged and none has a checksum, which would find all damage."""

        def run(path: Path) -> None:
            folder = work / "checkpoint"
            if not folder.exists():
                shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns(SUMS))
            whole = folder / name
            shutil.copy(path, whole)
            try:
                read(folder)
            finally:
                shutil.copy(checkpoint / name, whole)

        return run

    def load(folder: Path) -> None:
        load_model(folder)
        read_state(folder)

    def evaluate(path: Path) -> None:
        _command(["predict", str(checkpoint), str(path), str(work / "out")])

    return {
        "image": ("image.png", _image),
        "label": ("label.png", _label),
        "video": ("film.mp4", _video),
        "configuration": ("run.toml", _configuration),
        "label space": ("label_space.toml", lambda path: _use_space(path)),
        "model card": ("model.json", in_checkpoint("model.json", read_card)),
        "checkpoint state": ("state.json", in_checkpoint("state.json", read_state)),
        "run status": ("runs/a/status.json", _run),
        "metrics": ("runs/b/metrics.csv", _run),
        "changes": ("runs/c/changes.jsonl", _run),
        "run notes": ("runs/d/notes.json", _run),
        "class names": ("names", _class_names),
        "list": ("list", _list),
        "checksums": (SUMS, lambda path: _checksums(path)),
        "weights": ("weights.safetensors", lambda path: _finite(read_weights(path))),
        "foreign weights": ("a.pth", lambda path: load_into(segmenter, read_foreign(path), "a.pth") and None),
        "optimizer": ("optimizer.safetensors", lambda path: load_optimizer(segmenter, optimizer, path)),
        "model": ("teacher.safetensors", in_checkpoint("teacher.safetensors", load)),
        "command": ("command.png", evaluate),
    }


def _image(path: Path) -> None:
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image_size(path) == image.shape[:2]


def _label(path: Path) -> None:
    for encoding in (Encoding.IDS, Encoding.COLOURS):
        values = read_label_values(path, encoding)
        assert values.dtype in (np.uint8, np.uint16)


def _video(path: Path) -> None:
    with Video(path) as video:
        for frame in islice(video.images(), MOST_FRAMES):
            assert frame.dtype == np.uint8


def _configuration(path: Path) -> None:
    config = settings.load(path)
    settings.dumps(config)


def _use_space(path: Path) -> None:
    space = load_space(path)
    assert space.table.dtype == np.uint8


def _run(path: Path) -> None:
    """Read what the window and a resume read of a run, with one damaged file in it."""
    run = RunFolder(path.parent)
    if not run.config_path.exists():
        settings.save(RunConfig(), run.config_path)
    run.status()
    run.metrics()
    run.changes()
    run.checkpoints()
    run.config_at(10)
    whole = RunFolder(path.parents[1] / "whole")
    if not whole.config_path.exists():
        whole.create(RunConfig())
    assert whole.path in [run.path for run in list_runs(path.parents[2])]  # its neighbour's damage does not hide it
    read_history(path.parent)


def _checksums(path: Path) -> None:
    read_sums(path.parent)


def _class_names(path: Path) -> None:
    """Read the same contents as each kind of file that holds names; at least one of them may refuse it."""
    refused = 0
    for name in ("labelmap.txt", "classes.txt", "names.csv", "names.json"):
        try:
            read_names(path.replace(path.with_name(name)))
        except NamesError:
            refused += 1
        path = path.with_name(name)
    if refused == 4:
        raise NamesError("none of them")


def _list(path: Path) -> None:
    files = [File("", name, ".png", str(path.with_name(f"{name}.png"))) for name in ("a", "b")]
    for name in ("list.txt", "list.csv"):
        shutil.copy(path, path.with_name(name))
        choose(files, str(path.with_name(name)))


def _finite(tensors: dict[str, torch.Tensor]) -> None:
    assert all(torch.isfinite(tensor.double()).all() for tensor in tensors.values() if tensor.is_floating_point())


def _command(words: list[str]) -> None:
    """Run the command line: it may fail, with a sentence that it foresaw."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        code = main(words)
    assert code in (0, 1), code
    assert "Traceback" not in errors.getvalue(), errors.getvalue()
    assert "please report" not in errors.getvalue(), errors.getvalue()
