"""Label and image files of other forms: one mask per class, instances, arrays, stacks. Importable without torch."""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from core.conversion.output import IGNORE, ConversionError, Options, Progress, Writer, blank
from core.dataset.folders import scan
from core.dataset.pages import count_pages
from core.dataset.reading import ReadError, decode_label, read_bytes, read_image, read_label, read_label_values
from core.dataset.recognise import resolve_space
from core.dataset.walking import File, list_files
from core.errors import reason
from core.labels import Encoding, LabelSpace, LabelSpaceError

MAX_ARRAY_BYTES = 8 << 30
IMAGE_WORDS = ("image", "img", "images", "x", "rgb", "photo", "data")
LABEL_WORDS = ("label", "labels", "mask", "masks", "y", "gt", "seg", "segmentation", "annotation")

_SPLIT = re.compile(r"[_\-. ]")


# One mask per class --------------------------------------------------------------------------------


def one_hot(folder: Path, image_stems: set[str]) -> dict[str, dict[str, Path]] | None:
    """Files by image and by class, where a folder holds one mask per image and class; else None.

    Args:
        image_stems: names of the images, where they are known: they tell what is an image and what a class.
    """
    files = list_files(folder, "labels").files
    tables = [_by_folder(files, image_stems), *_by_ending(files, image_stems)]
    good = [table for table in tables if table and _is_complete(table)]
    return max(good, key=lambda table: sum(map(len, table.values())), default=None)


def _by_folder(files: Sequence[File], image_stems: set[str]) -> dict[str, dict[str, Path]]:
    """`car/f0.png`, or `f0/car.png`: what there is more of are the images."""
    table: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in files:
        if not file.place:
            return {}
        table[file.stem][file.place.rstrip("/")] = Path(file.path)
    kinds = {kind for row in table.values() for kind in row}
    known = image_stems & table.keys(), image_stems & {kind.rpartition("/")[2] for kind in kinds}
    turned = len(known[1]) > len(known[0]) if image_stems else len(kinds) > len(table)
    if not turned:
        return dict(table)
    exchanged: dict[str, dict[str, Path]] = defaultdict(dict)
    for stem, row in table.items():
        for kind, path in row.items():
            exchanged[kind][stem] = path
    return dict(exchanged)


def _by_ending(files: Sequence[File], image_stems: set[str]) -> Iterator[dict[str, dict[str, Path]]]:
    """`f0_car.png` or `car_f0.png`, split at each of the separators from both ends."""
    for from_end in (True, False):
        table: dict[str, dict[str, Path]] = defaultdict(dict)
        for file in files:
            cuts = [match.start() for match in _SPLIT.finditer(file.stem)]
            splits = [(file.stem[:cut], file.stem[cut + 1 :]) for cut in (reversed(cuts) if from_end else cuts)]
            parts = [(left, right) if from_end else (right, left) for left, right in splits]
            if image_stems:
                parts = [part for part in parts if part[0] in image_stems]
            if parts:
                table[file.place + parts[0][0]][parts[0][1]] = Path(file.path)
        yield dict(table)


def _is_complete(table: Mapping[str, Mapping[str, Path]]) -> bool:
    """Whether most images have most classes: at least two, and fewer than an image could be split into by chance."""
    kinds = {kind for row in table.values() for kind in row}
    filled = sum(map(len, table.values()))
    return 2 <= len(kinds) <= 64 and len(table) >= 1 and filled >= 0.5 * len(kinds) * len(table)


