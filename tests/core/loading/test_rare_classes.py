"""Rare-class sampling: the probabilities, the images of a class, and the choice among crops."""

import math

import numpy as np
import pytest

from core.configuration.sections import DataConfig
from core.loading.rare_classes import MAX_REDRAWS, RareClasses, Wish, class_probabilities, min_pixels

SHARES = np.array([[600, 300, 0], [100, 0, 0]])  # f: 0.7, 0.3, 0 of 1000 pixels
CROP = (32, 32)  # at least 3 pixels of the class


def test_probabilities_known_answer():
    weights = [math.exp(0.3 / 0.5), math.exp(0.7 / 0.5)]
    expected = [weights[0] / sum(weights), weights[1] / sum(weights), 0]
    assert class_probabilities(SHARES, 0.5) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1e-6, 0.01, 10])
def test_absent_classes_are_never_drawn_and_no_temperature_overflows(temperature):
    probabilities = class_probabilities(SHARES, temperature)
    assert probabilities[2] == 0
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[1] > probabilities[0]  # the rarer one more often


def test_no_class_at_all_is_a_sentence():
    with pytest.raises(ValueError, match="rare_class_sampling"):
        class_probabilities(np.zeros((3, 2), np.uint32), 0.01)


def test_counts_of_large_data_do_not_overflow():
    counts = np.full((3, 2), 2**32 - 1, np.uint32)
    assert class_probabilities(counts, 0.01) == pytest.approx([0.5, 0.5])


def test_the_least_number_of_pixels_goes_with_the_crops_area():
    assert min_pixels((1024, 1024)) == 3000
    assert min_pixels((512, 512)) == 750
    assert min_pixels((512, 1024)) == 1500
    assert min_pixels((16, 16)) == 1


def test_wishes_follow_the_probabilities():
    rare = RareClasses(SHARES, 0.5, CROP)
    probability = class_probabilities(SHARES, 0.5)
    assert rare.wish(np.array([0.0, 0.25])) == Wish(0, 0.25)
    assert rare.wish(np.array([probability[0] - 1e-9, 0])).class_id == 0
    assert rare.wish(np.array([probability[0] + 1e-9, 0])).class_id == 1
    assert rare.wish(np.array([1 - 2**-53, 0])).class_id == 1  # never the absent last one


def test_images_hold_enough_of_the_class_where_any_does():
    counts = np.array([[3, 0], [2, 1], [0, 2], [50, 0], [9, 0]])
    rare = RareClasses(counts, 0.5, CROP)
    assert list(rare.images(Wish(0, 0.0))) == [0, 3, 4]
    assert list(rare.images(Wish(0, 0.5))) == [3, 4, 0]
    assert list(rare.images(Wish(0, 1 - 2**-53))) == [4, 0, 3]
    assert list(rare.images(Wish(1, 0.0))) == [1, 2]  # none has 3 pixels


DATA = DataConfig(scale_min=1, scale_max=1, flip=False)


def tries_at(*tops: float) -> np.ndarray:
    """Draws of crops at these heights of the image, filled up with crops of its top."""
    tries = np.zeros((1 + MAX_REDRAWS, 4))
    tries[: len(tops), 1] = tops
    tries[:, 3] = 0.9
    return tries


def test_the_first_crop_with_enough_is_taken():
    label = np.zeros((320, 32), np.uint8)
    label[96:128, :5] = 1  # 160 pixels a third of the way down
    rare = RareClasses(np.array([[9000, 160]]), 0.01, CROP)
    tries = tries_at(0.9, 0.34, 0.33)
    assert np.array_equal(rare.best_draws(1, label, DATA, tries), tries[1])
    assert np.array_equal(rare.best_draws(0, label, DATA, tries), tries[0])


def test_where_no_crop_holds_enough_the_best_is_taken():
    label = np.zeros((320, 32), np.uint8)
    label[100, 0], label[300, :2] = 1, 1
    rare = RareClasses(np.array([[9000, 3]]), 0.01, CROP)
    tries = tries_at(0.5, 0.33, 0.95, 0.33)
    assert np.array_equal(rare.best_draws(1, label, DATA, tries), tries[2])
    assert np.array_equal(rare.best_draws(1, np.zeros_like(label), DATA, tries), tries[0])
