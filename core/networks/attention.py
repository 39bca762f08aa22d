"""Compute MiT's attention by torch's fused kernels, which never store the attention matrix."""

from __future__ import annotations

import torch.nn.functional as F
from segmentation_models_pytorch.encoders.mix_transformer import Attention
from torch import Tensor, nn


class FusedAttention(Attention):
    """Replace segmentation-models-pytorch's `Attention` of MiT: same parameters, names and results, up to rounding.

    The library computes softmax(q kᵀ · scale) v in three steps. Encoders of timm (PVTv2, plain vision transformers) already
    use the fused function.
    """

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Attend from each of N = height · width tokens (B, N, C) to the spatially reduced ones."""
        batch, number, channels = x.shape
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        reduced = x
        if self.sr_ratio > 1:
            reduced = self.sr(x.transpose(1, 2).reshape(batch, channels, height, width))
            reduced = self.norm(reduced.flatten(2).transpose(1, 2))
        k, v = self.kv(reduced).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attn_drop.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=self.scale)
        return self.proj_drop(self.proj(mixed.transpose(1, 2).reshape(batch, number, channels)))


def fuse_attention(encoder: nn.Module) -> None:
    """Let every attention of MiT in a module use the fused function, in place. Other encoders do not change."""
    for module in encoder.modules():
        if type(module) is Attention:
            module.__class__ = FusedAttention  # parameters, names and copies stay those of the library's module
