"""The configuration of a run: one frozen model per section, one field per setting.

A field carries all that is said about a setting: title, unit, range, default and the reason for the default.
The window's forms, the command line's `--set` and the README's table are generated from these fields (`core.settings`).

Importable without torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.choices import (
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
from core.sections import AugmentConfig, DataConfig, LossConfig, MaskConfig, NetworkConfig, Section, setting

__all__ = [
    "FORMAT_VERSION",
    "Architecture",
    "AugmentConfig",
    "ConfigError",
    "DataConfig",
    "JitterModel",
    "LossConfig",
    "MaskConfig",
    "MaskDomain",
    "MaskLevel",
    "MaskStrategy",
    "NetworkConfig",
    "PerImage",
    "Precision",
    "RunConfig",
    "Section",
    "SubCrops",
    "TeacherStatistics",
    "TrainingConfig",
    "TwinForward",
]

FORMAT_VERSION = 1


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names the setting, the value and the remedy."""


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
        has_pooling = self.network.architecture in (Architecture.DEEPLABV3PLUS, Architecture.UPERNET)
        if has_pooling and min(self.training.batch_size, self.training.target_batch) < 2:
            name = "batch_size" if self.training.batch_size < 2 else "target_batch_size"
            raise ValueError(
                f"training.{name} 1 is too small for {self.network.architecture.value}: its image pooling needs 2 or more"
            )
        block = self.mask.block_pixels(*self.training.crop_hw)
        if min(self.training.crop_hw) < block and self.mask.strategy is not MaskStrategy.OFF:
            raise ValueError(
                f"mask.block_size {block} is larger than the crop {self.training.crop_hw}: "
                f"lower it to about {max(1, min(self.training.crop_hw) // 16)}"
            )
        if self.mask.views > 2 and self.mask.strategy is not MaskStrategy.COMPLEMENTARY:
            raise ValueError(f"mask.views {self.mask.views} needs mask.strategy complementary")
        training = self.training
        if training.twin_sub_crops is SubCrops.SEPARATE and training.twin_forward is not TwinForward.SEPARATE:
            raise ValueError("training.twin_sub_crops separate needs training.twin_forward separate")
        if training.twin_sub_crops is SubCrops.SEPARATE and self.mask.level is MaskLevel.FEATURES:
            raise ValueError(
                "training.twin_sub_crops separate cannot be with mask.level features: the views share one look"
            )
        if self.loss.feature_distance_weight and self.network.weights == "none":
            raise ValueError("loss.feature_distance_weight needs pretrained starting weights: set network.weights")
        return self
