import numpy as np
import torch

from core.pixels import Normalisation, evenly_spaced, shrunk, to_bytes


def test_round_trip_on_arrays_and_tensors():
    image = np.random.default_rng(0).random((2, 3, 5, 7)).astype(np.float32)
    norm = Normalisation()
    np.testing.assert_allclose(norm.undo(norm.apply(image)), image, atol=1e-6)
    np.testing.assert_array_equal(norm.apply(torch.from_numpy(image)).numpy(), norm.apply(image))


def test_the_mean_colour_is_zero():
    norm = Normalisation(mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    image = np.array([0.1, 0.2, 0.3], np.float32).reshape(3, 1, 1)
    np.testing.assert_allclose(norm.apply(image), 0, atol=1e-7)


def test_bytes_are_rounded_and_clamped():
    assert to_bytes(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist() == [0, 0, 128, 255, 255]


def test_evenly_spaced_keeps_both_ends():
    assert evenly_spaced("abcdefg", 3) == ["a", "d", "g"]
    assert evenly_spaced("ab", 5) == ["a", "b"]
    assert evenly_spaced("", 5) == []


def test_only_larger_images_are_shrunk():
    image = np.zeros((30, 60, 3), np.uint8)
    assert shrunk(image, 20).shape == (10, 20, 3)
    assert shrunk(image[:, :2], 3).shape == (3, 1, 3)  # no side vanishes
    assert shrunk(image, 60) is image
