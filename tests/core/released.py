"""The tiny networks of the golden steps, whose weights come by the released code's names."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from segmentation_models_pytorch.encoders.mix_transformer import LayerNorm, MixVisionTransformerEncoder
from torch import nn

from core.configuration.choices import Architecture
from core.networks.attention import fuse_attention
from core.networks.daformer import DAFormerDecoder
from core.networks.foreign import released_name
from core.networks.hrda import Hrda
from core.networks.segmenter import Head, NetworkDescription, Segmenter
from core.pixels import Normalisation

NUM_CLASSES = 5
DIMS = (8, 16, 20, 32)
CHANNELS = 16


def released_plain() -> Segmenter:
    """MiT with dims 8/16/20/32 and one block per stage, DAFormer head with 16 channels; no dropout, no drop path."""
    encoder = MixVisionTransformerEncoder(
        out_channels=[3, 0, *DIMS],
        embed_dims=list(DIMS),
        num_heads=[1, 2, 2, 4],
        mlp_ratios=[4, 4, 4, 4],
        qkv_bias=True,
        norm_layer=partial(LayerNorm, eps=1e-6),
        depths=[1, 1, 1, 1],
        sr_ratios=[8, 4, 2, 1],
    )
    fuse_attention(encoder)  # as in every network that is built
    return Segmenter(
        encoder,
        Head(DAFormerDecoder(DIMS, CHANNELS, dropout=0), nn.Conv2d(CHANNELS, NUM_CLASSES, 1)),
        num_classes=NUM_CLASSES,
        stride=32,
        normalisation=Normalisation(),
        description=NetworkDescription(Architecture.DAFORMER, "mit_b0"),
    )


def released_hrda() -> Hrda:
    """HRDA around the same."""
    return Hrda.around(released_plain(), CHANNELS, dropout=0)


def released_network(kind: str) -> Segmenter:
    """The network of golden_step_<kind>.npz: plain or hrda."""
    return {"plain": released_plain, "hrda": released_hrda}[kind]()


def load_released(network: nn.Module, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    """Load the arrays whose names start with the prefix ("init/", "0/after/"); what is not among them stays."""
    state = {
        released_name(name.removeprefix(prefix)): torch.from_numpy(arrays[name])
        for name in arrays
        if name.startswith(prefix)
    }
    assert state, f"there are no arrays {prefix}*"
    network.load_state_dict({**network.state_dict(), **state})  # strict: no name may be unknown
