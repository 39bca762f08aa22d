"""Draw the masks of the twins (section 5 of the guide's method chapter) in numpy. Training and the window's preview share this code.

A mask is True where a pixel stays visible. It is drawn with one value per block and then enlarged to pixels: a training
step enlarges it on the device (`core.method.masking`), everything else here. Importable without torch.
"""

from __future__ import annotations

import numpy as np

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig


def grid_shape(height: int, width: int, block_size: int) -> tuple[int, int]:
    """Return the number of blocks along each side: round(side / block_size), at least 1.

    Python's rounding (2.5 → 2), as in the released code.
    """
    return max(1, round(height / block_size)), max(1, round(width / block_size))


def enlarge(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge block masks (…, h, w) to pixels (…, height, width): each pixel takes its nearest block's value."""
    rows, columns = block_of_pixel(height, blocks.shape[-2]), block_of_pixel(width, blocks.shape[-1])
    return blocks[..., columns][..., rows, :]  # in two steps: the second copies whole rows


def block_of_pixel(size: int, blocks: int) -> np.ndarray:
    """Return the block of each pixel along a side, int64 (size,), by the float32 arithmetic of torch's nearest resizing."""
    scale = np.float32(blocks) / np.float32(size)
    return np.minimum((np.arange(size, dtype=np.float32) * scale).astype(np.int64), blocks - 1)


def block_masks(uniform: np.ndarray, ratio: float, height: int, width: int) -> np.ndarray:
    """D = [u > r], enlarged to pixels.

    Args:
        uniform: u ~ U(0, 1), float32 (B, 1, h, w), one value per block.
        ratio: r, the share of blocks hidden.

    Returns:
        bool (B, 1, height, width).
    """
    return enlarge(uniform > np.float32(ratio), height, width)


def draw_block_masks(
    mask: MaskConfig, num_images: int, height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Draw the masks of one step, one per image and view.

    complementary: D and 1 − D (MaskTwins); with more than two views, K equal parts of the blocks. random: D and an
    independent mask that hides the share 1 − r. single: D (MIC). off: none.

    Returns:
        `mask.views`, two, one or no bool arrays (B, 1, h, w), one value per block. Complementary ones are a partition.
    """
    if mask.strategy is MaskStrategy.OFF:
        return ()
    shape = (num_images, 1, *grid_shape(height, width, mask.block_pixels(height, width)))
    ratio = mask.ratio if isinstance(mask.ratio, float) else float(rng.choice(np.asarray(mask.ratio)))
    uniform = rng.random(shape, dtype=np.float32)
    first = uniform > np.float32(ratio)
    match mask.strategy:
        case MaskStrategy.COMPLEMENTARY if mask.views > 2:
            return _partition(uniform, mask.views)
        case MaskStrategy.COMPLEMENTARY:
            return first, ~first
        case MaskStrategy.RANDOM:
            return first, rng.random(shape, dtype=np.float32) > np.float32(1 - ratio)
        case MaskStrategy.SINGLE:
            return (first,)


def draw_keep_masks(
    mask: MaskConfig, num_images: int, height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Draw masks as `draw_block_masks` does, enlarged to pixels: bool (B, 1, height, width) each."""
    return tuple(enlarge(blocks, height, width) for blocks in draw_block_masks(mask, num_images, height, width, rng))


def _partition(uniform: np.ndarray, views: int) -> tuple[np.ndarray, ...]:
    """K complementary masks: a block is visible in view ⌊K u⌋ alone, so that every pixel is visible exactly once.

    Ours, after the paper's multi-view theorem.
    """
    view = np.minimum((uniform * np.float32(views)).astype(np.int64), views - 1)
    return tuple(view == k for k in range(views))
