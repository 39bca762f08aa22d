"""Stacks: TIFF files with several pages are folders of slices; other files with several frames are refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset.pages import count_pages, file_of, page_path, split_page
from core.dataset.reading import ReadError, decode_image, image_size, read_image, read_label
from core.labels import LabelSpace, default_palette

SPACE = LabelSpace("x", ("a", "b", "c"), default_palette(3))


def stack(path: Path, *pages: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, "TIFF", save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_each_page_is_an_image_of_its_own(tmp_path, kind, options):
    pages = [np.full((4, 6), 256 * i if kind is np.uint16 else i, kind) for i in range(3)]
    path = stack(tmp_path / "s.tif", *pages, **options)
    assert count_pages(path) == 3
    assert [read_image(page_path(path, i))[0, 0, 0] for i in range(3)] == [0, 1, 2]
    assert image_size(page_path(path, 2)) == (4, 6)


def test_pages_of_labels_keep_their_values(tmp_path):
    path = stack(tmp_path / "s.tif", *[np.full((4, 6), i, np.uint8) for i in range(3)])
    assert read_label(page_path(path, 2), SPACE).tolist() == [[2] * 6] * 4


def test_palette_pages_keep_their_indices(tmp_path):
    pages = [Image.fromarray(np.full((4, 6), i, np.uint8), "P") for i in range(2)]
    for page in pages:
        page.putpalette([9, 9, 9, 200, 0, 0])
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    assert read_label(page_path(tmp_path / "p.tif", 1), SPACE).max() == 1


def test_a_stack_is_never_read_as_its_first_page(tmp_path):
    path = stack(tmp_path / "s.tif", *[np.zeros((4, 6), np.uint8)] * 3)
    with pytest.raises(ReadError, match=r"stack of 3 pages; name one .*0000\.tif"):
        read_image(path)
    with pytest.raises(ReadError, match="has 3 pages"):
        read_image(page_path(path, 3))


def test_a_file_with_one_page_is_an_ordinary_image(tmp_path):
    path = stack(tmp_path / "s.tif", np.full((4, 6), 7, np.uint8))
    assert count_pages(path) == 1
    assert read_image(path)[0, 0, 0] == 7


def test_thumbnails_are_no_pages(tmp_path):
    full, small = Image.fromarray(np.full((40, 60), 7, np.uint8)), Image.fromarray(np.zeros((4, 6), np.uint8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    path = tmp_path / "s.tif"
    full.save(path, save_all=True, append_images=[small])
    if count_pages(path) != 1:  # how Pillow is told of a page's own tags differs
        pytest.fail("the reduced page was counted")
    assert read_image(path).shape == (40, 60, 3)


def test_paths_of_pages(tmp_path):
    path = stack(tmp_path / "s.tif", *[np.zeros((4, 6), np.uint8)] * 2)
    assert page_path(path, 1) == tmp_path / "s.tif/0001.tif"
    assert split_page(tmp_path / "s.tif/0001.tif") == (path, 1)
    assert file_of(page_path(path, 1)) == path
    assert split_page(path) is None
    (tmp_path / "folder.tif").mkdir()
    assert split_page(tmp_path / "folder.tif/0001.tif") is None


@pytest.mark.parametrize("damage", [8, 40, 200])
def test_damaged_stacks_end(tmp_path, damage):
    path = stack(tmp_path / "s.tif", *[np.zeros((4, 6), np.uint8)] * 3)
    path.write_bytes(path.read_bytes()[:damage])
    assert count_pages(path) >= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animated_files_are_refused_by_name(kind):
    frames = [Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)) for i in range(3)]
    content = io.BytesIO()
    frames[0].save(content, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ReadError, match=r"film\.png is animated \(3 frames"):
        decode_image(Path("film.png"), content.getvalue())
