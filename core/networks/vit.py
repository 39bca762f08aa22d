"""Make encoders for images of any size from timm's plain vision transformers (DINOv2, DINOv3, augreg …)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3
from torch import Tensor, nn

NUM_LAYERS = 4
_MODULES = ("vision_transformer", "eva", "deit")  # of timm: those whose position embeddings follow the image's size


def is_vit(encoder: str) -> bool:
    """Return whether an encoder name (`tu-…`) is a plain vision transformer's."""
    return encoder.startswith("tu-") and timm.models.is_model_in_modules(encoder.removeprefix("tu-"), _MODULES)


class VitEncoder(nn.Module):
    """Return four layers at equal distances, the last one among them, each after the final layer norm as in DINOv2's heads.

    Position embeddings are resampled to the grid of patches in each forward; DINOv3's are rotary and need no resampling.
    Class and register tokens are not returned.

    Args:
        name: timm's, without `tu-`.
        drop_path: rate of the last block; the first has 0.
        encoder_file: pretrained weights, which timm loads by its own rules; None for random weights.

    Raises:
        ValueError, RuntimeError: timm cannot make such an encoder.
    """

    def __init__(self, name: str, *, drop_path: float, encoder_file: Path | None = None) -> None:
        super().__init__()
        options: dict[str, Any] = {"dynamic_img_size": True, "drop_path_rate": drop_path}
        if encoder_file is not None:
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(encoder_file)}}
        model: Any = timm.create_model(name, **options)
        depth = len(model.blocks)
        if depth < NUM_LAYERS:
            raise ValueError(f"it has {depth} layers, and {NUM_LAYERS} are needed")
        self.indices = [depth * (i + 1) // NUM_LAYERS - 1 for i in range(NUM_LAYERS)]
        model.prune_intermediate_layers(self.indices)  # the classifier goes; every layer stays
        if type(rope := getattr(model, "rope", None)) is RotaryEmbeddingDinoV3 and _is_plain(rope):
            rope.__class__ = GridRope
        self.model = model
        layer = model.feature_info[self.indices[-1]]
        self.output_stride = int(layer["reduction"])
        self.out_channels = [3, *([int(layer["num_chs"])] * NUM_LAYERS)]

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Return the image itself, then four maps (B, C, H/p, W/p). Sides are multiples of the patch's side p."""
        layers = self.model.forward_intermediates(
            image_BCHW, indices=self.indices, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return [image_BCHW, *layers]


class GridRope(RotaryEmbeddingDinoV3):
    """Compute timm's rotary embedding of DINOv3 on the device of the network, and for traced sizes. The numbers are equal.

    timm counts the patches on the host. The device then waits in each forward, and an exported network keeps the size that
    it was traced with.
    """

    def _create_embed(self, feat_shape: Sequence[int], no_aug: bool = False) -> Tensor:
        """Return sines and cosines (h · w, 2 · dim) of the patches' centres, which lie between −1 and 1 along each side."""
        assert isinstance(self.periods, Tensor)
        device = self.periods.device
        sides = [(torch.arange(side, device=device) + 0.5) / side for side in feat_shape]
        centres = 2 * torch.stack(torch.meshgrid(*sides, indexing="ij"), dim=-1) - 1
        return torch.cat(self._get_pos_embed_from_coords(centres.flatten(0, 1)), dim=-1)


def _is_plain(rope: RotaryEmbeddingDinoV3) -> bool:
    """Return whether it is DINOv3's embedding as released, without the augmentations of its own training."""
    return (
        not rope.aug_active
        and rope.grid_offset == 0
        and rope.grid_indexing == "ij"
        and rope.normalize_coords == "separate"
    )