def convert_one_hot(table: Mapping[str, Mapping[str, Path]], output: Path, progress: Progress) -> Writer:
    """Combine the masks of each image."""
    writer = Writer(output, "one mask per class")
    kinds = sorted({kind for row in table.values() for kind in row})
    names = [kind.rpartition("/")[2] for kind in kinds]
    rest = next((i for i, name in enumerate(names) if name.lower() in ("background", "bg")), None)
    offset = 0 if rest is not None else 1
    writer.classes(names if rest is not None else ["background", *names])
    uncovered = IGNORE if rest is not None else 0
    overlap = pixels = 0
    for done, (image, row) in enumerate(sorted(table.items()), start=1):
        masks = {
            i: mask for i, kind in enumerate(kinds) if kind in row and (mask := _mask(row[kind], writer)) is not None
        }
        shapes = {mask.shape for mask in masks.values()}
        if len(shapes) != 1:
            writer.report.left_out.append(f"{image}: its masks differ in size, or none can be read")
            continue
        height, width = shapes.pop()
        label = blank(height, width, uncovered)
        for i, mask in masks.items():
            overlap += int((mask & (label != uncovered)).sum())
            label[mask] = i + offset
        pixels += label.size
        writer.label(image, label)
        progress(done, len(table))
    if overlap:
        writer.report.notes.append(
            f"{100 * overlap / max(1, pixels):.2g} % of the pixels are in more than one mask; the class that comes last in the "
            "alphabet counts there."
        )
    outside = '"no label" (255)' if rest is not None else "the class background"
    writer.report.notes.append(f"What no mask covers is {outside}.")
    return writer


def _mask(path: Path, writer: Writer) -> np.ndarray | None:
    try:
        values = read_label_values(path, Encoding.IDS)
    except ReadError as error:
        writer.report.left_out.append(str(error))
        return None
    return values >= 128 if values.max(initial=0) > 127 else values > 0


# Labels of any kind --------------------------------------------------------------------------------


def convert_labels(folder: Path, output: Path, progress: Progress) -> Writer | None:
    """Write label files of any kind that is understood (instances, colours, palettes) as ids; None where it is not."""
    found = scan(folder)
    files = [pair.image for pair in found.pairs]
    if not files:
        return None
    try:
        recognition = resolve_space("auto", files)
    except LabelSpaceError as error:
        raise ConversionError(str(error)) from error
    space = recognition.space
    writer = Writer(output, "labels")
    writer.space(LabelSpace(output.resolve().name, space.classes, space.palette, uncounted=space.uncounted))
    writer.report.notes.append(recognition.explanation)
    for done, pair in enumerate(found.pairs, start=1):
        try:
            writer.label(pair.name, read_label(pair.image, space))
        except ReadError as error:
            writer.report.left_out.append(str(error))
        progress(done, len(found.pairs))
    return writer


# Arrays --------------------------------------------------------------------------------------------


def convert_arrays(paths: Sequence[Path], output: Path, progress: Progress) -> Writer:
    """Write the arrays of .npy and .npz files. No pickled object is read."""
    writer = Writer(output, "arrays")
    for done, path in enumerate(paths, start=1):
        try:
            for key, array in _arrays(path):
                name, word = (path.stem, path.stem) if not key else (path.stem, key)
                _write_array(writer, name, word.lower(), array)
        except (OSError, ValueError, zipfile.BadZipFile, ConversionError) as error:
            writer.report.left_out.append(f"{path}: {reason(error)}")
        progress(done, len(paths))
    return writer


def _arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.suffix.lower() == ".npy":
        if path.stat().st_size > MAX_ARRAY_BYTES:
            raise ConversionError("it is larger than 8 GiB; divide it")
        yield "", np.load(path, allow_pickle=False, mmap_mode="r")
        return
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > MAX_ARRAY_BYTES:
            raise ConversionError("it unpacks to more than 8 GiB; divide it")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            yield key, arrays[key]


