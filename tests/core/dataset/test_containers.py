"""Hostile and damaged files: no program is started, no wrong pixel is passed on, and nothing takes for ever."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset.containers import MAX_BYTES, MAX_JPEG_SCANS, MAX_SLOW_BYTES
from core.dataset.reading import ReadError, decode_image, decode_label, image_size, read_bytes, read_image
from core.labels import Encoding

RNG = np.random.default_rng(11)
NOISE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(attack) (w) file closefile\nshowpage\n%%EOF\n"


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Programs ------------------------------------------------------------------------------------------


@pytest.fixture
def ghostscript(tmp_path, monkeypatch) -> Path:
    """A stand-in for Ghostscript in PATH that leaves a mark when it is called; the path of the mark."""
    mark, folder = tmp_path / "called", tmp_path / "bin"
    folder.mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\necho called > '{mark}'\n")
    (folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return mark


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize("read", [read_image, image_size, lambda path: decode_label(path, EPS, Encoding.IDS)])
def test_an_image_cannot_start_a_program(tmp_path, ghostscript, read):
    path = tmp_path / "harmless.png"
    path.write_bytes(EPS)
    with pytest.raises(ReadError, match=r"harmless\.png is not an image of a known format"):
        read(path)
    assert not ghostscript.exists()


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_the_check_starts_no_program(tmp_path, ghostscript):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(EPS)
    folders = ["--source-images", "images", "--source-labels", "labels", "--target-images", "images"]
    result = subprocess.run(
        [sys.executable, "-m", "core", "check", *folders],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not ghostscript.exists()


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_the_stand_in_would_be_called_by_a_careless_reader(tmp_path, ghostscript):
    path = tmp_path / "harmless.png"
    path.write_bytes(EPS)
    careless = f"from PIL import Image\nImage.open({str(path)!r}).load()"
    subprocess.run([sys.executable, "-c", careless], capture_output=True, check=False)
    assert ghostscript.exists()


# Damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_a_damaged_png_is_refused(mode):
    """One wrong bit in a label: decoders notice most of it, and give 1 of 10 files another picture without a word."""
    regions = np.kron(RNG.integers(0, 6, (6, 8)), np.ones((30, 40))).astype(np.uint8)
    picture = Image.fromarray(regions > 2 if mode == "1" else regions)
    good = encoded(picture.convert(mode), "PNG")
    for position in RNG.integers(8, len(good), 400):
        bad = bytearray(good)
        bad[position] ^= 1 << RNG.integers(8)
        with pytest.raises(ReadError, match=r"^a is "):
            decode_label(Path("a"), bytes(bad), Encoding.IDS)


def test_the_error_names_the_checksum(tmp_path):
    good = bytearray(encoded(Image.fromarray(NOISE), "PNG"))
    good[good.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ReadError, match=r"x\.png is damaged: its checksums do not fit .* Copy it again"):
        decode_image(Path("x.png"), bytes(good))


def test_what_pixels_do_not_need_may_be_damaged():
    text = b"tEXt" + b"Comment\0hello"
    chunk = len(text[4:]).to_bytes(4) + text + b"\0\0\0\0"
    good = encoded(Image.fromarray(NOISE), "PNG")
    end = good.index(b"IEND") - 4
    np.testing.assert_array_equal(decode_image(Path("a"), good[:end] + chunk + good[end:]), NOISE)


# Time ----------------------------------------------------------------------------------------------


def jpeg_of_many_scans() -> bytes:
    good = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    scan = good[good.rindex(b"\xff\xda") : -2]
    return good[:-2] + scan * MAX_JPEG_SCANS + b"\xff\xd9"


def jpeg_of_much_exif() -> bytes:
    segment = b"\xff\xe1" + (65_535).to_bytes(2) + b"Exif\0\0" + bytes(65_527)
    good = encoded(Image.new("RGB", (64, 64)), "JPEG")
    return good[:2] + segment * 300 + good[2:]


def jpeg_of_many_segments() -> bytes:
    good = encoded(Image.new("RGB", (64, 64)), "JPEG")
    return good[:2] + b"\xff\xe1\x00\x08Exif\0\0" * 400_000 + good[2:]


def jpeg_of_large_exif() -> bytes:
    segment = b"\xff\xe1" + (65_535).to_bytes(2) + b"Exif\0\0" + bytes(65_527)
    good = encoded(Image.new("RGB", (64, 64)), "JPEG")
    return good[:2] + segment * 5 + good[2:]


def gif_of_many_comments() -> bytes:
    good = encoded(Image.new("P", (8, 8)), "GIF")
    start = good.index(b"\x2c", 13 + 3)
    return good[:start] + b"\x21\xfe\x01x\x00" * 1_000_000 + good[start:]


def png_of_many_chunks() -> bytes:
    good = encoded(Image.new("RGB", (8, 8)), "PNG")
    end = good.index(b"IEND") - 4
    empty = bytes(4) + b"teSt" + zlib.crc32(b"teSt").to_bytes(4)
    return good[:end] + empty * 1_100_000 + good[end:]


def tiff_of_overlapping_tags() -> bytes:
    """20,000 tags, each of which claims the same 1 MiB."""
    count = 20_000
    entries = b"".join(struct.pack("<HHII", 40_000 + i, 7, 1 << 20, 8 + 2 + 12 * count + 4) for i in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + bytes(64 << 20)


def tiff_of_many_strips() -> bytes:
    """A column of pixels of which each is a strip of its own."""
    height, start = 3_000_000, 8 + 2 + 12 * 9 + 4
    tags = [
        (256, 4, 1, 1), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, height, start),
        (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, height, start),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(64 << 20)


def ppm_in_words() -> bytes:
    side = 3000
    return f"P2\n{side} {side}\n255\n".encode() + b"7 " * (MAX_SLOW_BYTES // 2 + 1)


@pytest.mark.parametrize(
    "make",
    [
        jpeg_of_many_scans, jpeg_of_much_exif, jpeg_of_many_segments, jpeg_of_large_exif, gif_of_many_comments,
        png_of_many_chunks, tiff_of_overlapping_tags, tiff_of_many_strips, ppm_in_words,
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Tag data larger than file")
def test_no_file_keeps_the_decoder_busy(make: Callable[[], bytes]):
    data = make()
    start = time.perf_counter()
    with pytest.raises(ReadError, match=r"busy\.png holds .* save it as a plain PNG"):
        decode_image(Path("busy.png"), data)
    assert time.perf_counter() - start < 20


def test_usual_progressive_and_small_slow_files_are_read():
    assert decode_image(Path("a"), encoded(Image.fromarray(NOISE), "JPEG", progressive=True)).shape == NOISE.shape
    words = b"P2\n3 1\n255\n1 2 3\n"
    assert decode_label(Path("a"), words, Encoding.IDS).tolist() == [[1, 2, 3]]
    assert decode_label(Path("a"), encoded(Image.fromarray(NOISE[..., 0]), "GIF"), Encoding.IDS).shape == (40, 60)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_named_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ReadError, match=r"pipe\.png cannot be opened: it is not a regular file"):
        read(tmp_path / "pipe.png")


@pytest.mark.parametrize("read", [read_bytes, image_size])
def test_a_huge_file_is_not_read(tmp_path, read):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no room on the disk
    with pytest.raises(ReadError, match=r"huge\.png has 1\.0 GiB; 1 GiB is the limit"):
        read(path)


def test_a_zero_character_in_a_path_is_a_sentence():
    with pytest.raises(ReadError, match="cannot be opened: embedded null"):
        read_image(Path("a\0b.png"))
