"""Decode images and labels: the only place that turns files into pixels.

Images become RGB uint8 (H, W, 3) by these rules, whatever the file holds:

- JPEG's and WebP's EXIF orientation is applied (TIFF's too); labels are never turned.
- 16-bit values keep their high byte (value // 256, so 65535 gives 255), for every file alike: nothing is stretched to an
  image's own range, or else the two cameras' brightness could not be compared.
- Grey is repeated in the three channels, palettes are looked up, CMYK and the like are converted.
- Transparency is dropped: the colours count as they are stored.
- A TIFF with several pages is a stack, read page by page (`core.dataset.pages`). Other files with several frames (animated
  PNG, WebP) are refused. Floating-point images are refused: they have no fixed range.

Labels are taken as they are stored, and never interpolated: a palette's indices, the single channel, or the colours.
The content decides the format, not the suffix, among those of `containers.FORMATS`. A file cut short is an error, also where
decoders would fill up the rest, and so is a PNG whose checksums are wrong. Limits on bytes, pixels, headers and passes bound
the time that one file can take.

Importable without torch.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from core.dataset.containers import (
    FORMATS,
    MAX_BYTES,
    MAX_SLOW_BYTES,
    HeaderReader,
    LabelEncodingError,
    ReadError,
    UnreachableError,
    check_container,
    cut_short,
    too_complex,
)
from core.dataset.names import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from core.dataset.pages import full_pages, page_path, split_page
from core.labels import IGNORE, UNKNOWN, Encoding, LabelSpace

__all__ = [
    "IMAGE_SUFFIXES", "MAX_PIXELS", "VIDEO_SUFFIXES", "LabelEncodingError", "ReadError", "UnreachableError", "decode_image",
    "decode_label", "encode_label", "exif_orientation", "image_size", "open_image", "read_bytes", "read_image", "read_label",
    "read_label_and_unknown", "read_label_values",
]  # fmt: skip

MAX_PIXELS = 89_478_485  # Pillow's limit against decompression bombs, about 9,459 × 9,459

_MAX_EXIF_BYTES = 256 << 10
_ORIENTATION = 0x0112
_IMAGEJ_PAGES = re.compile(r"^ImageJ=.*^images=(\d{1,9})", re.DOTALL | re.MULTILINE)
_EXIF_FORMATS = ("JPEG", "MPO", "WEBP")
# What Pillow raises over damaged files, found by feeding it some.
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, EOFError, MemoryError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip


def read_image(path: Path) -> np.ndarray:
    """Decode an image to RGB, uint8 (H, W, 3), 0..255. Raises ReadError."""
    return decode_image(path, read_bytes(path))


def read_label(path: Path, space: LabelSpace) -> np.ndarray:
    """Decode a label to class ids and IGNORE, uint8 (H, W). Values the space does not know become IGNORE.

    Raises:
        ReadError: the file cannot be read.
        LabelEncodingError: it holds colours where the space expects numbers.
    """
    return read_label_and_unknown(path, space)[0]


def read_label_and_unknown(path: Path, space: LabelSpace) -> tuple[np.ndarray, dict[int, int]]:
    """Decode a label as `read_label` does, and count the pixels of each value that the space does not know.

    Returns:
        The ids, uint8 (H, W), and pixels by value: a number, or a colour packed as red << 16 | green << 8 | blue.
    """
    values = read_label_values(path, space.encoding)
    ids = encode_label(values, space.table)
    unknown = ids == UNKNOWN
    if not unknown.any():
        return ids, {}
    ids[unknown] = IGNORE
    found, counts = np.unique((pack(values) if values.ndim == 3 else values)[unknown], return_counts=True)
    return ids, dict(zip(found.tolist(), counts.tolist(), strict=True))


def read_label_values(path: Path, encoding: Encoding) -> np.ndarray:
    """Decode a label to the values of its file: see `decode_label`."""
    return decode_label(path, read_bytes(path), encoding)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) that `read_image` gives, from the file's header alone. Raises ReadError."""
    page = split_page(path)
    try:
        with _open_file(path, page) as file, open_image(path, file) as image:
            if page:
                _turn_to(path, image, page[1], file)
            width, height = image.size
            if _orientation(path, image) in (5, 6, 7, 8):
                width, height = height, width
            return height, width
    except _BROKEN as error:
        _fail(path, error)


