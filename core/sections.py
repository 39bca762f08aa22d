"""The sections of a run's configuration but for the training's: one frozen model each, one field per setting.

A field carries all that is said about a setting: title, unit, range, default and the reason for the default.
Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from core.choices import Architecture, JitterModel, MaskDomain, MaskLevel, MaskStrategy, PerImage


def setting(
    default: Any, title: str, description: str, *, unit: str = "", live: bool = False, advanced: bool = False, **kw: Any
) -> Any:
    """Declare one setting. `live`: may change while a run trains. `advanced`: hidden at first in the window."""
    extra = {"unit": unit, "live": live, "advanced": advanced}
    return Field(default, title=title, description=description, json_schema_extra=extra, **kw)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataConfig(Section):
    """Where the two cameras' images are."""

    source_images: Path | None = setting(None, "Source images", "Folder of the labelled camera's images.")
    source_labels: Path | None = setting(None, "Source labels", "Folder of the labels, paired with the images by name.")
    target_images: Path | None = setting(None, "Target images", "Folder of the new camera's images, without labels.")
    target_labels: Path | None = setting(
        None, "Target labels", "Optional labels for measuring only: training never reads them."
    )
    evaluation_images: Path | None = setting(
        None,
        "Evaluation images",
        "Images that belong to the target labels, where these are not the training images. Empty: the target images.",
        advanced=True,
    )
    label_space: str = setting(
        "auto", "Classes", "Built-in label space, path of a label-space TOML, or auto to recognise it from the labels."
    )
    scale_min: float = setting(
        0.75,
        "Smallest scale",
        "Images are resized by a random factor from here on before cropping.",
        unit="×",
        ge=0.1,
        le=1,
        advanced=True,
    )
    scale_max: float = setting(
        1.5,
        "Largest scale",
        "Upper end of the random resizing; below 2 keeps thin objects recognisable.",
        unit="×",
        ge=1,
        le=4,
        advanced=True,
    )
    flip: bool = setting(True, "Mirror", "Mirror half of the images left to right. Off for scenes with handedness.")
    rare_class_sampling: bool = setting(
        False,
        "Rare classes first",
        "Draw source images by class, rare classes more often (DAFormer). All source labels are counted once.",
    )
    rare_class_temperature: float = setting(
        0.01,
        "Rare-class temperature",
        "T of P(c) ∝ exp((1 − f_c)/T): smaller draws the rarest classes still more often.",
        gt=0,
        le=10,
        advanced=True,
    )
    target_margin_top: float = setting(
        0.0,
        "Top margin",
        "Share of the target image's height at its top that gets no pseudo-label (burnt-in text).",
        ge=0,
        le=0.45,
        advanced=True,
    )
    target_margin_bottom: float = setting(
        0.0,
        "Bottom margin",
        "Share of the target image's height at its bottom that gets no pseudo-label (the car's own hood).",
        ge=0,
        le=0.45,
        advanced=True,
    )
    loader_threads: int = setting(
        2,
        "Reading threads",
        "Threads that decode images ahead of the training. The batches do not depend on it.",
        ge=0,
        le=64,
        advanced=True,
    )


class NetworkConfig(Section):
    """What is trained."""

    architecture: Architecture = setting(
        Architecture.SEGFORMER,
        "Architecture",
        "What stands behind the encoder. SegFormer: light and steady; daformer: the paper's; dpt and linear: for ViT encoders.",
    )
    encoder: str = setting(
        "tu-pvt_v2_b0",
        "Encoder",
        "Encoder name of segmentation-models-pytorch, or tu-NAME for timm's. PVTv2 is MiT's near twin, permissively licensed.",
        min_length=1,
    )
    weights: str = setting(
        "imagenet",
        "Starting weights",
        "imagenet (from the libraries' hub), none, or the path of a run, a bundle or a file.",
        min_length=1,
    )
    hrda: bool = setting(
        False,
        "Two resolutions (HRDA)",
        "Look at the whole crop in half resolution and at a quarter of it in full, and fuse both. The paper's best; about "
        "three times the work.",
    )


