"""Look at a file before Pillow decodes it: damage that decoders pass over, and files made to keep a decoder busy for ever.

Every limit here is far above what cameras and annotation tools write. Together with the limit on pixels they bound the time
and the memory that one file can take, whoever wrote it. Importable without torch.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

# Not EPS, which Pillow hands to Ghostscript, a program that runs what the file says; nor the other 34 it knows.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # JPEG opens MPO too, the stereo cameras' JPEG
MAX_BYTES = 1 << 30  # 16-bit RGBA at the limit of pixels takes 0.7 GiB
MAX_HEADER_BYTES = 16 << 20
MAX_HEADER_READS = 10_000
MAX_PNG_CHUNKS = 1_000_000
MAX_JPEG_SCANS = 100  # a progressive file has about 10; each costs a pass over all pixels
MAX_SLOW_BYTES = 16 << 20  # for what Pillow decodes in Python: run-length BMP, PPM written as text

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_ANCILLARY = 0x20  # this bit in a chunk's name says that the picture can be shown without it


class ReadError(Exception):
    """A file that cannot be read as an image or a label. The message names the file, and says what to do."""


class UnreachableError(ReadError):
    """A file that cannot be opened, as on a network drive that does not answer: it may be there again in a moment."""


class LabelEncodingError(ReadError):
    """A label that can be decoded, but holds another kind of pixels than its label space says."""


class HeaderReader:
    """Passes a file on to Pillow; stops a header that never ends. Call `finish` once the header is read."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._reads, self._bytes = 0, 0
        self._in_header = True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._in_header:
            self._reads += 1
            self._bytes += len(data) if size >= 0 else 0  # WebP's whole file is handed over at once
            if self._reads > MAX_HEADER_READS or self._bytes > MAX_HEADER_BYTES:
                raise too_complex(self._path, "more metadata than any camera writes")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def finish(self) -> None:
        """Lift the limits: what is read from now on are pixels, which are counted otherwise."""
        self._in_header = False


def check_container(path: Path, data: bytes) -> None:
    """Check what can be checked without decoding a pixel: a PNG's checksums and end, a JPEG's scans and end.

    Reading a PNG's checksums takes 1 ms for 6 MB, 1 to 7 % of the time of decoding it.

    Raises:
        ReadError: the file is damaged, cut short, or made to take for ever.
    """
    if data.startswith(_PNG):
        _check_png(path, data)
    elif data.startswith(_JPEG):
        _check_jpeg(path, data)


def _check_png(path: Path, data: bytes) -> None:
    """Compare the checksum of every chunk that the pixels need. Pillow does not for the pixels themselves."""
    view, position = memoryview(data), len(_PNG)
    for _ in range(MAX_PNG_CHUNKS):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if end > len(data):
            raise cut_short(path)
        kind = data[position + 4 : position + 8]
        if not kind[0] & _ANCILLARY and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ReadError(
                f"{path} is damaged: its checksums do not fit its contents, so the pixels would be wrong. "
                "Copy it again from its origin."
            )
        if kind == b"IEND":
            return
        position = end
    raise too_complex(path, f"more than {MAX_PNG_CHUNKS:,} chunks")


def _check_jpeg(path: Path, data: bytes) -> None:
    start = _first_scan(path, data)
    if data.find(b"\xff\xd9", start) < 0:
        raise cut_short(path)  # also a file filled up with zeros, as an interrupted copy leaves it
    if data.count(b"\xff\xda", start) > MAX_JPEG_SCANS:
        raise too_complex(path, f"more than {MAX_JPEG_SCANS} scans")


def _first_scan(path: Path, data: bytes) -> int:
    """Where a JPEG's first scan begins: past its headers, whose thumbnail has an end mark of its own."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if position > MAX_HEADER_BYTES:
            raise too_complex(path, "more metadata than any camera writes")
        marker = data[position + 1]
        if marker == 0xDA:
            return position
        has_length = marker != 0xFF and not 0xD0 <= marker <= 0xD8 and marker != 0x01
        position += 2 + int.from_bytes(data[position + 2 : position + 4]) if has_length else 1 if marker == 0xFF else 2
    return position


def cut_short(path: Path) -> ReadError:
    return ReadError(f"{path} is cut short (truncated); copy it again from its origin.")


def too_complex(path: Path, what: str) -> ReadError:
    return ReadError(f"{path} holds {what}, and is not read. Open it in an image editor and save it as a plain PNG.")
