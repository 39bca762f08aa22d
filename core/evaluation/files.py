"""Predictions of files: scores against labels, and pictures written to disk.

What is written:

* An image gives one PNG: `output` itself if it ends in .png, else `output/NAME.png`. A folder gives a PNG per image in
  `output`, in the folder structure of the input. A video gives `output/frame_000000.png` …, or a video where `output`
  ends in .mp4, .avi or .mkv (colours and overlays only: a video's compression would change ids).
* A TIFF with several pages gives a TIFF with as many: `output` itself if it ends in .tif, else `output/NAME.tif`.
* ids: grey 8-bit, the value is the class. colours: 8-bit palette, the index is the class. overlay: RGB.
* Every PNG carries a mark of this program. An existing file with the mark is replaced; any other is left alone and
  reported, and so is an image that cannot be read. An existing video is never replaced.
* Of images that share a name and differ in suffix one is taken, as in training (see `core.dataset.folders`).
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.dataset.folders import Severity, scan
from core.dataset.pages import count_pages
from core.dataset.reading import VIDEO_SUFFIXES, ReadError, open_image, read_image
from core.evaluation.predictor import PredictionError
from core.evaluation.scoring import Cancelled, Progress, report
from core.evaluation.stacks import Task, join_stacks, pages_as_tasks
from core.evaluation.video import Video
from core.events import Warned
from core.render import overlay

Palette = Sequence[tuple[int, int, int]]

_MARK = ("Software", "MaskTwins")
_MADE_BY = "MaskTwins model"  # key of the weights' digest and the kind of picture, so that a later call can go on
_CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}

logger = logging.getLogger(__name__)


class Predicts(Protocol):
    """What writes the pictures: `Predictor`, or `Viewer`, which takes care of memory and device."""

    def predict(self, image: np.ndarray) -> np.ndarray: ...


class OutputKind(StrEnum):
    IDS = "ids"
    COLOURS = "colours"
    OVERLAY = "overlay"


@dataclass(frozen=True)
class Predicted:
    """What was written."""

    output: Path
    written: int  # pictures, or frames of a video
    problems: tuple[Warned, ...]  # what was left out, and why
    stopped: bool  # cancelled before the end
    kept: int = 0  # pictures of an earlier call with the same model, which were not made again


# To disk ---------------------------------------------------------------------------------------


def predict_path(
    predictor: Predicts,
    source: Path,
    output: Path,
    kind: OutputKind,
    palette: Palette,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    made_by: str = "",
) -> Predicted:
    """Predict an image, a folder of images or a video file, and write the pictures (see the module's text).

    Args:
        made_by: identifies the weights (`digest_of`). Pictures that an earlier call wrote with them are kept, so that an
            interrupted call can go on; a video that is being written begins again. Empty: everything is made again.

    Raises:
        PredictionError: nothing to predict, or the output cannot be written.
    """
    quiet: tuple[Progress, Cancelled] = (lambda done, total: None), (lambda: False)
    job = _Job(predictor, kind, tuple(palette), progress or quiet[0], cancelled or quiet[1], made_by)
    if source.is_dir():
        tasks, problems = _list_folder(source, output)
        return _joined(job.run(tasks, output, problems), tasks)
    if not source.is_file():
        raise PredictionError(f"{source} does not exist; choose an image, a folder of images or a video.")
    if count_pages(source) > 1:
        tasks = pages_as_tasks(source, output)
        return _joined(job.run(tasks, output, []), tasks)
    if source.suffix.lower() not in VIDEO_SUFFIXES:
        target = output if output.suffix.lower() == ".png" else output / f"{source.stem}.png"
        return job.run([(source, target)], target, [])
    if output.suffix.lower() in _CODECS:
        return job.film(source, output)
    return job.frames(source, output)


def _joined(outcome: Predicted, tasks: Sequence[Task]) -> Predicted:
    """Join the slices of stacks, once all are there."""
    return outcome if outcome.stopped else replace(outcome, problems=(*outcome.problems, *join_stacks(tasks)))


def digest_of(weights: Path) -> str:
    """Digest of a weights file, for `made_by`."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _list_folder(source: Path, output: Path) -> tuple[list[tuple[Path, Path]], list[Warned]]:
    """(image, its PNG) as `scan` lists them, and what it warns of. Earlier outputs inside the folder are no input."""
    there = output.resolve()
    if source.resolve() == there:
        raise PredictionError(f"{output} is the folder of the images; choose another folder for the predictions.")
    found = scan(source)
    if errors := [problem for problem in found.problems if problem.severity is Severity.ERROR]:
        raise PredictionError(errors[0].message)
    tasks = [
        (pair.image, output / f"{pair.name}.png")
        for pair in found.pairs
        if not pair.image.resolve().is_relative_to(there)
    ]
    if not tasks:
        raise PredictionError(f"{source} holds no images; choose a folder with images.")
    return tasks, [Warned(problem.code, problem.message, source) for problem in found.problems]


@dataclass(frozen=True)
class _Job:
    predictor: Predicts
    kind: OutputKind
    palette: tuple[tuple[int, int, int], ...]
    progress: Progress
    cancelled: Cancelled
    made_by: str = ""

    def run(self, tasks: Sequence[tuple[Path, Path]], output: Path, problems: list[Warned]) -> Predicted:
        """Predict images one by one."""
        written = kept = 0
        for done, (image_path, target) in enumerate(tasks, start=1):
            if self.cancelled():
                return Predicted(output, written, tuple(problems), True, kept)
            try:
                if self._is_made(target):
                    kept += 1
                    self.progress(done, len(tasks))
                    continue
                image = read_image(image_path)
            except (ReadError, OSError) as error:
                report(problems.append, Warned("unreadable", f"{error} It is left out.", image_path))
            else:
                written += self._write(image, target, problems)
            self.progress(done, len(tasks))
        return Predicted(output, written, tuple(problems), False, kept)

    def frames(self, source: Path, output: Path) -> Predicted:
        """Predict a video into a folder of PNGs, frame by frame."""
        problems: list[Warned] = []
        written = kept = 0
        with Video(source) as video:
            for index, image in enumerate(video.images()):
                if self.cancelled():
                    return Predicted(output, written, tuple(problems), True, kept)
                target = output / f"frame_{index:06d}.png"
                if self._is_made(target):
                    kept += 1
                else:
                    written += self._write(image, target, problems)
                self.progress(index + 1, max(index + 1, video.length))
        return Predicted(output, written, tuple(problems), False, kept)

    def film(self, source: Path, output: Path) -> Predicted:
        """Predict a video into a video; when cancelled, it holds the frames so far."""
        if self.kind is OutputKind.IDS:
            raise PredictionError("A video cannot hold class ids unchanged; name a folder to write PNGs into.")
        if output.exists():
            raise PredictionError(f"{output} exists; choose another name.")
        beside = output.with_name(f".tmp-{output.name}")
        stopped, done = False, 0
        try:
            with Video(source) as video:
                writer = _writer(beside, output, video)
                try:
                    for image in video.images():
                        if stopped := self.cancelled():
                            break
                        writer.write(cv2.cvtColor(np.asarray(self._picture(image).convert("RGB")), cv2.COLOR_RGB2BGR))
                        done += 1
                        self.progress(done, max(done, video.length))
                finally:
                    writer.release()
            beside.replace(output)
        finally:
            beside.unlink(missing_ok=True)
        return Predicted(output, done, (), stopped)

    @property
    def _maker(self) -> str:
        return f"{self.made_by} {self.kind.value}"

    def _is_made(self, target: Path) -> bool:
        """Whether an earlier call wrote this picture with the same weights."""
        return bool(self.made_by) and _text_of(target).get(_MADE_BY) == self._maker

    def _picture(self, image: np.ndarray) -> Image.Image:
        ids = self.predictor.predict(image)
        match self.kind:
            case OutputKind.IDS:
                return Image.fromarray(ids)
            case OutputKind.COLOURS:
                picture = Image.fromarray(ids)
                picture.putpalette([value for colour in self.palette for value in colour])
                return picture
            case OutputKind.OVERLAY:
                return Image.fromarray(overlay(image, ids, self.palette))

    def _write(self, image: np.ndarray, target: Path, problems: list[Warned]) -> bool:
        """Predict an image and write the PNG, unless something of others stands there. Whether it was written."""
        if target.exists() and not _is_ours(target):
            message = f"{target} was not written by this program and is left as it is; choose another folder."
            report(problems.append, Warned("not_overwritten", message, target))
            return False
        information = PngInfo()
        information.add_text(*_MARK)
        if self.made_by:
            information.add_text(_MADE_BY, self._maker)
        content = io.BytesIO()
        self._picture(image).save(content, "PNG", pnginfo=information)
        beside = target.with_name(f".{target.name}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content.getvalue())
            beside.replace(target)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise PredictionError(f"{target} cannot be written ({error}); choose another folder.") from error
        return True


def _is_ours(path: Path) -> bool:
    return _text_of(path).get(_MARK[0]) == _MARK[1]


def _text_of(path: Path) -> dict[str, object]:
    """What a picture says of itself; nothing where it cannot be read."""
    try:
        with path.open("rb") as file, open_image(path, file) as image:
            return {str(key): value for key, value in image.info.items()}
    except (OSError, ReadError, SyntaxError, ValueError):
        return {}


def _writer(beside: Path, output: Path, video: Video) -> cv2.VideoWriter:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PredictionError(f"{output.parent} cannot be made ({error}); choose another folder.") from error
    codec = cv2.VideoWriter.fourcc(*_CODECS[output.suffix.lower()])
    writer = cv2.VideoWriter(str(beside), codec, video.rate, video.size)
    if not writer.isOpened():
        raise PredictionError(f"{output} cannot be written as a video here; name a folder to write PNGs into.")
    return writer
