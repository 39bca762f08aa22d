"""The choices that settings are made of: one enumeration each, its values as written in run.toml. Importable without torch."""

from __future__ import annotations

from enum import StrEnum


class Architecture(StrEnum):
    SEGFORMER = "segformer"
    UNET = "unet"
    DEEPLABV3PLUS = "deeplabv3plus"
    DAFORMER = "daformer"
    UPERNET = "upernet"
    DPT = "dpt"
    LINEAR = "linear"


class MaskStrategy(StrEnum):
    COMPLEMENTARY = "complementary"
    RANDOM = "random"
    SINGLE = "single"
    OFF = "off"


class MaskDomain(StrEnum):
    TARGET = "target"
    SOURCE = "source"
    BOTH = "both"


class MaskLevel(StrEnum):
    IMAGE = "image"
    FEATURES = "features"


class JitterModel(StrEnum):
    ADDITIVE = "additive"  # kornia up to 0.6, the released code's
    PHOTOMETRIC = "photometric"  # torchvision's


class PerImage(StrEnum):
    """Whether something is taken from each image alone, or from the whole batch as in the released code."""

    IMAGE = "image"
    BATCH = "batch"


class SubCrops(StrEnum):
    SHARED = "shared"
    SEPARATE = "separate"


class Precision(StrEnum):
    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class TwinForward(StrEnum):
    BATCHED = "batched"
    SEPARATE = "separate"


class TeacherStatistics(StrEnum):
    BATCH = "batch"
    AVERAGED = "averaged"
    OWN = "own"