def read_bytes(path: Path) -> bytes:
    """The contents of a file; of a page of a stack, those of a TIFF that holds this page alone. Raises ReadError."""
    page = split_page(path)
    if page:
        return _page_bytes(path, *page)
    with _open_file(path) as file:
        data = file.read(MAX_BYTES)
    if not data:
        raise ReadError(f"{path} is empty (0 bytes); copy it again from its origin.")
    return data


def decode_image(path: Path, data: bytes) -> np.ndarray:
    """Decode a file's contents to RGB, uint8 (H, W, 3). `path` is named in errors. Raises ReadError."""
    try:
        check_container(path, data)
        with open_image(path, io.BytesIO(data)) as image:
            _check_speed(path, image, data)
            _refuse_several(path, image)
            if _orientation(path, image) != 1:
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(path, image)
    except _BROKEN as error:
        _fail(path, error)


def exif_orientation(path: Path, data: bytes) -> int:
    """How the camera was held, 1 to 8 as in EXIF, by which `decode_image` turns the pixels; 1: not at all. Raises ReadError."""
    try:
        with open_image(path, io.BytesIO(data)) as image:
            return _orientation(path, image)
    except _BROKEN as error:
        _fail(path, error)


def decode_label(path: Path, data: bytes, encoding: Encoding) -> np.ndarray:
    """Decode a label's contents to the values of its file.

    Returns:
        (H, W) uint8 or uint16 for IDS, PALETTE and BINARY; uint8 (H, W, 3) for COLOURS. One-bit files give 0 and 255.
        Three equal channels count as one.

    Raises:
        ReadError: the contents cannot be decoded.
        LabelEncodingError: there are colours where numbers are expected.
    """
    try:
        check_container(path, data)
        with open_image(path, io.BytesIO(data)) as image:
            _check_speed(path, image, data)
            _refuse_several(path, image)
            if encoding is Encoding.COLOURS:
                return _to_rgb(path, image)
            return _to_values(path, image)
    except _BROKEN as error:
        _fail(path, error)


def encode_label(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Look up a file's values (H, W) in a table (65536,), or its colours (H, W, 3) in one of 2**24: uint8 (H, W)."""
    return table[pack(values)] if values.ndim == 3 else table[values]


def pack(colours: np.ndarray) -> np.ndarray:
    """Pack RGB uint8 (H, W, 3) as red << 16 | green << 8 | blue, uint32 (H, W)."""
    wide = colours.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


# Decoding ------------------------------------------------------------------------------------------


def open_image(path: Path, file: BinaryIO) -> Image.Image:
    """Read the header; nothing of the pixels is decoded yet. Raises ReadError, or what Pillow raises over damaged files."""
    reader = HeaderReader(path, file)
    try:
        image = Image.open(cast(BinaryIO, reader), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "too many pixels") from error
    reader.finish()
    _check_size(path, image)
    return image


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} × {height} pixels")


def _open_file(path: Path, page: tuple[Path, int] | None = None) -> BinaryIO:
    """Open a file, or a page's stack, to read. It is looked at first: a named pipe would wait for a writer, for ever."""
    try:
        if page:
            return page[0].open("rb")  # an ordinary file, of which a page is read
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReadError(f"{path} cannot be opened: it is not a regular file. Replace it by an image.")
        if status.st_size > MAX_BYTES:
            raise ReadError(f"{path} has {status.st_size / 2**30:.1f} GiB; 1 GiB is the limit. Cut it into tiles.")
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero character in the path
        raise UnreachableError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error


def _turn_to(path: Path, image: Image.Image, index: int, file: BinaryIO) -> None:
    """Turn an open stack to one of its pages."""
    file.seek(0)
    pages = full_pages(file)
    if index >= len(pages):
        raise ReadError(f"{path} does not exist: the stack has {len(pages)} pages, counted from 0.")
    image.seek(pages[index])
    _check_size(path, image)


def _page_bytes(path: Path, stack: Path, index: int) -> bytes:
    content = io.BytesIO()
    try:
        with _open_file(path, (stack, index)) as file, open_image(path, file) as image:
            _turn_to(path, image, index, file)
            image.load()
            image.save(content, "TIFF")
    except _BROKEN as error:
        _fail(path, error)
    return content.getvalue()


