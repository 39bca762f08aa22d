"""Licences of the networks' code and of their pretrained weights, as far as their authors state them.

What is not stated is said to be unknown: a guess here would be a promise to the user. Importable without torch.
"""

from __future__ import annotations

UNKNOWN = "unknown"
OWN_WEIGHTS = "none of others: started from random weights"
NVIDIA = "NVIDIA Source Code License for SegFormer (non-commercial)"
_DECODER = "decoder: MIT (segmentation-models-pytorch)"


def code_licence(encoder: str) -> str:
    """Licences of the code that makes up a network with this encoder."""
    if encoder.startswith("tu-"):
        return f"encoder: Apache-2.0 (timm); {_DECODER}"
    if encoder.startswith("mit_"):
        return f"encoder: {NVIDIA}; {_DECODER}"
    if encoder.startswith("mobileone"):
        return f"encoder: Apple's MobileOne licence; {_DECODER}"
    return f"encoder: MIT (segmentation-models-pytorch); {_DECODER}"


def imagenet_licence(encoder: str) -> str:
    """Licence of the hub's pretrained weights of this encoder, "unknown" where none is stated."""
    if encoder.startswith("mit_"):
        return NVIDIA
    if encoder.startswith("mobileone"):
        return "Apple's MobileOne licence"
    if encoder.startswith("tu-"):
        import timm

        config = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"))
        return str(getattr(config, "license", None) or UNKNOWN)
    return f"{UNKNOWN} (segmentation-models-pytorch states none)"
