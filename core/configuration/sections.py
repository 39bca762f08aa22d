"""The sections of a run's configuration except `[training]`: one frozen model each, one field per setting.

Forms, command-line help and the guide's table of settings are generated from the fields. Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.configuration.choices import Architecture, JitterModel, MaskDomain, MaskLevel, MaskStrategy, PerImage
from core.configuration.setting import Section, setting


class DataConfig(Section):
    """Folders and sampling of the two cameras' images."""

    source_images: Path | None = setting(None, "Source images", "Folder with the images of the labelled camera.")
    source_labels: Path | None = setting(
        None, "Source labels", "Folder with the labels. A label belongs to the image with the same name."
    )
    target_images: Path | None = setting(
        None, "Target images", "Folder with the images of the new camera. They need no labels."
    )
    target_labels: Path | None = setting(None, "Target labels", "Optional. Used to measure the result, never to train.")
    evaluation_images: Path | None = setting(
        None,
        "Evaluation images",
        "Images that the target labels belong to, if these are not the target images. Empty: the target images.",
        advanced=True,
    )
    label_space: str = setting(
        "auto",
        "Classes",
        "How to read the labels: auto (recognise it), a built-in label space, or the path of a label-space TOML.",
    )
    source_label_space: str = setting(
        "",
        "Classes of the source",
        "How to read the source labels, if the two cameras' labels are written differently. Empty: as `label_space` says.",
        advanced=True,
    )
    target_label_space: str = setting(
        "",
        "Classes of the target",
        (
            "How to read the target labels, if the two cameras' labels are written differently. Classes are matched with the "
            "source's by their names. Empty: as `label_space` says."
        ),
        advanced=True,
    )
    pairing: str = setting(
        "",
        "Pairing",
        (
            "How names of images and labels belong together, as IMAGE:LABEL, such as IMG_{id}.JPG:IMG_{id}_mask.png. "
            "Empty: inferred from the names."
        ),
        advanced=True,
    )
    target_pairing: str = setting(
        "",
        "Pairing of the target",
        "The same for the target labels. Empty: as `pairing` says; auto: inferred from the names.",
        advanced=True,
    )
    source_files: str = setting(
        "",
        "Source files",
        (
            "Which of the source images to use: the path of a list (.txt, .csv), or patterns such as day/**, !**/old_*. "
            "A second column of a list names the labels. Empty: all."
        ),
        advanced=True,
    )
    target_files: str = setting("", "Target files", "The same for the target images. Empty: all.", advanced=True)
    evaluation_files: str = setting(
        "", "Evaluation files", "The same for the evaluation images. Empty: all.", advanced=True
    )
    allow_unknown: float = setting(
        0.01,
        "Unknown label values",
        (
            "Share of the labels' pixels whose values may be unknown to the label space. They count as no label. "
            "More of them stop the check and the training."
        ),
        ge=0,
        le=1,
        advanced=True,
    )
    scale_min: float = setting(
        0.75,
        "Smallest scale",
        "Lower end of the random scale that images are resized by before cropping.",
        unit="×",
        ge=0.1,
        le=1,
        advanced=True,
    )
    scale_max: float = setting(
        1.5,
        "Largest scale",
        "Upper end of the random scale. Below 2, thin objects stay recognisable.",
        unit="×",
        ge=1,
        le=4,
        advanced=True,
    )
    flip: bool = setting(
        True, "Mirror", "Mirror half of the images left to right. Turn it off where left and right differ in meaning."
    )
    rare_class_sampling: bool = setting(
        False,
        "Rare-class sampling",
        (
            "Draw source images by class, rare classes more often (DAFormer). The first run counts the classes "
            "of all source labels."
        ),
    )
    rare_class_temperature: float = setting(
        0.01,
        "Rare-class temperature",
        "T in P(c) ∝ exp((1 − f_c)/T). A smaller value draws the rarest classes more often.",
        gt=0,
        le=10,
        advanced=True,
    )
    target_margin_top: float = setting(
        0.0,
        "Top margin",
        "Share of the target image's height, from the top, that gets no pseudo-label. Use it for burnt-in text.",
        ge=0,
        le=0.45,
        advanced=True,
    )
    target_margin_bottom: float = setting(
        0.0,
        "Bottom margin",
        (
            "Share of the target image's height, from the bottom, that gets no pseudo-label. Use it for the "
            "car's bonnet."
        ),
        ge=0,
        le=0.45,
        advanced=True,
    )
    loader_threads: int | None = setting(
        None,
        "Loader threads",
        (
            "Threads that decode images ahead of the training. Empty: one per core, 2 to 8. Their number does not "
            "change the batches."
        ),
        ge=0,
        le=64,
        advanced=True,
    )


class NetworkConfig(Section):
    """The network that is trained."""

    architecture: Architecture = setting(
        Architecture.SEGFORMER,
        "Architecture",
        (
            "The decoder behind the encoder. segformer: light and reliable. daformer: the paper's. dpt, linear: "
            "for plain vision transformers."
        ),
    )
    encoder: str = setting(
        "tu-pvt_v2_b0",
        "Encoder",
        (
            "A name from segmentation-models-pytorch, or tu-NAME for a timm encoder. PVTv2 is close to MiT and "
            "has a permissive licence."
        ),
        min_length=1,
    )
    weights: str = setting(
        "imagenet",
        "Starting weights",
        "imagenet (downloaded from the library's hub), none, or the path of a run, a bundle or a weights file.",
        min_length=1,
    )
    hrda: bool = setting(
        False,
        "Two resolutions (HRDA)",
        (
            "See the whole crop at half resolution and a quarter of it at full resolution, and fuse both. Best "
            "in the paper, at about three times the cost."
        ),
    )


