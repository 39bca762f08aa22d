import math

import numpy as np
import pytest
import torch

from core.evaluation.metrics import ConfusionMatrix
from core.evaluation.scores import miou_over, scores_of
from core.labels import IGNORE

NAMES = ("road", "sky", "pole")


def scores(label, prediction, num_classes=3):
    matrix = ConfusionMatrix(num_classes)
    matrix.update(np.array(label, np.uint8), np.array(prediction, np.uint8))
    return matrix.scores(NAMES[:num_classes])


def test_known_numbers():
    result = scores([[0, 0, 1, 1]], [[0, 0, 0, 1]])
    assert result.per_class["road"] == pytest.approx(200 / 3)
    assert result.per_class["sky"] == pytest.approx(50)
    assert math.isnan(result.per_class["pole"])
    assert result.miou == pytest.approx((200 / 3 + 50) / 2)
    assert result.pixel_accuracy == pytest.approx(75)
    assert result.confusion == ((2, 0, 0), (1, 1, 0), (0, 0, 0))


def test_ignored_pixels_change_nothing():
    plain = scores([0, 1, 2], [0, 2, 2])
    with_ignored = scores([0, 1, 2, IGNORE, IGNORE], [0, 2, 2, 0, 1])
    assert with_ignored == plain


def test_a_class_that_is_only_predicted_counts_as_zero():
    assert scores([0, 0], [0, 2]).per_class["pole"] == 0


def test_nothing_labelled_gives_no_number():
    result = scores([IGNORE], [0])
    assert math.isnan(result.miou)
    assert math.isnan(result.pixel_accuracy)


def test_updates_add_up_over_arrays_and_tensors():
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 2, IGNORE], (4, 8, 8)).astype(np.uint8)
    prediction = rng.integers(0, 3, (4, 8, 8)).astype(np.uint8)
    whole, parts = ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(label, prediction)
    for a, b in zip(label, prediction, strict=True):
        parts.update(torch.from_numpy(a).long(), torch.from_numpy(b))
    assert np.array_equal(whole.matrix, parts.matrix)
    expected = [[np.sum((label == i) & (prediction == j)) for j in range(3)] for i in range(3)]
    assert np.array_equal(whole.matrix, expected)
    assert whole.matrix.dtype == np.int64


@pytest.mark.parametrize(("label", "prediction"), [([3], [0]), ([0], [3]), ([0], [IGNORE]), ([254], [0])])
def test_values_outside_the_classes_are_told(label, prediction):
    with pytest.raises(ValueError, match="3 classes"):
        scores(label, prediction)


def test_a_negative_value_is_no_class():
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([1]), np.array([-1]))
    with pytest.raises(ValueError, match="outside"):
        _ = matrix.matrix


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix(3).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_miou_over_chosen_classes():
    result = scores([0, 0, 1, 1], [0, 0, 0, 1])
    assert miou_over(result, ["sky"]) == pytest.approx(50)
    assert miou_over(result, ["sky", "pole"]) == pytest.approx(50)
    assert miou_over(result, NAMES) == result.miou
    assert math.isnan(miou_over(result, ["pole"]))
    with pytest.raises(ValueError, match="car"):
        miou_over(result, ["car"])


def test_names_must_be_as_many_as_classes():
    with pytest.raises(ValueError, match="argument"):
        scores_of(np.zeros((3, 3), np.int64), ("one",))
