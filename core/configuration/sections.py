"""The sections of a run's configuration but for the training's: one frozen model each, one field per setting.

A field carries all that is said about a setting: title, unit, range, default and the reason for the default.
Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from core.configuration.choices import (
    Architecture,
    JitterModel,
    MaskDomain,
    MaskLevel,
    MaskStrategy,
    PerImage,
    Precision,
    SubCrops,
    TeacherStatistics,
    TwinForward,
)


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


class TrainingConfig(Section):
    """How long, how fast, and on what."""

    steps: int = setting(
        4000, "Adaptation steps", "Steps with both cameras, after the source-only ones.", ge=0, le=10_000_000
    )
    source_steps: int = setting(
        1000,
        "Source-only steps",
        "Steps on the labelled camera alone; their end is the honest 'before'. 0 when the starting weights are trained already.",
        ge=0,
        le=10_000_000,
    )
    batch_size: int = setting(
        2, "Batch size", "Images of each camera per step. 2 as in the paper; raise it with the memory.", ge=1, le=1024
    )
    target_batch_size: int | None = setting(
        None,
        "Target images per step",
        "Empty: as many as source images. 1: as released, one for the twins and for all mixed images.",
        ge=1,
        le=1024,
        advanced=True,
    )
    crop_size: (
        Annotated[int, Field(ge=16, le=8192)]
        | tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]]
    ) = setting(512, "Crop size", "Side of the training crops, or [height, width].", unit="px")
    learning_rate: float = setting(
        6e-5,
        "Learning rate",
        "Of the encoder; the head learns ten times as fast. 6e-5 for pretrained encoders (paper).",
        gt=0,
        le=1,
        live=True,
    )
    head_multiplier: float = setting(
        10.0,
        "Head's multiplier",
        "Learning rate of the head relative to the encoder's (10 in the paper).",
        gt=0,
        le=1000,
        live=True,
        advanced=True,
    )
    warmup_steps: int | None = setting(
        None,
        "Warm-up",
        "Steps of linear warm-up. Empty: min(1500, total steps / 10).",
        unit="steps",
        ge=0,
        advanced=True,
    )
    ema_alpha: float = setting(
        0.999,
        "Teacher α",
        "Inertia of the teacher. 0.999 for ten thousand steps and more, 0.99 for a thousand.",
        ge=0,
        lt=1,
        live=True,
    )
    teacher_statistics: TeacherStatistics = setting(
        TeacherStatistics.BATCH,
        "Teacher's batch norm",
        "batch: statistics of the target batch, as released. averaged: the student's buffers, averaged. own: the teacher's "
        "running statistics of clean target images.",
        advanced=True,
    )
    teacher_target_share: float = setting(
        0.5,
        "Target's share in it",
        "With batch: share of the target's statistics in those the teacher is measured and exported with; the rest are the "
        "student's. 1 was best across a wide gap, 0 with two classes; half is never far from the better.",
        ge=0,
        le=1,
        advanced=True,
    )
    masked_statistics: bool = setting(
        False,
        "Masked images move batch norm",
        "Whether masked forwards move the student's running statistics, as in the released code. Off: masked pixels do not "
        "bias what the student normalises with afterwards.",
        advanced=True,
    )
    pseudo_label_threshold: float = setting(
        0.968,
        "Confidence threshold",
        "τ: pixels at least this sure make up the weight q of a pseudo-label.",
        ge=0,
        le=1,
        live=True,
    )
    pseudo_label_share: PerImage = setting(
        PerImage.IMAGE,
        "Weight q of",
        "image: the share of sure pixels of each image. batch: of the whole batch, as released (whose batch is one image).",
        advanced=True,
    )
    twin_forward: TwinForward = setting(
        TwinForward.BATCHED,
        "Twin forward",
        "batched: both twins in one pass (faster). separate: two passes, as released.",
        advanced=True,
    )
    twin_sub_crops: SubCrops = setting(
        SubCrops.SHARED,
        "Twins' sub-crops",
        "With HRDA. shared: the twins look at the same detail, so that their logits can be compared. separate: as released.",
        advanced=True,
    )
    last_sub_crop: bool = setting(
        True,
        "Last sub-crop",
        "With HRDA. Whether the detail may touch the lower and right border; the released code never draws that position.",
        advanced=True,
    )
    seed: int = setting(0, "Seed", "Every random draw follows from it.", ge=0, le=2**31 - 1)
    device: str = setting(
        "auto", "Device", "auto, cpu, cuda, cuda:1 … or mps.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    precision: Precision = setting(
        Precision.AUTO,
        "Precision",
        "auto: bf16 on CUDA cards that have it, else fp32. bf16 on a CPU pays off with AVX-512 BF16 or AMX.",
    )
    compile: bool = setting(
        False,
        "Compile",
        "Let torch.compile fuse the network's kernels. Takes minutes at the start; pays off in long runs on a GPU.",
        advanced=True,
    )
    sync_batch_norm: bool = setting(
        True,
        "Batch norm over all GPUs",
        "With several processes on GPUs: batch norm sees the images of all of them (SyncBatchNorm).",
        advanced=True,
    )
    threads: int = setting(
        0, "CPU threads", "Threads of the arithmetic on the CPU; 0 leaves torch's choice.", ge=0, le=1024, advanced=True
    )
    log_interval: int = setting(
        10, "Log every", "Steps between two points of the curves.", unit="steps", ge=1, live=True, advanced=True
    )
    evaluation_interval: int = setting(
        500,
        "Evaluate every",
        "Steps between two evaluations on labelled target images; 0: at the end only.",
        unit="steps",
        ge=0,
        live=True,
        advanced=True,
    )
    checkpoint_interval: int = setting(
        500,
        "Checkpoint every",
        "Steps between two checkpoints. A stop always leaves one.",
        unit="steps",
        ge=1,
        live=True,
        advanced=True,
    )
    keep_checkpoints: int = setting(
        3,
        "Checkpoints kept",
        "Newest checkpoints kept, besides the best one and the source-only one.",
        ge=1,
        le=10_000,
        advanced=True,
    )
    preview_interval: int = setting(
        50,
        "Preview every",
        "Steps between two previews of the canary frames; 0: none.",
        unit="steps",
        ge=0,
        live=True,
        advanced=True,
    )

    @property
    def total_steps(self) -> int:
        return self.source_steps + self.steps

    @property
    def warmup(self) -> int:
        return min(1500, self.total_steps // 10) if self.warmup_steps is None else self.warmup_steps

    @property
    def target_batch(self) -> int:
        """Target images per step."""
        return self.batch_size if self.target_batch_size is None else self.target_batch_size

    @property
    def crop_hw(self) -> tuple[int, int]:
        """(height, width) of the training crops in pixels."""
        return (self.crop_size, self.crop_size) if isinstance(self.crop_size, int) else self.crop_size
