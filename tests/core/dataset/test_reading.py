"""Decoding: every kind of file by the documented rules, and damaged files named in a ReadError."""

import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.dataset.reading import (
    MAX_PIXELS,
    LabelEncodingError,
    ReadError,
    decode_image,
    decode_label,
    image_size,
    read_image,
    read_label,
)
from core.labels import IGNORE, Encoding, LabelSpace, built_in, default_palette

RNG = np.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (11, 17, 3), dtype=np.uint8)
GREY = PICTURE[..., 0]


def space(num: int = 5, **changes) -> LabelSpace:
    return LabelSpace("x", tuple(f"class {i}" for i in range(num)), default_palette(num), **changes)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth_jpeg(height: int = 40, width: int = 60, **options) -> bytes:
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    return encoded(Image.fromarray(ramp), "JPEG", quality=95, **options)


# Images --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("BMP", ".bmp"), ("TIFF", ".tif"), ("WEBP", ".webp")])
def test_lossless_formats_come_back_exactly(tmp_path, kind, suffix):
    path = tmp_path / f"bild ä 語{suffix}"
    Image.fromarray(PICTURE).save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, PICTURE)
    assert image_size(path) == (11, 17)


def test_jpeg_agrees_with_opencv():
    data = smooth_jpeg()
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(decode_image(Path("a.jpg"), data).astype(int) - expected).max() <= 2


def test_content_counts_not_the_suffix(tmp_path):
    path = tmp_path / "really_png.jpg"
    path.write_bytes(encoded(Image.fromarray(PICTURE), "PNG"))
    np.testing.assert_array_equal(read_image(path), PICTURE)


def test_grey_is_repeated():
    image = decode_image(Path("a.png"), encoded(Image.fromarray(GREY), "PNG"))
    np.testing.assert_array_equal(image, np.dstack([GREY] * 3))


def test_transparency_is_dropped():
    rgba = np.dstack([PICTURE, np.zeros((11, 17), np.uint8)])
    np.testing.assert_array_equal(decode_image(Path("a"), encoded(Image.fromarray(rgba), "PNG")), PICTURE)
    la = np.dstack([GREY, np.zeros((11, 17), np.uint8)])
    image = decode_image(Path("a"), encoded(Image.fromarray(la, "LA"), "PNG"))
    np.testing.assert_array_equal(image[..., 1], GREY)


def test_palette_images_are_looked_up():
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image = decode_image(Path("a"), encoded(palette, "PNG"))
    assert image.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_the_high_byte(suffix, channels):
    values = np.array([[0, 255, 256, 511, 4095, 32768, 65535]], np.uint16)
    data = cv2.imencode(suffix, np.dstack([values] * 3) if channels == 3 else values)[1].tobytes()
    image = decode_image(Path("a"), data)
    assert image[0, :, 0].tolist() == [0, 0, 1, 1, 15, 128, 255]
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_orientation_is_applied(tmp_path, kind, orientation):
    marked = np.zeros((32, 48, 3), np.uint8)
    marked[:16, :16] = 255  # the top left corner as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a"
    path.write_bytes(encoded(Image.fromarray(marked), kind, exif=exif))
    image = read_image(path)
    assert image.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    assert image_size(path) == image.shape[:2]
    corners = {"tl": image[4, 4], "tr": image[4, -5], "br": image[-5, -5], "bl": image[-5, 4]}
    bright = [name for name, colour in corners.items() if colour[0] > 128]
    # Where the stored top left corner is shown, by the EXIF standard.
    assert bright == [["tl", "tr", "br", "bl", "tl", "tr", "br", "bl"][orientation - 1]]


def test_floating_point_is_refused():
    data = encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF")
    with pytest.raises(ReadError, match=r"x\.tif.*floating-point"):
        decode_image(Path("x.tif"), data)


# Damage --------------------------------------------------------------------------------------------


