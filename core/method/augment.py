"""Jitter the colours of image batches and blur them, as the released code does (section 5 of the guide's method chapter).

Shape legend: B images, C channels, H height, W width. Random draws are made on the host in numpy. The pixels are changed
on their device, and the host does not wait for it.

Two colour jitters use the same names for different operations. The additive one is the released code's (kornia 0.6, golden
`cj`): brightness is added, contrast scales about 0, and saturation scales S of HSV. The photometric one is torchvision's:
brightness multiplies, contrast scales about the image's mean grey, and saturation about each pixel's grey. They differ by
up to 0.195 on images in [0, 1]. The hue is the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.configuration.choices import JitterModel
from core.method.transfer import to_device

NUM_ADJUSTMENTS = 4  # 0 brightness, 1 contrast, 2 saturation, 3 hue
SATURATION_EPSILON = 1e-6  # the released code's, in the denominator of S


@dataclass(frozen=True)
class ColourDraw:
    """Hold the factors of one jitter call, each (B,), and the order of the four adjustments, shared by all images.

    `brightness`, `contrast` and `saturation` lie about 1; `hue` is in turns, about 0.
    """

    brightness: np.ndarray
    contrast: np.ndarray
    saturation: np.ndarray
    hue: np.ndarray
    order: tuple[int, ...]

    def __getitem__(self, images: slice) -> ColourDraw:
        """Return the draw of some of the images."""
        return ColourDraw(
            self.brightness[images], self.contrast[images], self.saturation[images], self.hue[images], self.order
        )


def draw_colour(rng: np.random.Generator, num_images: int, strength: float) -> ColourDraw:
    """Draw the factors of `num_images` images: within 1 ± strength, the hue within ± strength of a turn."""
    brightness, contrast, saturation, hue = rng.uniform(-strength, strength, (NUM_ADJUSTMENTS, num_images))
    order = tuple(int(i) for i in rng.permutation(NUM_ADJUSTMENTS))
    return ColourDraw(1 + brightness, 1 + contrast, 1 + saturation, hue, order)


def colour_jitter(image_BCHW: Tensor, draw: ColourDraw, model: JitterModel = JitterModel.ADDITIVE) -> Tensor:
    """Jitter RGB images (B, 3, H, W) with values in [0, 1]. The result is in [0, 1] too.

    Raises:
        ValueError: the draw is for another number of images.
    """
    if len(draw.hue) != len(image_BCHW):
        raise ValueError(f"A colour draw for {len(draw.hue)} images cannot be used on {len(image_BCHW)}: draw again.")
    stacked = np.stack([draw.brightness, draw.contrast, draw.saturation, draw.hue]).astype(np.float32)
    factors = to_device(stacked, image_BCHW.device).to(image_BCHW.dtype)  # one small copy for all
    additive = model is JitterModel.ADDITIVE
    adjustments = (_brightness, _contrast, _saturation, _hue) if additive else (_exposure, _spread, _chroma, _hue)
    for which in draw.order:
        image_BCHW = adjustments[which](image_BCHW, factors[which].view(-1, 1, 1))
    return image_BCHW


def _brightness(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    return (image_BCHW + (factor_B11 - 1).unsqueeze(1)).clamp(0, 1)


def _contrast(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    return (image_BCHW * factor_B11.unsqueeze(1)).clamp(0, 1)


def _saturation(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    hue, saturation, value = _to_hsv(image_BCHW)
    return _to_rgb(hue, (saturation * factor_B11).clamp(0, 1), value)


def _hue(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    hue, saturation, value = _to_hsv(image_BCHW)
    return _to_rgb(torch.remainder(hue + factor_B11, 1), saturation, value)


def _exposure(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    """Change the brightness as torchvision does."""
    return (image_BCHW * factor_B11.unsqueeze(1)).clamp(0, 1)


def _spread(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    """Change the contrast as torchvision does."""
    return torch.lerp(_grey(image_BCHW).mean((1, 2, 3), keepdim=True), image_BCHW, factor_B11.unsqueeze(1)).clamp(0, 1)


def _chroma(image_BCHW: Tensor, factor_B11: Tensor) -> Tensor:
    """Change the saturation as torchvision does."""
    return torch.lerp(_grey(image_BCHW), image_BCHW, factor_B11.unsqueeze(1)).clamp(0, 1)


def _grey(image_BCHW: Tensor) -> Tensor:
    """Return grey values (B, 1, H, W), by the weights of ITU-R 601."""
    red, green, blue = image_BCHW.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)


def _to_hsv(image_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue in turns [0, 1), saturation and value in [0, 1], each (B, H, W)."""
    red, green, blue = image_BCHW.unbind(1)
    value, which = image_BCHW.max(1)
    span = value - image_BCHW.amin(1)
    safe_span = torch.where(span == 0, torch.ones_like(span), span)  # greys have no hue: 0
    sixths = torch.where(which == 1, (blue - red) / safe_span + 2, (red - green) / safe_span + 4)
    sixths = torch.where(which == 0, (green - blue) / safe_span, sixths)
    return torch.remainder(sixths / 6, 1), span / (value + SATURATION_EPSILON), value


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert three maps (B, H, W) to RGB (B, 3, H, W), without branches for the six sectors."""
    sector = torch.stack([torch.remainder(hue * 6 + n, 6) for n in (5, 3, 1)], 1)
    ramp = torch.minimum(sector, 4 - sector).clamp(0, 1)
    return value.unsqueeze(1) * (1 - saturation.unsqueeze(1) * ramp)


def blur_kernel_sizes(height: int, width: int) -> tuple[int, int]:
    """Return the sides of the blur kernel: the largest odd number up to a tenth of the image's side, rounded up."""
    tenths = (-(-side // 10) for side in (height, width))
    kernel_height, kernel_width = (tenth - (tenth % 2 == 0) for tenth in tenths)
    return kernel_height, kernel_width


def gaussian_blur(image_BCHW: Tensor, sigma: float) -> Tensor:
    """Blur (B, C, H, W) with a normalised separable Gaussian of `sigma` pixels. The borders are reflected.

    Raises:
        ValueError: `sigma` is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"The blur's sigma is {sigma}; it must be above 0. Leave the blur out instead.")
    B, C, H, W = image_BCHW.shape
    kernel_height, kernel_width = blur_kernel_sizes(H, W)
    margin_y, margin_x = kernel_height // 2, kernel_width // 2
    # One channel at a time in the batch axis: a plain convolution then serves any number of channels.
    image = F.pad(image_BCHW.reshape(B * C, 1, H, W), (margin_x, margin_x, margin_y, margin_y), mode="reflect")
    image = F.conv2d(image, _gaussian(kernel_height, sigma, image).view(1, 1, -1, 1))
    image = F.conv2d(image, _gaussian(kernel_width, sigma, image).view(1, 1, 1, -1))
    return image.view(B, C, H, W)


def _gaussian(size: int, sigma: float, like: Tensor) -> Tensor:
    """Return normalised weights (size,), made on the device of `like` so that nothing is copied."""
    offset = torch.arange(size, device=like.device, dtype=like.dtype) - size // 2
    weights = torch.exp(-(offset**2) / (2 * sigma**2))
    return weights / weights.sum()
