"""The configuration of a run: one frozen model per section, one field per setting.

A field carries all that is said about a setting: title, unit, range, default and the reason for the default.
The window's forms, the command line's `--set` and the README's table are generated from these fields (`core.settings`).

Importable without torch.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 1


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names the setting, the value and the remedy."""


class Architecture(StrEnum):
    SEGFORMER = "segformer"
    UNET = "unet"
    DEEPLABV3PLUS = "deeplabv3plus"


class MaskStrategy(StrEnum):
    COMPLEMENTARY = "complementary"
    RANDOM = "random"
    SINGLE = "single"
    OFF = "off"


class MaskDomain(StrEnum):
    TARGET = "target"
    SOURCE = "source"
    BOTH = "both"


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
        "Decoder family. SegFormer: light and the steadiest of the three in adaptation.",
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


class MaskConfig(Section):
    """How the twins are masked (method section 5)."""

    strategy: MaskStrategy = setting(
        MaskStrategy.COMPLEMENTARY,
        "Masks",
        "complementary: a mask and its complement (MaskTwins). random: two independent masks. single: one (MIC). off: none.",
        live=True,
    )
    ratio: Annotated[float, Field(ge=0.01, le=0.99)] | tuple[Annotated[float, Field(ge=0.01, le=0.99)], ...] = setting(
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


class AugmentConfig(Section):
    """Changes of the images that leave the labels alone, and ClassMix."""

    class_mix: bool = setting(
        True, "ClassMix", "Paste half of the source's classes onto the target images (L_mix).", live=True
    )
    colour_jitter: bool = setting(
        True,
        "Colour jitter",
        "Brightness, contrast, saturation and hue of target images, as in the released code.",
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
    twin_forward: TwinForward = setting(
        TwinForward.BATCHED,
        "Twin forward",
        "batched: both twins in one pass (faster). separate: two passes, as released.",
        advanced=True,
    )
    seed: int = setting(0, "Seed", "Every random draw follows from it.", ge=0, le=2**31 - 1)
    device: str = setting(
        "auto", "Device", "auto, cpu, cuda, cuda:1 … or mps.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    precision: Precision = setting(
        Precision.AUTO,
        "Precision",
        "auto: bf16 on CUDA cards that have it, else fp32. bf16 on a CPU pays off with AMX.",
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
    def crop_hw(self) -> tuple[int, int]:
        """(height, width) of the training crops in pixels."""
        return (self.crop_size, self.crop_size) if isinstance(self.crop_size, int) else self.crop_size


class RunConfig(Section):
    """All settings of a run."""

    format_version: Literal[1] = FORMAT_VERSION
    data_fingerprint: str = Field(
        default="", description="Fingerprint of the data as listed when the run started; set by the program."
    )
    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    mask: MaskConfig = MaskConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        if self.data.scale_min > self.data.scale_max:
            raise ValueError(f"data.scale_min {self.data.scale_min} is above data.scale_max {self.data.scale_max}")
        if self.training.total_steps < 1:
            raise ValueError("training.steps and training.source_steps are both 0: nothing to train")
        if self.network.architecture is Architecture.DEEPLABV3PLUS and self.training.batch_size < 2:
            raise ValueError("training.batch_size 1 is too small for deeplabv3plus: its image pooling needs 2 or more")
        if min(self.training.crop_hw) < self.mask.block_size and self.mask.strategy is not MaskStrategy.OFF:
            raise ValueError(
                f"mask.block_size {self.mask.block_size} is larger than the crop {self.training.crop_hw}: "
                f"lower it to about {max(1, min(self.training.crop_hw) // 16)}"
            )
        return self
