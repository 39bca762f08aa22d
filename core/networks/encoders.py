"""List the encoders that fit each architecture, and the networks that the guide describes. Importable without torch.

The error for an encoder that does not fit, the window's form and the guide's table all read these lists.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.configuration.choices import Architecture

PVT, MIT = "tu-pvt_v2_b0", "mit_b0"
DINOV2, DINOV3 = "tu-vit_small_patch14_dinov2.lvd142m", "tu-vit_small_patch16_dinov3.lvd1689m"
CONVNEXT, SWIN = "tu-convnext_tiny.fb_in1k", "tu-swin_tiny_patch4_window7_224.ms_in1k"

# Permissively licensed ones first. Many others of the two libraries fit too: these are the usual ones.
ENCODERS: dict[Architecture, tuple[str, ...]] = {
    Architecture.SEGFORMER: (PVT, "tu-pvt_v2_b2", CONVNEXT, "resnet50", MIT, "mit_b2", "mit_b5"),
    Architecture.UNET: ("resnet34", PVT, CONVNEXT, "efficientnet-b0", MIT),
    Architecture.DEEPLABV3PLUS: ("resnet50", "tu-resnet50.a1_in1k", "mobilenet_v2", "efficientnet-b0", CONVNEXT, MIT),
    Architecture.DAFORMER: (PVT, "tu-pvt_v2_b2", CONVNEXT, DINOV2, MIT, "mit_b5"),
    Architecture.UPERNET: (CONVNEXT, SWIN, PVT, MIT),
    Architecture.DPT: (DINOV2, DINOV3, "tu-vit_small_patch16_224"),
    Architecture.LINEAR: (DINOV2, DINOV3, PVT, MIT),
}


@dataclass(frozen=True)
class Network:
    """A network of the guide's table, and what it is for in a few words."""

    architecture: Architecture
    encoder: str
    use: str
    hrda: bool = False


NETWORKS = (
    Network(Architecture.SEGFORMER, PVT, "the default: light, and no licence forbids commercial use"),
    Network(Architecture.UNET, PVT, "logits at every pixel, for small things and fine borders"),
    Network(Architecture.UPERNET, PVT, "pooled context and a feature pyramid, for most of the parameters"),
    Network(Architecture.DAFORMER, PVT, "the paper's head on a permissively licensed encoder"),
    Network(Architecture.SEGFORMER, MIT, "the paper's family of encoders, the smallest"),
    Network(Architecture.UNET, MIT, "as on PVTv2"),
    Network(Architecture.DEEPLABV3PLUS, MIT, "dilated convolutions (ASPP) on MiT"),
    Network(Architecture.UPERNET, MIT, "as on PVTv2"),
    Network(Architecture.DAFORMER, MIT, "the paper's head, on the smallest encoder"),
    Network(Architecture.DEEPLABV3PLUS, "tu-resnet50.a1_in1k", "a convolutional network throughout"),
    Network(Architecture.SEGFORMER, "mit_b2", "between B0 and B5"),
    Network(Architecture.SEGFORMER, "mit_b5", "the paper's encoder with the lighter head"),
    Network(Architecture.DAFORMER, "mit_b5", "comparison with DAFormer; takes its released checkpoints"),
    Network(
        Architecture.DAFORMER,
        "mit_b5",
        "the paper's network; takes HRDA's, MIC's and MaskTwins' checkpoints",
        hrda=True,
    ),
    Network(Architecture.UPERNET, CONVNEXT, "a modern convolutional encoder"),
    Network(Architecture.UPERNET, SWIN, "Swin with its own paper's head; exports safetensors alone"),
    Network(Architecture.DPT, DINOV2, "a foundation encoder with finer logits (stride 2)"),
    Network(Architecture.DPT, DINOV3, "a newer foundation encoder; mind its licence"),
    Network(Architecture.LINEAR, DINOV2, "a foundation encoder with next to no head; coarse borders (stride 14)"),
)
