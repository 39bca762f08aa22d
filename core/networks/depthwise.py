"""Differentiate the head's dilated depthwise convolution on CPUs, about three times as fast as torch does.

oneDNN has fast kernels for its forward pass, and for its backward pass without dilation. With dilation, the backward pass
uses loops that ran at a fiftieth of the rate of its other convolutions: a quarter of a step with DAFormer's head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_CHUNK = 2**20  # numbers of one operand handled at a time: what nine products reuse stays in the cache


class DilatedDepthwise(nn.Conv2d):
    """Convolve each channel by itself with 3×3 kernels, without bias. The size of the map does not change."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return dilated_depthwise(input, self.weight, self.dilation[0])


def dilated_depthwise(values: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Do what `F.conv2d` does with odd kernels, one group per channel, zero padding to the same size, and no bias.

    Args:
        values: (B, C, H, W).
        weight: (C, 1, K, K), K odd.
        dilation: distance of the kernel's taps, pixels.
    """
    if values.device.type == "cpu" and values.requires_grad and weight.requires_grad:
        return _DilatedDepthwise.apply(values, weight, dilation)
    return _same(values, weight, dilation)


def _same(values: Tensor, weight: Tensor, dilation: int) -> Tensor:
    padding = dilation * (weight.size(-1) // 2)
    return F.conv2d(values, weight, padding=padding, dilation=dilation, groups=weight.size(0))


class _DilatedDepthwise(Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # as autocast casts a convolution's
    def forward(ctx: Any, values: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.dilation = dilation
        return _same(values, weight, dilation)

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        values, weight = ctx.saved_tensors
        # Of odd kernels at the same size, the gradient is the convolution with the kernels turned by 180°.
        return (
            _same(gradient, weight.flip(2, 3), ctx.dilation),
            _of_weight(values, gradient, weight, ctx.dilation),
            None,
        )


def _of_weight(values: Tensor, gradient: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Return the gradient of the weight: for each tap the inner product of the gradient and the values it saw.

    The zeros of the padding lie once between two rows, so that in the flat map each tap is a single shift.
    """
    B, C, H, W = values.shape
    K = weight.size(-1)
    margin = dilation * (K // 2)
    length, step = H * (W + margin), dilation * (W + margin)
    shifts = [i * step + j * dilation for i in range(K) for j in range(K)]
    exact = torch.promote_types(values.dtype, torch.float32)
    products = values.new_empty(B * C, K * K, dtype=exact)
    count = max(1, _CHUNK // length)
    for maps, gradients, found in zip(
        values.reshape(-1, H, W).split(count),
        gradient.reshape(-1, H, W).split(count),
        products.split(count),
        strict=True,
    ):
        seen = F.pad(maps, (margin, 0, margin, margin + 2)).flatten(1)
        g = F.pad(gradients, (0, margin)).flatten(1).to(exact)
        for tap, shift in enumerate(shifts):
            torch.sum(seen[:, shift : shift + length] * g, dim=1, out=found[:, tap])
    return products.view(B, C, K * K).sum(0).view_as(weight).to(weight.dtype)
