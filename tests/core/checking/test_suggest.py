"""Suggested masks: the paper's block where regions are large, a smaller one where they are small, and why in words."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.checking import suggest as module
from core.checking.suggest import MAX_LABELS, suggest, typical_sides
from core.labels import DEFAULT_PALETTE, IGNORE, LabelSpace, built_in

SPACE = LabelSpace("three", ("ground", "sky", "box"), DEFAULT_PALETTE[:3])


def save(path: Path, label: np.ndarray) -> Path:
    Image.fromarray(label).save(path)
    return path


def boxes(side: int, hw: tuple[int, int] = (512, 512), value: int = 1, every: int = 64) -> np.ndarray:
    """Boxes of value on 0, `every` pixels apart."""
    label = np.zeros(hw, np.uint8)
    for y in range(0, hw[0] - side, every):
        for x in range(0, hw[1] - side, every):
            label[y : y + side, x : x + side] = value
    return label


def test_large_regions_get_the_papers_block(tmp_path):
    label = np.zeros((512, 512), np.uint8)
    label[:200] = 1
    label[300:420, 100:220] = 2
    found = suggest([save(tmp_path / "a.png", label)], SPACE, (512, 512))
    assert (found.block_size, found.ratio) == (32, 0.5)
    assert "1/16 of the crop's 512 px" in found.reason
    assert "76.7" in found.reason
    assert "Measured on 1 of 1 labels." in found.reason


def test_sides_known_answer(tmp_path):
    label = boxes(20, value=2)
    label[:1] = 1  # a line of 512 pixels
    label[0, 0] = IGNORE
    sides, num_read = typical_sides([save(tmp_path / "a.png", label)], SPACE, (512, 512))
    assert num_read == 1
    assert sides["box"] == pytest.approx(20)
    assert sides["sky"] == pytest.approx(511**0.5)


def test_the_typical_region_is_where_the_typical_pixel_lies(tmp_path):
    label = np.zeros((128, 128), np.uint8)
    label[::4, ::4] = 2  # a thousand specks of one pixel
    label[40:90, 40:90] = 2  # and one object with 2500
    sides, _ = typical_sides([save(tmp_path / "a.png", label)], SPACE, (128, 128))
    assert sides["box"] == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize(("side", "block"), [(60, 28), (40, 20), (30, 12), (17, 8), (9, 8)])
def test_microscopy_with_small_things_gets_a_smaller_block(tmp_path, side, block):
    """0 and 255: the foreground decides, however large the background is."""
    label = boxes(side, value=255, every=80)
    found = suggest([save(tmp_path / "a.png", label)], built_in("binary"), (512, 512))
    assert found.block_size == block
    assert f"only {side} px" in found.reason
    assert "would be 32" in found.reason
    assert ("no task" in found.reason) == (block > side / 2)


def test_sixteen_bit_labels(tmp_path):
    label = boxes(40).astype(np.uint16) * 1000
    space = LabelSpace("deep", ("ground", "cell"), DEFAULT_PALETTE[:2], values={0: 0, 1000: 1})
    assert suggest([save(tmp_path / "a.png", label)], space, (512, 512)).block_size == 20


def test_most_classes_decide_and_not_the_smallest(tmp_path):
    label = np.zeros((512, 512), np.uint8)
    label[:200] = 1
    label[300:310, ::20] = 2  # thin things, one class of three
    assert suggest([save(tmp_path / "a.png", label)], SPACE, (512, 512)).block_size == 32


def test_regions_are_measured_in_pixels_of_the_crop(tmp_path):
    """Labels smaller than the crop are enlarged in training; large ones are measured on a reduced copy."""
    small = save(tmp_path / "small.png", boxes(10, (128, 128), value=2, every=20))
    assert typical_sides([small], SPACE, (512, 512))[0]["box"] == pytest.approx(40)
    large = save(tmp_path / "large.png", boxes(60, (1800, 3000), value=2, every=100))
    assert typical_sides([large], SPACE, (512, 512))[0]["box"] == pytest.approx(60, rel=0.05)


def test_a_region_is_no_larger_than_the_crop(tmp_path):
    label = save(tmp_path / "a.png", np.zeros((700, 700), np.uint8))
    assert typical_sides([label], SPACE, (64, 128))[0]["ground"] == pytest.approx((64 * 128) ** 0.5)


@pytest.mark.parametrize(("crop", "block"), [((1024, 1024), 64), ((512, 1024), 32), ((100, 100), 8), ((16, 16), 4)])
def test_the_block_follows_the_crop(tmp_path, crop, block):
    label = save(tmp_path / "a.png", np.zeros((2000, 2000), np.uint8))
    assert suggest([label], SPACE, crop).block_size == block


def test_tiny_things_in_a_small_crop_are_admitted(tmp_path):
    label = boxes(4, (128, 128), value=255, every=16)
    found = suggest([save(tmp_path / "a.png", label)], built_in("binary"), (128, 128))
    assert found.block_size == 8
    assert "may hide whole objects" in found.reason


def test_unreadable_labels_are_passed_over(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    good = save(tmp_path / "good.png", boxes(40, value=2))
    assert suggest([tmp_path / "bad.png", good], SPACE, (512, 512)).reason.endswith("1 of 2 labels.")
    found = suggest([tmp_path / "bad.png"], SPACE, (512, 512))
    assert found.block_size == 32
    assert "no label could be read" in found.reason
    assert suggest([], SPACE, (512, 512)) == found


def test_labels_without_a_class_say_nothing_of_sizes(tmp_path):
    label = save(tmp_path / "a.png", np.full((64, 64), IGNORE, np.uint8))
    assert suggest([label], SPACE, (64, 64)).block_size == 4


def test_only_a_sample_is_read(monkeypatch):
    read = []
    monkeypatch.setattr(module, "read_label", lambda path, space: read.append(path) or np.zeros((64, 64), np.uint8))
    labels = [Path(f"{i:06}.png") for i in range(10_000)]
    suggest(labels, SPACE, (64, 64))
    assert len(read) == MAX_LABELS
    assert {int(path.stem) // 2_500 for path in read} == {0, 1, 2, 3}  # from all over the list


def test_real_data(camvid):
    labels = sorted((camvid / "source/labels").iterdir())
    found = suggest(labels, built_in("camvid11"), (160, 160))
    assert (found.block_size, found.ratio) == (8, 0.5)
    assert f"32 of {len(labels)}" in found.reason
