import numpy as np
import pytest
import torch

from core.configuration.choices import JitterModel
from core.method.augment import ColourDraw, blur_kernel_sizes, colour_jitter, draw_colour, gaussian_blur
from core.pixels import Normalisation
from tests.core.golden_units import golden_draw


def random_image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))


def draw(**factors: list[float]) -> ColourDraw:
    neutral = {"brightness": [1.0], "contrast": [1.0], "saturation": [1.0], "hue": [0.0]}
    return ColourDraw(**{k: np.array(v) for k, v in {**neutral, **factors}.items()}, order=(0, 1, 2, 3))


def test_golden_colour_jitter(golden):
    out = colour_jitter(torch.from_numpy(golden["cj_in"]), golden_draw(golden))
    assert np.abs(out.numpy() - golden["cj_out"]).max() < 1e-5


def test_golden_colour_jitter_of_normalised_images(golden):
    normalisation = Normalisation()
    image = normalisation.undo(torch.from_numpy(golden["cj_norm_in"]))
    out = normalisation.apply(colour_jitter(image, golden_draw(golden)))
    assert np.abs(out.numpy() - golden["cj_norm_out"]).max() < 1e-5 / min(normalisation.std)


@pytest.mark.parametrize("sigma", [0.5, 1.1])
def test_golden_blur(golden, sigma):
    out = gaussian_blur(torch.from_numpy(golden["cj_norm_in"]), sigma)
    assert np.abs(out.numpy() - golden[f"blur_{sigma}_out"]).max() < 1e-6
    assert blur_kernel_sizes(*out.shape[2:]) == tuple(golden[f"blur_{sigma}_kernel"])


def test_neutral_jitter_keeps_the_image():
    image = random_image(1, 3, 9, 11)
    assert torch.allclose(colour_jitter(image, draw()), image, atol=1e-5)


def test_brightness_is_added_and_contrast_multiplied_about_black():
    image = torch.full((1, 3, 2, 2), 0.5)
    assert torch.allclose(colour_jitter(image, draw(brightness=[1.2])), torch.tensor(0.7))
    assert torch.allclose(colour_jitter(image, draw(contrast=[0.8])), torch.tensor(0.4))
    assert torch.allclose(colour_jitter(image, draw(brightness=[1.9])), torch.tensor(1.0))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0)])
def test_the_photometric_jitter_is_torchvisions(order):
    from torchvision.transforms.v2 import functional as reference

    image = random_image(1, 3, 9, 11)
    adjust = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation, reference.adjust_hue)
    factors = (1.2, 0.85, 1.15, -0.1)
    expected = image
    for which in order:
        expected = adjust[which](expected, factors[which])
    drawn = ColourDraw(*(np.array([f]) for f in factors), order=order)
    assert torch.allclose(colour_jitter(image, drawn, JitterModel.PHOTOMETRIC), expected, atol=1e-3)


def test_a_third_of_a_turn_turns_red_into_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    green = colour_jitter(red, draw(hue=[1 / 3]))
    assert torch.allclose(green.flatten(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)


def test_grey_stays_grey_whatever_the_hue_and_saturation():
    grey = torch.full((1, 3, 2, 2), 0.3)
    assert torch.allclose(colour_jitter(grey, draw(hue=[0.2], saturation=[1.2])), grey, atol=1e-6)


def test_each_image_has_its_own_factors():
    image = random_image(2, 3, 5, 7)
    both = draw(brightness=[1.1, 0.9], contrast=[1.0, 1.2], saturation=[0.8, 1.1], hue=[0.1, -0.2])
    second = draw(brightness=[0.9], contrast=[1.2], saturation=[1.1], hue=[-0.2])
    assert torch.equal(colour_jitter(image, both)[1:], colour_jitter(image[1:], second))


def test_draws_stay_within_the_strength_and_vary_in_order():
    draws = [draw_colour(np.random.default_rng(seed), 8, 0.2) for seed in range(40)]
    for factors, centre in [("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0)]:
        offsets = np.concatenate([getattr(d, factors) for d in draws]) - centre
        assert offsets.shape == (320,)
        assert 0.18 < np.abs(offsets).max() <= 0.2
    assert len({d.order for d in draws}) > 10
    assert all(sorted(d.order) == [0, 1, 2, 3] for d in draws)


def test_a_draw_for_another_number_of_images_is_refused():
    with pytest.raises(ValueError, match="draw again"):
        colour_jitter(random_image(2, 3, 4, 4), draw())


def test_jitter_keeps_the_range_and_the_input():
    image = random_image(4, 3, 8, 8)
    before = image.clone()
    out = colour_jitter(image, draw_colour(np.random.default_rng(1), 4, 0.5))
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(image, before)


def test_blur_keeps_the_mean_of_a_constant_and_softens_an_edge():
    flat = torch.full((1, 2, 40, 60), 0.25)
    assert torch.allclose(gaussian_blur(flat, 1.0), flat)
    edge = torch.zeros(1, 1, 40, 60)
    edge[..., 30:] = 1
    soft = gaussian_blur(edge, 1.0)
    assert 0.2 < soft[0, 0, 20, 29] < 0.4
    assert soft[0, 0, 20, 20] == 0


def test_a_tiny_image_is_not_blurred():
    image = random_image(1, 3, 8, 10)
    assert blur_kernel_sizes(8, 10) == (1, 1)
    assert torch.equal(gaussian_blur(image, 1.0), image)


@pytest.mark.parametrize(("side", "expected"), [(1, 1), (20, 1), (21, 3), (60, 5), (97, 9), (512, 51)])
def test_kernel_sides_are_odd_and_about_a_tenth(side, expected):
    assert blur_kernel_sizes(side, side) == (expected, expected)


def test_blur_refuses_a_sigma_of_zero():
    with pytest.raises(ValueError, match="above 0"):
        gaussian_blur(random_image(1, 3, 20, 20), 0)
