"""Name the licences of the networks' code and of their pretrained weights, as far as their authors state them.

A licence that is not stated is called unknown: a guess would be a promise to the user. Importable without torch.
"""

from __future__ import annotations

from core.configuration.choices import Architecture

UNKNOWN = "unknown"
OWN_WEIGHTS = "none of others: started from random weights"
NVIDIA = "NVIDIA Source Code License for SegFormer (non-commercial)"
_SMP = "MIT (segmentation-models-pytorch)"
_DECODERS = {
    Architecture.DAFORMER: "Apache-2.0 (this program)",
    Architecture.LINEAR: "Apache-2.0 (this program)",
}  # the others are the library's
_TIMM_PARTS = {"swin": "MIT (Microsoft, in timm)", "convnext": "Apache-2.0 (timm), in parts MIT (Meta)"}
_IN_WORDS = {  # of timm's short names, where the name alone would mislead or says too little
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "CC BY-NC 4.0 (non-commercial)",
    "dinov3-license": "DINOv3 License (Meta's own, passed on with what is made from them: "
    "https://ai.meta.com/resources/models-and-libraries/dinov3-license)",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License (non-commercial)",
}


def code_licence(encoder: str, architecture: Architecture = Architecture.SEGFORMER) -> str:
    """Return the licences of the code of a network with this encoder."""
    return f"encoder: {_encoder_code(encoder)}; decoder: {_DECODERS.get(architecture, _SMP)}"


def _encoder_code(encoder: str) -> str:
    if encoder.startswith("tu-"):
        name = encoder.removeprefix("tu-")
        return next((text for start, text in _TIMM_PARTS.items() if name.startswith(start)), "Apache-2.0 (timm)")
    if encoder.startswith("mit_"):
        return NVIDIA
    if encoder.startswith("mobileone"):
        return "Apple's MobileOne licence"
    return _SMP


def imagenet_licence(encoder: str) -> str:
    """Return the licence of the hub's pretrained weights of this encoder, "unknown" where none is stated."""
    if encoder.startswith("mit_"):
        return NVIDIA
    if encoder.startswith("mobileone"):
        return "Apple's MobileOne licence"
    if encoder.startswith("tu-"):
        import timm

        stated = getattr(timm.models.get_pretrained_cfg(encoder.removeprefix("tu-")), "license", None)
        return _IN_WORDS.get(str(stated), str(stated or UNKNOWN))
    return f"{UNKNOWN} (segmentation-models-pytorch states none)"
