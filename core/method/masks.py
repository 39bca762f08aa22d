"""The masks of the twins (method section 5), drawn in numpy: training and the window's preview use this very code.

A mask is True where a pixel stays visible. Importable without torch.
"""

from __future__ import annotations

import numpy as np

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig


def grid_shape(height: int, width: int, block_size: int) -> tuple[int, int]:
    """Blocks along each side: round(side / block_size), Python's rounding (2.5 → 2) as in the released code, at least 1."""
    return max(1, round(height / block_size)), max(1, round(width / block_size))


def block_masks(uniform: np.ndarray, ratio: float, height: int, width: int) -> np.ndarray:
    """D = [u > r], nearest-resized to the image.

    Args:
        uniform: u ~ U(0, 1), float32 (B, 1, h, w), one value per block.
        ratio: r, the share of blocks hidden.

    Returns:
        bool (B, 1, height, width).
    """
    rows = _nearest(height, uniform.shape[2])
    columns = _nearest(width, uniform.shape[3])
    return (uniform > np.float32(ratio))[:, :, rows[:, None], columns]


def _nearest(size: int, blocks: int) -> np.ndarray:
    """Block of each pixel, with the float32 arithmetic of torch's nearest interpolation."""
    scale = np.float32(blocks) / np.float32(size)
    return np.minimum((np.arange(size, dtype=np.float32) * scale).astype(np.int64), blocks - 1)


def draw_keep_masks(
    mask: MaskConfig, num_images: int, height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Draw the masks of one step, one per image and view.

    complementary: D and 1 − D (MaskTwins); of more than two views, K equal parts of the blocks. random: D and an
    independent mask that hides the share 1 − r. single: D (MIC). off: none.

    Returns:
        `mask.views`, two, one or no bool arrays (B, 1, height, width); complementary ones are a partition of the pixels.
    """
    if mask.strategy is MaskStrategy.OFF:
        return ()
    shape = (num_images, 1, *grid_shape(height, width, mask.block_pixels(height, width)))
    ratio = mask.ratio if isinstance(mask.ratio, float) else float(rng.choice(np.asarray(mask.ratio)))
    uniform = rng.random(shape, dtype=np.float32)
    first = block_masks(uniform, ratio, height, width)
    match mask.strategy:
        case MaskStrategy.COMPLEMENTARY if mask.views > 2:
            return partition_masks(uniform, mask.views, height, width)
        case MaskStrategy.COMPLEMENTARY:
            return first, ~first
        case MaskStrategy.RANDOM:
            return first, block_masks(rng.random(shape, dtype=np.float32), 1 - ratio, height, width)
        case MaskStrategy.SINGLE:
            return (first,)


def partition_masks(uniform: np.ndarray, views: int, height: int, width: int) -> tuple[np.ndarray, ...]:
    """K complementary masks: block (i, j) is visible in view ⌊K u⌋ alone, so that every pixel is visible exactly once.

    Ours, after the paper's multi-view theorem. Args and returns: as `block_masks`, K of them.
    """
    rows = _nearest(height, uniform.shape[2])
    columns = _nearest(width, uniform.shape[3])
    view = np.minimum((uniform * np.float32(views)).astype(np.int64), views - 1)[:, :, rows[:, None], columns]
    return tuple(view == k for k in range(views))
