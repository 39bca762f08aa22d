"""The section `[training]` of a run's configuration: length, speed and hardware. Importable without torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from core.configuration.choices import PerImage, Precision, SubCrops, TeacherStatistics, TwinForward
from core.configuration.setting import Section, setting


class TrainingConfig(Section):
    """Length, speed and hardware of the training."""

    steps: int = setting(
        4000, "Adaptation steps", "Steps with both cameras, after the source-only steps.", ge=0, le=10_000_000
    )
    source_steps: int = setting(
        1000,
        "Source-only steps",
        (
            "Steps on the labelled camera alone. The model after them is the “before” of every comparison. Use 0 "
            "if the starting weights are already trained."
        ),
        ge=0,
        le=10_000_000,
    )
    batch_size: int = setting(
        2,
        "Batch size",
        "Images of each camera per step. The paper uses 2; use more if the memory allows it.",
        ge=1,
        le=1024,
    )
    target_batch_size: int | None = setting(
        None,
        "Target images per step",
        (
            "Empty: as many as source images. 1: as in the released code, one image for the twins and for all "
            "mixed images."
        ),
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
        "Learning rate of the encoder. 6e-5 suits pretrained encoders (paper).",
        gt=0,
        le=1,
        live=True,
    )
    head_multiplier: float = setting(
        10.0,
        "Decoder rate multiplier",
        "Learning rate of the decoder relative to the encoder's (10 in the paper).",
        gt=0,
        le=1000,
        live=True,
        advanced=True,
    )
    warmup_steps: int | None = setting(
        None,
        "Warm-up",
        "Steps in which the learning rate rises linearly. Empty: min(1500, total steps / 10).",
        unit="steps",
        ge=0,
        advanced=True,
    )
    ema_alpha: float = setting(
        0.999,
        "Teacher decay α",
        (
            "Share of the teacher's weights kept at each step. Use 0.999 for ten thousand steps or more and 0.99 "
            "for a thousand."
        ),
        ge=0,
        lt=1,
        live=True,
    )
    teacher_statistics: TeacherStatistics = setting(
        TeacherStatistics.BATCH,
        "Teacher batch norm",
        (
            "batch: statistics of the target batch, as in the released code. averaged: an average of the "
            "student's statistics. own: running statistics of unmasked target images."
        ),
        advanced=True,
    )
    teacher_target_share: float = setting(
        0.5,
        "Target share in batch norm",
        (
            "With teacher batch norm = batch: the evaluated and exported teacher mixes target statistics (this "
            "share) with the student's running statistics (the rest). 1 was best across a wide gap and 0 with "
            "two classes; 0.5 was close to the better one in both."
        ),
        ge=0,
        le=1,
        advanced=True,
    )
    masked_statistics: bool = setting(
        False,
        "Masked images update batch norm",
        (
            "On: masked images update the student's running statistics, as in the released code. Off: hidden "
            "pixels do not bias them."
        ),
        advanced=True,
    )
    pseudo_label_threshold: float = setting(
        0.968,
        "Confidence threshold",
        "τ: the share of pixels with at least this confidence is the weight q of a pseudo-label.",
        ge=0,
        le=1,
        live=True,
    )
    pseudo_label_share: PerImage = setting(
        PerImage.IMAGE,
        "Pseudo-label weight",
        (
            "image: q is the share of confident pixels in each image. batch: in the whole batch, as in the "
            "released code, whose batch is one image."
        ),
        advanced=True,
    )
    twin_forward: TwinForward = setting(
        TwinForward.BATCHED,
        "Twin forward pass",
        "batched: both twins in one pass (faster). separate: two passes, as in the released code.",
        advanced=True,
    )
    twin_sub_crops: SubCrops = setting(
        SubCrops.SHARED,
        "Twin sub-crops",
        (
            "With HRDA. shared: both twins see the same sub-crop, so their logits can be compared. separate: as "
            "in the released code."
        ),
        advanced=True,
    )
    last_sub_crop: bool = setting(
        True,
        "Sub-crop at the border",
        "With HRDA. Let the sub-crop touch the lower and right border. The released code never draws that position.",
        advanced=True,
    )
    seed: int = setting(0, "Seed", "Determines every random draw of the run.", ge=0, le=2**31 - 1)
    device: str = setting(
        "auto", "Device", "auto, cpu, cuda, cuda:1 and so on, or mps.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    precision: Precision = setting(
        Precision.AUTO,
        "Precision",
        (
            "auto: bf16 on CUDA cards that support it, otherwise fp32. On a CPU, bf16 is faster only with "
            "AVX-512 BF16 or AMX."
        ),
    )
    gradient_checkpointing: bool = setting(
        False,
        "Gradient checkpointing",
        (
            "Compute the encoder's activations a second time in the backward pass instead of keeping them. Needs much "
            "less memory and about a third more time per step. The losses stay the same."
        ),
        advanced=True,
    )
    accumulation: int = setting(
        1,
        "Gradient accumulation",
        (
            "Number of parts that each batch goes through the network in, one after the other. Needs less memory. The "
            "gradient is that of the whole batch, except that batch norm sees one part at a time."
        ),
        ge=1,
        le=1024,
        advanced=True,
    )
    compile: bool = setting(
        False,
        "Compile",
        "Let torch.compile fuse the network's kernels. The start takes minutes longer; long runs on a GPU gain.",
        advanced=True,
    )
    sync_batch_norm: bool = setting(
        True,
        "Batch norm across GPUs",
        "With several processes on GPUs: compute batch norm over the images of all of them (SyncBatchNorm).",
        advanced=True,
    )
    threads: int = setting(
        0, "CPU threads", "Threads for the arithmetic on the CPU. 0: torch decides.", ge=0, le=1024, advanced=True
    )
    log_interval: int = setting(
        10, "Log every", "Steps between two points of the curves.", unit="steps", ge=1, live=True, advanced=True
    )
    evaluation_interval: int = setting(
        500,
        "Evaluate every",
        "Steps between two evaluations. 0: only at the end.",
        unit="steps",
        ge=0,
        live=True,
        advanced=True,
    )
    checkpoint_interval: int = setting(
        500,
        "Checkpoint every",
        "Steps between two checkpoints. A stop always saves one.",
        unit="steps",
        ge=1,
        live=True,
        advanced=True,
    )
    keep_checkpoints: int = setting(
        3,
        "Checkpoints kept",
        "Number of newest checkpoints kept, in addition to the best one and the source-only one.",
        ge=1,
        le=10_000,
        advanced=True,
    )
    preview_interval: int = setting(
        50, "Preview every", "Steps between two previews. 0: none.", unit="steps", ge=0, live=True, advanced=True
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