def _write_array(writer: Writer, name: str, word: str, array: np.ndarray) -> None:
    """Write one array: (H, W) and (N, H, W) numbers, (H, W, 3) and (N, H, W, 3) pictures."""
    words = set(_SPLIT.split(word))
    is_image = array.ndim >= 3 and array.shape[-1] == 3 and array.dtype == np.uint8
    is_image |= not words.isdisjoint(IMAGE_WORDS) and words.isdisjoint(LABEL_WORDS)
    slices = array.ndim - (3 if is_image and array.shape[-1] == 3 and array.ndim >= 3 else 2)
    if slices not in (0, 1) or array.dtype.kind not in "bui" or not array.size:
        raise ConversionError(
            f"an array of shape {array.shape} and type {array.dtype} is not clear: expected are whole numbers of shape (H, W) or "
            "(N, H, W), or 8-bit pictures of shape (H, W, 3) or (N, H, W, 3)"
        )
    for i, one in enumerate(array if slices else [array]):
        part = f"{name}/{i:04}" if slices else name
        if is_image:
            writer.image(part, _picture(one))
            continue
        if one.max() > 255 or one.min() < 0:
            raise ConversionError(f"labels with values from {one.min()} to {one.max()} do not fit 0 to 255")
        writer.label(part, np.asarray(one))


def _picture(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.min() < 0 or array.max() > 65_535 or (array.ndim == 3 and array.max() > 255):
        raise ConversionError(f"a picture with values from {array.min()} to {array.max()} does not fit 8 or 16 bits")
    return np.ascontiguousarray(array.astype(np.uint8 if array.max() <= 255 else np.uint16))


# Stacks and pictures -------------------------------------------------------------------------------


def stack_files(paths: Sequence[Path]) -> list[Path]:
    """TIFFs with several pages among the files."""
    return [path for path in paths if path.suffix.lower() in (".tif", ".tiff") and count_pages(path) > 1]


def convert_stacks(paths: Sequence[Path], output: Path, progress: Progress) -> Writer:
    """Write each page as a PNG of 8 or 16 bits, or in colour."""
    from core.dataset.pages import page_path

    writer = Writer(output, "TIFF stacks")
    for done, path in enumerate(paths, start=1):
        for i in range(count_pages(path)):
            page = page_path(path, i)
            try:
                writer.image(f"{path.stem}/{i:04}", _as_stored(page))
            except ReadError as error:
                writer.report.left_out.append(str(error))
        progress(done, len(paths))
    return writer


def _as_stored(path: Path) -> np.ndarray:
    """The pixels as the file stores them: never turned, grey with all its bits. Raises ReadError."""
    data = read_bytes(path)
    try:
        return decode_label(path, data, Encoding.IDS)
    except ReadError:
        return decode_label(path, data, Encoding.COLOURS)


def convert_pictures(folder: Path, output: Path, options: Options, progress: Progress) -> Writer:
    """Write images again: as they are stored, or with their grey levels stretched by percentiles."""
    found = scan(folder)
    if not found.pairs:
        raise ConversionError(found.problems[0].message if found.problems else f"There are no images in {folder}.")
    writer = Writer(output, "images")
    limits = _limits([pair.image for pair in found.pairs]) if options.intensity == "folder" else None
    for done, pair in enumerate(found.pairs, start=1):
        try:
            pixels = _as_stored(pair.image) if options.as_stored or options.intensity else read_image(pair.image)
        except ReadError as error:
            writer.report.left_out.append(str(error))
        else:
            writer.image(pair.name, _stretched(pixels, limits or _percentiles(pixels)) if options.intensity else pixels)
        progress(done, len(found.pairs))
    if limits:
        writer.report.notes.append(f"Grey levels {limits[0]:.0f} to {limits[1]:.0f} became 0 to 255 in every image.")
    return writer


def _percentiles(pixels: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(pixels[::4, ::4], [0.5, 99.5])
    return float(low), float(high)


def _limits(paths: Sequence[Path]) -> tuple[float, float]:
    """Percentiles of a folder: the median over its images of each image's."""
    found = []
    for path in paths:
        try:
            found.append(_percentiles(_as_stored(path)))
        except ReadError:
            continue
    if not found:
        raise ConversionError("None of the images can be read.")
    low, high = np.median(np.array(found), axis=0)
    return float(low), float(high)


def _stretched(pixels: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.clip((pixels.astype(np.float32) - low) * (255 / max(1e-6, high - low)), 0, 255).round().astype(np.uint8)
