"""Crops: where image and label come from, and that they stay together."""

import numpy as np
import pytest

from core.configuration.sections import DataConfig
from core.labels import IGNORE
from core.loading.cropping import cut, cut_label

NO_CHANGE = DataConfig(scale_min=1, scale_max=1, flip=False)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [0.6, 1, 1.5, 2.3])
def test_labels_stay_on_their_pixels(axis, scale):
    """On a ramp of 4 grey values per pixel with a class every 40, a half-pixel shift of the label is measurable."""
    ramp = np.broadcast_to(np.arange(2, 242, 4, dtype=np.uint8), (60, 60))
    image = np.repeat((ramp if axis else ramp.T)[..., None], 3, 2)
    data = DataConfig(scale_min=min(scale, 1), scale_max=max(scale, 1))
    shifts = []
    for seed in range(40):
        draws = np.random.default_rng(seed).random(4)
        draws[0], draws[3] = 0 if scale < 1 else 1 - 1e-9, 1
        crop = cut(image, image[..., 0] // 40, (30, 30), data, draws)
        shifts.append((crop.image[..., 0] // 40 - crop.label.astype(float)).mean() * 10)
    assert abs(np.mean(shifts)) < 0.4  # pixels of the image


def test_an_unchanged_crop_is_a_window_of_the_image():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    label = np.random.default_rng(1).integers(0, 6, (50, 60), np.uint8)
    crop = cut(image, label, (20, 30), NO_CHANGE, np.array([0.5, 0.99, 0, 0.9]))
    assert np.array_equal(crop.image, image[30:50, :30])
    assert np.array_equal(crop.label, label[30:50, :30])


def test_mirroring_turns_image_and_label_alike():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    data = DataConfig(scale_min=1, scale_max=1, flip=True)
    mirrored = cut(image, image[..., 0] % 6, (20, 30), data, np.array([0, 0, 0, 0.49]))
    assert np.array_equal(mirrored.image, image[:, ::-1])
    assert np.array_equal(mirrored.label, image[:, ::-1, 0] % 6)
    kept = cut(image, image[..., 0] % 6, (20, 30), data, np.array([0, 0, 0, 0.51]))
    assert np.array_equal(kept.image, image)


@pytest.mark.parametrize("hw", [(10, 12), (32, 32), (33, 65), (1, 1), (2000, 1500)])
def test_smaller_images_are_enlarged_until_they_cover_the_crop(hw):
    image, label = np.full((*hw, 3), 7, np.uint8), np.full(hw, 2, np.uint8)
    for seed in range(10):
        crop = cut(image, label, (32, 64), DataConfig(), np.random.default_rng(seed).random(4))
        assert crop.image.shape == (32, 64, 3)
        assert (crop.image == 7).all()
        assert (crop.label == 2).all()


@pytest.mark.parametrize("hw", [(50, 60), (20, 20), (8, 200), (33, 7)])
def test_the_label_alone_is_cut_as_with_its_image(hw):
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (*hw, 3), np.uint8), rng.integers(0, 6, hw, np.uint8)
    for _ in range(20):
        draws = rng.random(4)
        assert np.array_equal(
            cut_label(label, (24, 32), DataConfig(), draws), cut(image, label, (24, 32), DataConfig(), draws).label
        )


def test_a_strip_is_padded_below_by_reflection_and_ignore():
    image = np.random.default_rng(0).integers(0, 256, (8, 200, 3), np.uint8)
    crop = cut(image, np.zeros((8, 200), np.uint8), (16, 16), NO_CHANGE, np.array([0, 0, 0, 0.9]))
    assert np.array_equal(crop.image[8:], crop.image[7::-1])
    assert (crop.label[8:] == IGNORE).all()
    assert (crop.label[:8] == 0).all()
