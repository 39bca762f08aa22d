"""Decode images and labels: the only place that turns files into pixels.

Images become RGB uint8 (H, W, 3) by these rules, whatever the file holds:

- JPEG's and WebP's EXIF orientation is applied (TIFF's too); labels are never turned.
- 16-bit values keep their high byte (value // 256, so 65535 gives 255), for every file alike: nothing is stretched to an
  image's own range, or else the two cameras' brightness could not be compared.
- Grey is repeated in the three channels, palettes are looked up, CMYK and the like are converted.
- Transparency is dropped: the colours count as they are stored.
- Of several pages or frames the first counts. Floating-point images are refused: they have no fixed range.

Labels are taken as they are stored, and never interpolated: a palette's indices, the single channel, or the colours.
The content decides the format, not the suffix. A file cut short is an error, also where decoders would fill up the rest.

Importable without torch.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.dataset.names import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from core.labels import Encoding, LabelSpace

__all__ = [
    "IMAGE_SUFFIXES", "MAX_PIXELS", "VIDEO_SUFFIXES", "LabelEncodingError", "ReadError", "UnreachableError", "decode_image",
    "decode_label", "encode_label", "image_size", "read_bytes", "read_image", "read_label", "read_label_values",
]  # fmt: skip

MAX_PIXELS = 89_478_485  # Pillow's limit against decompression bombs, about 9,459 × 9,459

_ORIENTATION = 0x0112
_EXIF_FORMATS = ("JPEG", "MPO", "WEBP")
# What Pillow raises over damaged files, found by feeding it some.
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, EOFError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip


class ReadError(Exception):
    """A file that cannot be read as an image or a label. The message names the file, and says what to do."""


class UnreachableError(ReadError):
    """A file that cannot be opened, as on a drive that is away: it may be there again in a moment."""


class LabelEncodingError(ReadError):
    """A label that can be decoded, but holds another kind of pixels than its label space says."""


def read_image(path: Path) -> np.ndarray:
    """Decode an image to RGB, uint8 (H, W, 3), 0..255. Raises ReadError."""
    return decode_image(path, read_bytes(path))


def read_label(path: Path, space: LabelSpace) -> np.ndarray:
    """Decode a label to class ids and IGNORE, uint8 (H, W). Values the space does not know become IGNORE.

    Raises:
        ReadError: the file cannot be read.
        LabelEncodingError: it holds colours where the space expects numbers.
    """
    return encode_label(read_label_values(path, space.encoding), space.table)


def read_label_values(path: Path, encoding: Encoding) -> np.ndarray:
    """Decode a label to the values of its file: see `decode_label`."""
    return decode_label(path, read_bytes(path), encoding)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) that `read_image` gives, from the file's header alone. Raises ReadError."""
    try:
        with path.open("rb") as file, _open(path, file) as image:
            width, height = image.size
            if image.format in _EXIF_FORMATS and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return height, width
    except _BROKEN as error:
        _fail(path, error)


def read_bytes(path: Path) -> bytes:
    """The contents of a file. Raises ReadError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreachableError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if not data:
        raise ReadError(f"{path} is empty (0 bytes); copy it again from its origin.")
    return data


def decode_image(path: Path, data: bytes) -> np.ndarray:
    """Decode a file's contents to RGB, uint8 (H, W, 3). `path` is named in errors. Raises ReadError."""
    try:
        with _open(path, io.BytesIO(data)) as image:
            _check_end(path, image, data)
            if image.format in _EXIF_FORMATS and image.getexif().get(_ORIENTATION, 1) != 1:
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(path, image)
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
        with _open(path, io.BytesIO(data)) as image:
            _check_end(path, image, data)
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


def _open(path: Path, file: Any) -> Image.Image:
    """Read the header; nothing of the pixels is decoded yet."""
    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "too many pixels") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} × {height} pixels")
    return image


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
        raise _cut_short(path) from error
    raise ReadError(f"{path} is damaged: {text or type(error).__name__}. Copy it again from its origin.") from error


def _cut_short(path: Path) -> ReadError:
    return ReadError(f"{path} is cut short (truncated); copy it again from its origin.")


def _check_end(path: Path, image: Image.Image, data: bytes) -> None:
    """Refuse files whose end is missing although decoders would deliver a picture."""
    if image.format == "PNG" and b"IEND" not in data[-4096:] and b"IEND" not in data:
        raise _cut_short(path)
    if image.format in ("JPEG", "MPO") and data.find(b"\xff\xd9", _scan_start(data)) < 0:
        raise _cut_short(path)  # also a file filled up with zeros, as an interrupted copy leaves it


def _scan_start(data: bytes) -> int:
    """Where a JPEG's first scan begins: past its headers, whose thumbnail has an end mark of its own."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return position
        has_length = marker != 0xFF and not 0xD0 <= marker <= 0xD8 and marker != 0x01
        position += 2 + int.from_bytes(data[position + 2 : position + 4]) if has_length else 1 if marker == 0xFF else 2
    return position


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