class MaskConfig(Section):
    """How the twins are masked (method section 5)."""

    strategy: MaskStrategy = setting(
        MaskStrategy.COMPLEMENTARY,
        "Masks",
        "complementary: a mask and its complement (MaskTwins). random: two independent masks. single: one (MIC). off: none.",
        live=True,
    )
    ratio: (
        Annotated[float, Field(ge=0.01, le=0.99)]
        | Annotated[tuple[Annotated[float, Field(ge=0.01, le=0.99)], ...], Field(min_length=1)]
    ) = setting(
        0.5,
        "Ratio",
        "Share of blocks hidden in twin A; a list is drawn from per step. 0.5 shows each twin the same amount.",
        live=True,
    )
    block_size: int = setting(
        64,
        "Block size",
        "Side of a mask block. About 1/16 of the crop's side (64 at 1024) was best in the paper.",
        unit="px",
        ge=1,
        le=1024,
        live=True,
    )
    domain: MaskDomain = setting(
        MaskDomain.TARGET,
        "Masked domain",
        "Which images are masked: the target's (paper), the source's, or both.",
        live=True,
    )
    views: int = setting(
        2,
        "Complementary masks",
        "Number of complementary masks; every pixel is visible in exactly one. 2 as in the paper; more than 2 are equal parts.",
        ge=2,
        le=8,
        live=True,
        advanced=True,
    )
    block_fraction: float = setting(
        0.0,
        "Block size by the crop",
        "Side of a mask block as a share of the crop's shorter side, such as 0.0625; 0: block_size counts.",
        ge=0,
        le=1,
        live=True,
        advanced=True,
    )
    level: MaskLevel = setting(
        MaskLevel.IMAGE,
        "Masked at",
        "image: pixels are hidden (paper). features: the encoder's features are, after one look at the whole image.",
        advanced=True,
    )

    def block_pixels(self, height: int, width: int) -> int:
        """Side of a block in pixels, in crops of this size."""
        return max(1, round(self.block_fraction * min(height, width))) if self.block_fraction else self.block_size


class AugmentConfig(Section):
    """Changes of the images that leave the labels alone, and ClassMix."""

    class_mix: bool = setting(
        True, "ClassMix", "Paste half of the source's classes onto the target images (L_mix).", live=True
    )
    class_mix_from: PerImage = setting(
        PerImage.IMAGE,
        "ClassMix draws from",
        "image: classes of the image itself. batch: of the whole batch, as released, where half of a draw may be absent.",
        advanced=True,
    )
    colour_jitter: bool = setting(
        True,
        "Colour jitter",
        "Brightness, contrast, saturation and hue of target images.",
        live=True,
    )
    jitter_strength: float = setting(
        0.2,
        "Jitter strength",
        "Largest relative change of each colour property.",
        ge=0,
        le=0.5,
        live=True,
        advanced=True,
    )
    jitter_probability: float = setting(
        0.8, "Jitter probability", "Share of steps with colour jitter.", ge=0, le=1, live=True, advanced=True
    )
    blur: bool = setting(True, "Blur", "Gaussian blur of target images in half of the steps.", live=True)
    jitter_model: JitterModel = setting(
        JitterModel.ADDITIVE,
        "Jitter model",
        "additive: brightness is added and contrast turns about black, as released. photometric: torchvision's, which "
        "multiplies brightness and turns contrast about the mean grey.",
        advanced=True,
    )
    adain: bool = setting(
        False,
        "Target style (AdaIN)",
        "Give the source's features the mean and spread of the target's before the head (figure 1 of the paper).",
        advanced=True,
    )


class LossConfig(Section):
    """Weights of the losses; a weight of 0 means that the work is not done."""

    mix_weight: float = setting(1.0, "Mixed images", "Weight of L_mix.", ge=0, le=100, live=True)
    twin_weight: float = setting(
        1.0, "Twins", "Weight of L_cl, the twins' cross-entropy to the pseudo-label.", ge=0, le=100, live=True
    )
    twin_balance: float = setting(
        0.5,
        "Twin balance",
        "λ: share of twin A in L_cl. ½ treats the twins alike.",
        ge=0,
        le=1,
        live=True,
        advanced=True,
    )
    consistency_weight: float = setting(
        0.01,
        "Consistency",
        "λ_cm: weight of the squared difference of the twins' logits (L_cm).",
        ge=0,
        le=100,
        live=True,
    )
    ramp_steps: int = setting(
        0,
        "Ramp",
        "Adaptation steps over which the losses without labels grow to their weights; 0: full from the first.",
        unit="steps",
        ge=0,
        advanced=True,
    )
    feature_distance_weight: float = setting(
        0.0,
        "Feature distance",
        "λ_fd: keeps the encoder's features of source objects near the pretrained ones; 0.005 in the paper. Needs pretrained "
        "weights.",
        ge=0,
        le=100,
        advanced=True,
    )
    feature_distance_classes: str = setting(
        "",
        "Feature distance of",
        "Names of the classes it is taken over, separated by commas (countable things in the paper). Empty: all.",
        advanced=True,
    )