def both_ways(path: Path, data: bytes) -> list[str]:
    """The messages of reading it as an image and as a label."""
    messages = []
    with pytest.raises(ReadError) as caught:
        decode_image(path, data)
    messages.append(str(caught.value))
    with pytest.raises(ReadError) as caught:
        decode_label(path, data, Encoding.COLOURS)
    return [*messages, str(caught.value)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_cut_short(kind, kept):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    for message in both_ways(Path("cut/ä.xyz"), data[: int(len(data) * kept)]):
        assert "cut/ä.xyz" in message


@pytest.mark.parametrize("lost", range(1, 20))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_missing_byte_at_the_end_counts(kind, lost):
    # PNG's last twelve bytes are its end mark: eight of them (length and name) tell that the file is whole.
    if kind == "PNG" and lost <= 4:
        return
    data = encoded(Image.fromarray(PICTURE), kind)
    for message in both_ways(Path("a"), data[:-lost]):
        assert "cut short" in message


def test_a_file_filled_up_with_zeros_is_cut_short():
    data = smooth_jpeg()
    for message in both_ways(Path("a"), data[: len(data) // 2] + bytes(len(data) // 2)):
        assert "cut short" in message


def test_a_thumbnails_end_mark_is_not_the_files():
    thumbnail = smooth_jpeg(8, 8)
    segment = b"Exif\0\0" + b"junk" + thumbnail
    data = smooth_jpeg()
    with_thumbnail = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment + data[2:]
    assert decode_image(Path("a"), with_thumbnail).shape == (40, 60, 3)
    cut = with_thumbnail[: len(with_thumbnail) - len(data) // 2] + bytes(len(data) // 2)
    with pytest.raises(ReadError, match="cut short"):
        decode_image(Path("a"), cut)


def test_what_follows_the_end_does_not_matter():
    tail = b"\xff\xda motion photograph \xff\xd8\xff" + bytes(100)
    assert decode_image(Path("a"), smooth_jpeg() + tail).shape == (40, 60, 3)
    assert decode_image(Path("a"), encoded(Image.fromarray(PICTURE), "PNG") + bytes(10_000)).shape == PICTURE.shape


def test_not_an_image(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    for read in (read_image, image_size, lambda path: read_label(path, space())):
        with pytest.raises(ReadError, match=r"text\.png is not an image"):
            read(tmp_path / "text.png")


def test_empty_missing_and_folder(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ReadError, match=r"empty\.png is empty"):
        read_image(tmp_path / "empty.png")
    for read in (read_image, image_size):
        with pytest.raises(ReadError, match=r"none\.png cannot be opened: No such file"):
            read(tmp_path / "none.png")
        with pytest.raises(ReadError, match="cannot be opened"):
            read(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path):
    path = tmp_path / "shut.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ReadError, match="Permission denied"):
        read_image(path)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to nothing in it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9500, 20_000, 100_000])
def test_decompression_bombs(tmp_path, side):
    assert side * side > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    for read in (read_image, image_size):
        with pytest.raises(ReadError, match=r"bomb\.png claims .* Cut it into tiles"):
            read(path)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["JPEG", "PNG", "BMP", "TIFF", "WEBP"]), st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow on damaged metadata
def test_random_damage_gives_a_picture_or_a_read_error(kind, data):
    good = encoded(Image.fromarray(PICTURE), kind)
    start = data.draw(st.integers(0, len(good) - 1))
    bad = good[:start] + data.draw(st.binary(max_size=12)) + good[start + data.draw(st.integers(0, 12)) :]
    try:
        image = decode_image(Path("some/file"), bad or b"x")
    except ReadError as error:
        assert "some/file" in str(error)
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


# Labels --------------------------------------------------------------------------------------------

IDS = np.array([[0, 1, 2], [3, 4, 255], [9, 1, 1]], np.uint8)
WANTED = np.array([[0, 1, 2], [3, 4, IGNORE], [IGNORE, 1, 1]])


def label_file(tmp_path: Path, image: Image.Image, kind: str = "PNG") -> Path:
    path = tmp_path / "label.png"
    path.write_bytes(encoded(image, kind))
    return path


def test_ids(tmp_path):
    label = read_label(label_file(tmp_path, Image.fromarray(IDS)), space())
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, WANTED)


def test_palette_indices_are_kept(tmp_path):
    image = Image.fromarray(IDS, "P")
    image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    np.testing.assert_array_equal(read_label(label_file(tmp_path, image), space(encoding=Encoding.PALETTE)), WANTED)
    np.testing.assert_array_equal(read_label(label_file(tmp_path, image), space()), WANTED)


def test_equal_channels_count_as_one(tmp_path):
    image = Image.fromarray(np.dstack([IDS] * 3))
    np.testing.assert_array_equal(read_label(label_file(tmp_path, image), space()), WANTED)


def test_colours_among_numbers_are_refused(tmp_path):
    path = label_file(tmp_path, Image.fromarray(PICTURE))
    with pytest.raises(LabelEncodingError, match=r"label\.png holds colours"):
        read_label(path, space())


def test_sixteen_bit_values(tmp_path):
    values = np.array([[7001, 7002, 9]], np.uint16)
    path = label_file(tmp_path, Image.fromarray(values))
    assert read_label(path, space(values={7001: 0, 7002: 4})).tolist() == [[0, 4, IGNORE]]


def test_colours(tmp_path):
    colours = np.array([[[1, 2, 3], [4, 5, 6], [1, 2, 4]]], np.uint8)
    classes = space(2, encoding=Encoding.COLOURS, colours={(1, 2, 3): 1, (4, 5, 6): 0})
    assert read_label(label_file(tmp_path, Image.fromarray(colours)), classes).tolist() == [[1, 0, IGNORE]]


def test_palette_files_can_be_read_as_the_colours_they_show(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([4, 5, 6, 1, 2, 3])
    classes = space(2, encoding=Encoding.COLOURS, colours={(1, 2, 3): 1, (4, 5, 6): 0})
    assert read_label(label_file(tmp_path, image), classes).tolist() == [[0, 1]]


def test_binary(tmp_path):
    masks = np.array([[0, 255, 128]], np.uint8)
    binary = built_in("binary")
    assert read_label(label_file(tmp_path, Image.fromarray(masks)), binary).tolist() == [[0, 1, IGNORE]]
    one_bit = Image.fromarray(masks).convert("1", dither=Image.Dither.NONE)
    assert read_label(label_file(tmp_path, one_bit), binary).tolist()[0][:2] == [0, 1]


def test_labels_are_never_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.webp"
    path.write_bytes(encoded(Image.fromarray(np.dstack([IDS] * 3)), "WEBP", lossless=True, exif=exif))
    np.testing.assert_array_equal(read_label(path, space()), WANTED)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_id_label_comes_back(height, width, seed):
    ids = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    values = decode_label(Path("a"), encoded(Image.fromarray(ids), "PNG"), Encoding.IDS)
    np.testing.assert_array_equal(values, ids)


def test_real_data(camvid):
    folder = camvid / "source"
    image = read_image(folder / "images/0006R0_f00930.jpg")
    label = read_label(folder / "labels/0006R0_f00930.png", built_in("camvid11"))
    assert image.shape == (*label.shape, 3) == (180, 240, 3)
    assert set(np.unique(label)) <= {*range(11), IGNORE}