class MaskConfig(Section):
    """How the twins are masked (paper, section 3)."""

    strategy: MaskStrategy = setting(
        MaskStrategy.COMPLEMENTARY,
        "Masks",
        (
            "complementary: a mask and its complement (MaskTwins). random: two independent masks. single: one "
            "mask (MIC). off: no masks."
        ),
        live=True,
    )
    ratio: (
        Annotated[float, Field(ge=0.01, le=0.99)]
        | Annotated[tuple[Annotated[float, Field(ge=0.01, le=0.99)], ...], Field(min_length=1)]
    ) = setting(
        0.5,
        "Mask ratio",
        (
            "Share of blocks hidden in twin A. With a list, each step draws one of its values. 0.5 hides the "
            "same share in both twins."
        ),
        live=True,
    )
    block_size: int = setting(
        64,
        "Block size",
        "Side of a mask block. In the paper, about 1/16 of the crop's side was best (64 at 1024).",
        unit="px",
        ge=1,
        le=1024,
        live=True,
    )
    domain: MaskDomain = setting(
        MaskDomain.TARGET,
        "Masked domain",
        "Which images are masked: target (as in the paper), source, or both.",
        live=True,
    )
    views: int = setting(
        2,
        "Number of masks",
        (
            "Number of complementary masks. Every pixel is visible in exactly one of them. The paper uses 2; "
            "more than 2 split the pixels equally."
        ),
        ge=2,
        le=8,
        live=True,
        advanced=True,
    )
    block_fraction: float = setting(
        0.0,
        "Block size relative to the crop",
        (
            "Side of a mask block as a share of the crop's shorter side, such as 0.0625. At 0, the block size in "
            "pixels is used."
        ),
        ge=0,
        le=1,
        live=True,
        advanced=True,
    )
    level: MaskLevel = setting(
        MaskLevel.IMAGE,
        "Mask level",
        (
            "image: hide pixels (as in the paper). features: encode the whole image once and hide the encoder's "
            "features."
        ),
        advanced=True,
    )

    def block_pixels(self, height: int, width: int) -> int:
        """Side of a block in pixels, in crops of this size."""
        return max(1, round(self.block_fraction * min(height, width))) if self.block_fraction else self.block_size


class AugmentConfig(Section):
    """Augmentations that do not change the labels, and ClassMix."""

    class_mix: bool = setting(
        True, "ClassMix", "Paste half of the source classes onto the target images. This adds L_mix.", live=True
    )
    class_mix_from: PerImage = setting(
        PerImage.IMAGE,
        "ClassMix draws from",
        (
            "image: the classes of each image. batch: the classes of the whole batch, as in the released code; "
            "some may be absent from an image."
        ),
        advanced=True,
    )
    colour_jitter: bool = setting(
        True,
        "Colour jitter",
        "Change brightness, contrast, saturation and hue of the target images at random.",
        live=True,
    )
    jitter_strength: float = setting(
        0.2,
        "Jitter strength",
        "Largest relative change of brightness, contrast, saturation and hue.",
        ge=0,
        le=0.5,
        live=True,
        advanced=True,
    )
    jitter_probability: float = setting(
        0.8, "Jitter probability", "Share of steps with colour jitter.", ge=0, le=1, live=True, advanced=True
    )
    blur: bool = setting(True, "Blur", "Blur the target images in half of the steps (Gaussian).", live=True)
    jitter_model: JitterModel = setting(
        JitterModel.ADDITIVE,
        "Jitter model",
        (
            "additive: adds brightness and scales contrast about black, as in the released code. photometric: "
            "torchvision's, which multiplies brightness and scales contrast about the mean grey."
        ),
        advanced=True,
    )
    adain: bool = setting(
        False,
        "Target style (AdaIN)",
        (
            "Give the source features the mean and spread of the target features before the decoder (figure 1 of "
            "the paper)."
        ),
        advanced=True,
    )


class LossConfig(Section):
    """Weights of the losses. A loss of weight 0 is not computed."""

    mix_weight: float = setting(
        1.0, "Mixed-image weight", "Weight of L_mix, the cross-entropy on ClassMix images.", ge=0, le=100, live=True
    )
    twin_weight: float = setting(
        1.0,
        "Twin weight",
        "Weight of L_cl, the cross-entropy of the twins' predictions against the pseudo-label.",
        ge=0,
        le=100,
        live=True,
    )
    twin_balance: float = setting(
        0.5,
        "Twin balance",
        "λ: share of twin A in L_cl. At 0.5 both twins count the same.",
        ge=0,
        le=1,
        live=True,
        advanced=True,
    )
    consistency_weight: float = setting(
        0.01,
        "Consistency weight",
        "λ_cm: weight of L_cm, the squared difference between the twins' logits.",
        ge=0,
        le=100,
        live=True,
    )
    ramp_steps: int = setting(
        0,
        "Ramp-up",
        (
            "Adaptation steps in which the weights of the unlabelled losses rise from 0 to their values. At 0 "
            "they start at their values."
        ),
        unit="steps",
        ge=0,
        advanced=True,
    )
    feature_distance_weight: float = setting(
        0.0,
        "Feature-distance weight",
        (
            "λ_fd: keeps the encoder's features of source objects close to the pretrained ones (0.005 in the "
            "paper). Needs pretrained weights."
        ),
        ge=0,
        le=100,
        advanced=True,
    )
    feature_distance_classes: str = setting(
        "",
        "Feature-distance classes",
        (
            "Names of the classes that L_fd covers, separated by commas (countable objects in the paper). Empty: "
            "all classes."
        ),
        advanced=True,
    )