def _refuse_several(path: Path, image: Image.Image) -> None:
    """Refuse files with more than one picture, of which the first would count in silence."""
    if image.format in ("JPEG", "MPO"):
        return  # the further pictures are previews, or a second lens's
    num = getattr(image, "n_frames", 1)
    if image.format == "TIFF":
        file = getattr(image, "fp", None)
        if num > 1 and file is not None:
            file.seek(0)
            num = len(full_pages(file))
        if num > 1:
            raise ReadError(f"{path} is a stack of {num} pages; name one of them, such as {page_path(path, 0)}.")
        description = str(getattr(image, "tag_v2", {}).get(270, ""))
        if (found := _IMAGEJ_PAGES.search(description)) and int(found[1]) > 1:
            raise ReadError(
                f"{path} is an ImageJ stack of {found[1]} images in one block, which cannot be read here; "
                "save it in ImageJ as an image sequence."
            )
    elif num > 1:
        raise ReadError(
            f"{path} is animated ({num} frames of {image.format}); save its frames as separate images with another program."
        )


def _check_speed(path: Path, image: Image.Image, data: bytes) -> None:
    """Refuse large files that Pillow decodes in Python, at about 10 MB/s."""
    codec = image.tile[0].codec_name if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    if codec in Image.DECODERS and len(data) > MAX_SLOW_BYTES:
        raise too_complex(path, f"{len(data) >> 20} MiB in a form that is slow to decode ({image.format}, {codec})")


def _orientation(path: Path, image: Image.Image) -> int:
    """How the camera was held, 1 to 8 as in EXIF; 1 where the file does not say."""
    if image.format not in _EXIF_FORMATS:
        return 1
    if len(image.info.get("exif", b"")) > _MAX_EXIF_BYTES:
        raise too_complex(path, "more metadata than any camera writes")
    return image.getexif().get(_ORIENTATION, 1)


def _too_large(path: Path, size: str) -> ReadError:
    return ReadError(f"{path} claims {size}; {MAX_PIXELS:,} in all are the limit. Cut it into tiles.")


def _fail(path: Path, error: BaseException) -> NoReturn:
    """Turn a decoder's complaint into a sentence that names the file."""
    if isinstance(error, UnidentifiedImageError):
        raise ReadError(f"{path} is not an image of a known format, whatever its name says.") from error
    if isinstance(error, OSError) and error.filename is not None:
        raise UnreachableError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if isinstance(error, MemoryError):
        raise ReadError(f"{path} does not fit into memory.") from error
    text = str(error)
    if "truncated" in text.lower() or isinstance(error, (EOFError, struct.error)):
        raise cut_short(path) from error
    raise ReadError(f"{path} is damaged: {text or type(error).__name__}. Copy it again from its origin.") from error


def _to_rgb(path: Path, image: Image.Image) -> np.ndarray:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        high = (_sixteen_bits(path, image) >> 8).astype(np.uint8)
        return np.repeat(high[..., None], 3, axis=2)
    if image.mode == "F":
        raise ReadError(f"{path} holds floating-point numbers, whose range is unknown; save it with 8 or 16 bits.")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _to_values(path: Path, image: Image.Image) -> np.ndarray:
    match image.mode:
        case "L" | "P":
            return np.array(image)
        case "1":
            return np.array(image.convert("L"))
        case "LA" | "PA":
            return np.array(image)[..., 0].copy()
        case "I;16" | "I;16B" | "I;16L" | "I;16N" | "I":
            return _sixteen_bits(path, image)
        case "F":
            raise LabelEncodingError(f"{path} holds floating-point numbers; a label holds whole ones.")
        case _:
            return _equal_channels(path, np.array(image.convert("RGB")))


def _equal_channels(path: Path, colours: np.ndarray) -> np.ndarray:
    first = colours[..., 0]
    if not (np.array_equal(first, colours[..., 1]) and np.array_equal(first, colours[..., 2])):
        raise LabelEncodingError(
            f"{path} holds colours where one number per pixel is expected; "
            'set encoding = "colours" in the label space, or save it like the others.'
        )
    return first.copy()


def _sixteen_bits(path: Path, image: Image.Image) -> np.ndarray:
    values = np.array(image)
    if values.dtype != np.uint16:
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise ReadError(f"{path} holds values outside 0 to 65535; save it with 8 or 16 bits.")
        values = values.astype(np.uint16)
    return values
