"""The exported bundle: one folder with all that another program, or this one elsewhere, needs.

    model.json          architecture, classes, palette, normalisation, stride, licences, versions
    model.safetensors   the weights for this program            (each of the three only if asked for)
    model.onnx          network with everything before and after it, see core.export.portable
    model.pt2           the same for torch.export.load
    parity.json         what was compared, and with what result
    run.toml            the run's configuration, where there is one
    card.html           the model card
    SHA256SUMS          the checksums of all these

It is written into a hidden folder beside its place and renamed when all is done and compared: an interrupted export
leaves the place as it was. An earlier bundle there is replaced whole; any other folder that holds something is refused.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.checksums import SUMS, sum_of_file, to_text
from core.configuration import settings
from core.configuration.config import RunConfig
from core.evaluation.errors import PredictionError
from core.events import Scores
from core.export.card import card_html
from core.export.errors import ExportError, ExportStoppedError
from core.export.parity import LEAST_EQUAL, Parity, Sample, choose_samples, compare
from core.export.pictures import CardPicture, card_pictures
from core.export.portable import (
    Run,
    check_onnx_packages,
    open_onnx,
    open_pt2,
    open_segmenter,
    trace,
    write_onnx,
    write_pt2,
)
from core.files import fsync_folder, now, write_atomic
from core.networks.store import CARD, LoadedModel, StoreError, load_model, model_card, write_weights

__all__ = ["ExportError", "ExportReport", "ExportStoppedError", "Format", "export"]

PARITY = "parity.json"
_PACKAGES = ("masktwins", "torch", "timm", "segmentation-models-pytorch", "numpy", "safetensors", "onnx", "onnxruntime")

logger = logging.getLogger(__name__)


class Format(StrEnum):
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    PT2 = "pt2"


@dataclass(frozen=True)
class ExportReport:
    """A finished bundle."""

    path: Path
    files: tuple[str, ...]
    parity: dict[Format, Parity] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For parity.json and `export --json`."""
        return {
            "path": str(self.path),
            "files": list(self.files),
            "parity": {form.value: asdict(parity) for form, parity in self.parity.items()},
        }


def export(
    model: LoadedModel,
    out: Path,
    formats: Sequence[Format],
    images: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    config: RunConfig | None = None,
    scores: Scores | None = None,
    device: str = "cpu",
    before: LoadedModel | None = None,
) -> ExportReport:
    """Write a bundle; each model file is loaded again and compared with the network before it counts.

    Args:
        images: target images to compare on, a few of which are taken; a generated one where none is given.
        progress: called with (done, total) steps of work.
        config: the configuration of the run, for run.toml.
        scores: the model's scores on labels, for the card.
        device: where the network runs that the files are compared with, and the safetensors file. The other files are
            compared on the CPU.
        before: the run's source-only model, for the pictures in the card.

    Raises:
        ExportStoppedError: cancelled.
        ExportError: a package is missing, a file cannot be written, or it says something else than the network.
    """
    if not formats:
        raise ExportError(f"No format is chosen; choose among {', '.join(Format)}.")
    if Format.ONNX in formats:
        check_onnx_packages()
    _refuse_foreign(out)
    partial = out.with_name(f".{out.name}.partial")
    work = _Work(model, partial, tuple(dict.fromkeys(formats)), device, progress, cancelled)
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of an export that was interrupted
        partial.mkdir(parents=True)
        parity = work.write_and_compare(choose_samples(images))
        work.check_cancelled()
        pictures = card_pictures(model, before, images, device)
        report = _describe(model, partial, out, parity, config, scores, pictures)
        _move(partial, out)
    except PredictionError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"{out} cannot be written ({error}); choose another folder.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    work.step()
    return report


class _Work:
    """Writes and compares the formats one by one, and counts the steps: two per format, one for the rest."""

    def __init__(
        self,
        model: LoadedModel,
        folder: Path,
        formats: tuple[Format, ...],
        device: str,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._model = model
        self._folder = folder
        self._formats = formats
        self._device = device
        self._progress = progress
        self._cancelled = cancelled
        self._done = 0

    def step(self) -> None:
        """Report a finished step."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, 2 * len(self._formats) + 1)

    def write_and_compare(self, samples: Sequence[Sample]) -> dict[Format, Parity]:
        segmenter = self._model.segmenter
        card = {**model_card(segmenter, self._model.space), "title": self._model.title, "versions": versions()}
        write_atomic(self._folder / CARD, json.dumps(card, indent=1, ensure_ascii=False))
        reference = open_segmenter(segmenter, self._device)
        program = trace(segmenter) if set(self._formats) - {Format.SAFETENSORS} else None
        parity = {}
        for form in self._formats:
            self.check_cancelled()
            path = self._folder / f"model.{form.value}"
            match form:
                case Format.SAFETENSORS:
                    candidate = self._write_safetensors(path)
                case Format.ONNX:
                    assert program is not None
                    write_onnx(program, path, self._model.space)
                    candidate = open_onnx(path)
                case Format.PT2:
                    assert program is not None
                    write_pt2(program, path)
                    candidate = open_pt2(path)
            self.step()
            self.check_cancelled()
            parity[form] = compare(reference, candidate, samples, path.name)
            logger.info("%s: %s", path.name, parity[form])
            self.step()
        return parity

    def _write_safetensors(self, path: Path) -> Run:
        try:
            write_weights(self._model.segmenter, path)
            return open_segmenter(load_model(path).segmenter, self._device)
        except StoreError as error:
            raise ExportError(str(error)) from error

    def check_cancelled(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise ExportStoppedError("The export was stopped; nothing was written.")


def versions() -> dict[str, str]:
    """Versions of what made the bundle, as far as it is installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _describe(
    model: LoadedModel,
    partial: Path,
    out: Path,
    parity: dict[Format, Parity],
    config: RunConfig | None,
    scores: Scores | None,
    pictures: Sequence[CardPicture],
) -> ExportReport:
    """Write everything that is not the model itself."""
    if config is not None:
        write_atomic(partial / "run.toml", settings.dumps(config))
    figures = {form.value: result for form, result in parity.items()}
    write_atomic(partial / "card.html", card_html(model, figures, versions(), scores, pictures))
    names = {path.name for path in partial.iterdir()} | {PARITY, SUMS}
    report = ExportReport(out, tuple(sorted(names)), parity)
    content = {"made": now(), "least_equal_pixels": LEAST_EQUAL, "versions": versions(), **report.to_json()}
    del content["path"]  # a bundle is moved about
    write_atomic(partial / PARITY, json.dumps(content, indent=1, ensure_ascii=False))
    write_atomic(partial / SUMS, to_text({path.name: sum_of_file(path) for path in partial.iterdir()}))
    return report


def _refuse_foreign(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportError(f"{out} is a file; choose a folder.")
    if any(out.iterdir()) and not ((out / CARD).is_file() and (out / PARITY).is_file()):
        raise ExportError(f"{out} holds other files and no bundle; choose a new or an empty folder.")


def _move(partial: Path, out: Path) -> None:
    """Put the finished folder in its place; an earlier bundle steps aside first and comes back if that fails."""
    if not out.exists():
        partial.replace(out)
    else:
        aside = out.with_name(f".{out.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        out.replace(aside)
        try:
            partial.replace(out)
        except OSError:
            aside.replace(out)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    fsync_folder(out.parent)
