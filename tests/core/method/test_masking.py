import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig
from core.method.masking import pixel_masks
from core.method.masks import draw_block_masks, draw_keep_masks

sizes = st.integers(16, 300)
KINDS = st.sampled_from([("complementary", 2), ("complementary", 5), ("random", 2), ("single", 2)])


@given(height=sizes, width=sizes, block=st.integers(1, 64), kind=KINDS, seed=st.integers(0, 99))
def test_masks_enlarged_on_the_device_are_those_of_the_host_bit_for_bit(height, width, block, kind, seed):
    strategy, views = kind
    mask = MaskConfig(strategy=MaskStrategy(strategy), block_size=block, views=views, ratio=(0.3, 0.5, 0.7))
    sent = draw_block_masks(mask, 2, height, width, np.random.default_rng(seed))
    host = draw_keep_masks(mask, 2, height, width, np.random.default_rng(seed))
    found = pixel_masks(sent, (height, width), torch.device("cpu"))
    assert len(found) == len(host)
    for on_device, on_host in zip(found, host, strict=True):
        np.testing.assert_array_equal(on_device.numpy(), on_host)


def test_every_side_up_to_a_large_crop_is_enlarged_alike():
    for side in (*range(1, 700), 1024, 2048, 4096):
        for blocks in {1, max(1, side // 64), max(1, side // 16), max(1, side // 3), side}:
            row = np.arange(blocks) % 2 == 0
            found = pixel_masks([row[None, None, None]], (1, side), torch.device("cpu"))[0]
            scale = np.float32(blocks) / np.float32(side)
            expected = row[np.minimum((np.arange(side, dtype=np.float32) * scale).astype(int), blocks - 1)]
            np.testing.assert_array_equal(found[0, 0, 0].numpy(), expected)


def test_a_mask_that_has_a_value_per_pixel_stays_as_it_is():
    mask = np.random.default_rng(0).random((2, 1, 33, 47)) > 0.5
    np.testing.assert_array_equal(pixel_masks([mask], (33, 47), torch.device("cpu"))[0].numpy(), mask)


def test_what_is_sent_is_a_value_per_block():
    sent = draw_block_masks(MaskConfig(block_size=64), 2, 1024, 1024, np.random.default_rng(0))
    assert sum(mask.nbytes for mask in sent) == 2 * 2 * 16 * 16
