"""Convert other people's formats into image folders and a label space; nothing that can be kept is lost.

What the input is, is found from its files: annotations (COCO and LabelMe JSON, CVAT XML), arrays (.npy, .npz), videos, TIFF
stacks, one mask per class, and label images of any kind that is recognised. The output has `images/`, `labels/` and
`label_space.toml`. Without videos, importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from core.conversion.annotations import annotation_files, convert_annotations
from core.conversion.output import ConversionError, Options, Progress, Report, Writer
from core.conversion.rasters import (
    convert_arrays,
    convert_labels,
    convert_one_hot,
    convert_pictures,
    convert_stacks,
    one_hot,
    stack_files,
)
from core.dataset.names import VIDEO_SUFFIXES
from core.dataset.walking import list_files

__all__ = ["ConversionError", "Options", "Report", "convert"]

ARRAY_SUFFIXES = (".npy", ".npz")


def convert(source: Path, output: Path, options: Options, progress: Progress | None = None) -> Report:
    """Convert a file or a folder.

    Raises:
        ConversionError: the input is not understood, or the output cannot be written.
    """
    progress = progress or (lambda done, total: None)
    if not source.exists():
        raise ConversionError(f"{source} does not exist; name a file or a folder.")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ConversionError(f"{output} lies in {source}, which is converted; choose a folder outside.")
    writer = (
        _folder(source, output, options, progress) if source.is_dir() else _files([source], output, options, progress)
    )
    if writer is None:
        raise ConversionError(
            f"{source} holds nothing that can be converted: COCO or LabelMe JSON, CVAT XML, .npy or .npz, a video, a TIFF "
            "stack, masks or label images."
        )
    return writer.report


def _folder(folder: Path, output: Path, options: Options, progress: Progress) -> Writer | None:
    if options.as_stored or options.intensity:
        return convert_pictures(folder, output, options, progress)
    listing = list_files(folder, "images")
    others = sorted(Path(file.path) for file in listing.others)
    images = [Path(file.path) for file in listing.files]
    annotations = list(annotation_files(folder))
    if annotations and (writer := convert_annotations(annotations, output, options, progress)) is not None:
        return writer
    chosen = [path for path in others if path.suffix.lower() in (*ARRAY_SUFFIXES, *VIDEO_SUFFIXES)]
    if chosen and (writer := _files(chosen, output, options, progress)) is not None:
        return writer
    if stacks := stack_files(images):
        return convert_stacks(sorted(stacks), output, progress)
    stems = {file.stem for file in list_files(options.images, "images").files} if options.images else set()
    if (table := one_hot(folder, stems)) is not None:
        return convert_one_hot(table, output, progress)
    return convert_labels(folder, output, progress)


def _files(paths: Sequence[Path], output: Path, options: Options, progress: Progress) -> Writer | None:
    arrays = [path for path in paths if path.suffix.lower() in ARRAY_SUFFIXES]
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    if arrays:
        return convert_arrays(arrays, output, progress)
    if videos:
        return _convert_videos(videos, output, options, progress)
    if stacks := stack_files(paths):
        return convert_stacks(stacks, output, progress)
    annotations = [path for path in paths if path.suffix.lower() in (".json", ".xml")]
    return convert_annotations(annotations, output, options, progress) if annotations else None


def _convert_videos(paths: Sequence[Path], output: Path, options: Options, progress: Progress) -> Writer:
    """Write frames: one per interval, without those that hardly differ from the last one written."""
    from core.evaluation.predictor import PredictionError
    from core.evaluation.video import Video

    writer = Writer(output, "video")
    similar = 0
    for path in paths:
        last: np.ndarray | None = None
        try:
            with Video(path) as video:
                step = max(1, round(options.every * video.rate))
                for index, frame in enumerate(video.images()):
                    progress(index + 1, max(index + 1, video.length))
                    if index % step:
                        continue
                    small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
                    if last is not None and float(np.abs(small - last).mean()) < options.min_change:
                        similar += 1
                        continue
                    last = small
                    name = f"frame_{index:06}" if len(paths) == 1 else f"{path.stem}/frame_{index:06}"
                    writer.image(name, frame)
        except PredictionError as error:
            writer.report.left_out.append(str(error))
    if similar:
        writer.report.notes.append(
            f"{similar} frames hardly differ from the one before and are left out (--min-change {options.min_change:g})."
        )
    return writer
