import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig
from core.method.masks import block_masks, draw_keep_masks, grid_shape

sizes = st.integers(16, 200)


@pytest.mark.parametrize("case", "abcd")
def test_golden_masks(golden, case):
    _, height, width, block, ratio = golden[f"mask_{case}_cfg"]
    uniform = golden[f"mask_{case}_uniform"]
    assert uniform.shape[2:] == grid_shape(int(height), int(width), int(block))
    mask = block_masks(uniform, ratio, int(height), int(width))
    np.testing.assert_array_equal(mask.astype(np.float32), golden[f"mask_{case}_mask"])


@pytest.mark.parametrize("case", "abc")
def test_golden_twins_and_random_pair(golden, case):
    _, height, width, _, ratio = golden[f"mask_{case}_cfg"]
    image, uniform = golden[f"mask_{case}_img"], golden[f"mask_{case}_uniform"]
    mask = block_masks(uniform, ratio, int(height), int(width))
    np.testing.assert_array_equal(image * mask, golden[f"mask_{case}_twin1"])
    np.testing.assert_array_equal(image * ~mask, golden[f"mask_{case}_twin2"])
    np.testing.assert_array_equal(image * mask, golden[f"mask_{case}_rand1"])
    torch.manual_seed(11)  # the released pair's draws: the first is `uniform`, the second the other mask's
    np.testing.assert_array_equal(torch.rand(uniform.shape).numpy(), uniform)
    other = block_masks(torch.rand(uniform.shape).numpy(), 1 - ratio, int(height), int(width))
    np.testing.assert_array_equal(image * other, golden[f"mask_{case}_rand2"])


@given(height=sizes, width=sizes, block=st.integers(1, 64), seed=st.integers(0, 99))
def test_complementary_masks_hold_every_pixel_once(height, width, block, seed):
    mask = MaskConfig(block_size=block)
    first, second = draw_keep_masks(mask, 3, height, width, np.random.default_rng(seed))
    assert first.shape == (3, 1, height, width)
    assert (first ^ second).all()


def test_each_image_has_a_mask_of_its_own():
    first, _ = draw_keep_masks(MaskConfig(block_size=8), 2, 64, 64, np.random.default_rng(0))
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize(("strategy", "count"), [("complementary", 2), ("random", 2), ("single", 1), ("off", 0)])
def test_strategies_give_their_number_of_masks(strategy, count):
    mask = MaskConfig(strategy=MaskStrategy(strategy), block_size=8)
    assert len(draw_keep_masks(mask, 1, 32, 32, np.random.default_rng(0))) == count


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.7])
def test_ratio_is_the_share_hidden(ratio):
    mask = MaskConfig(ratio=ratio, block_size=2)
    first, second = draw_keep_masks(mask, 1, 512, 512, np.random.default_rng(0))
    assert 1 - first.mean() == pytest.approx(ratio, abs=0.01)
    assert second.mean() == pytest.approx(ratio, abs=0.01)


def test_random_pair_hides_ratio_and_its_rest_independently():
    mask = MaskConfig(strategy=MaskStrategy.RANDOM, ratio=0.3, block_size=2)
    first, second = draw_keep_masks(mask, 1, 512, 512, np.random.default_rng(0))
    assert first.mean() == pytest.approx(0.7, abs=0.01)
    assert second.mean() == pytest.approx(0.3, abs=0.01)
    assert (first & second).mean() == pytest.approx(0.21, abs=0.01)


def test_a_list_of_ratios_is_drawn_from():
    mask = MaskConfig(ratio=(0.1, 0.9), block_size=2)
    hidden = {round(1 - draw_keep_masks(mask, 1, 256, 256, np.random.default_rng(s))[0].mean(), 1) for s in range(12)}
    assert hidden == {0.1, 0.9}


def test_a_block_larger_than_the_image_is_one_block():
    assert grid_shape(20, 30, 64) == (1, 1)


@given(views=st.integers(3, 8), height=sizes, width=sizes, block=st.integers(1, 64), seed=st.integers(0, 99))
def test_more_views_are_a_partition(views, height, width, block, seed):
    mask = MaskConfig(views=views, block_size=block)
    masks = draw_keep_masks(mask, 2, height, width, np.random.default_rng(seed))
    assert len(masks) == views
    np.testing.assert_array_equal(np.sum(masks, axis=0), np.ones((2, 1, height, width)))


def test_views_see_equal_parts():
    masks = draw_keep_masks(MaskConfig(views=4, block_size=2), 1, 512, 512, np.random.default_rng(0))
    assert [m.mean() for m in masks] == pytest.approx([0.25] * 4, abs=0.01)


def test_block_size_as_a_share_of_the_shorter_side():
    by_share, by_pixels = (
        draw_keep_masks(mask, 1, 128, 256, np.random.default_rng(0))[0]
        for mask in (MaskConfig(block_fraction=1 / 16), MaskConfig(block_size=8))
    )
    np.testing.assert_array_equal(by_share, by_pixels)
