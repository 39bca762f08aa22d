"""The configuration of a run, and the rules that hold across its sections. Importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from core.configuration.choices import Architecture, MaskLevel, MaskStrategy, SubCrops, TwinForward
from core.configuration.sections import AugmentConfig, DataConfig, LossConfig, MaskConfig, NetworkConfig
from core.configuration.setting import Section
from core.configuration.training import TrainingConfig

FORMAT_VERSION = 1


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
            raise ValueError("training.steps and training.source_steps are both 0: there is nothing to train")
        has_pooling = self.network.architecture in (Architecture.DEEPLABV3PLUS, Architecture.UPERNET)
        smallest = min(self.training.batch_size, self.training.target_batch) // self.training.accumulation
        if has_pooling and smallest < 2:
            name = "batch_size" if self.training.batch_size <= self.training.target_batch else "target_batch_size"
            parts = f" in {self.training.accumulation} parts" if self.training.accumulation > 1 else ""
            raise ValueError(
                f"training.{name} {getattr(self.training, name)}{parts} is too small for {self.network.architecture.value}, "
                "whose image pooling needs at least 2 images"
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
        for name, size in (("batch_size", training.batch_size), ("target_batch_size", training.target_batch)):
            if size % training.accumulation:
                raise ValueError(
                    f"training.{name} {size} cannot be divided into training.accumulation {training.accumulation} equal parts: "
                    f"set it to a multiple of {training.accumulation}"
                )
        if training.compile and training.gradient_checkpointing:
            raise ValueError(
                "training.compile does not work with training.gradient_checkpointing: set one of them to false"
            )
        if training.twin_sub_crops is SubCrops.SEPARATE and training.twin_forward is not TwinForward.SEPARATE:
            raise ValueError("training.twin_sub_crops separate needs training.twin_forward separate")
        if training.twin_sub_crops is SubCrops.SEPARATE and self.mask.level is MaskLevel.FEATURES:
            raise ValueError(
                "training.twin_sub_crops separate does not work with mask.level features, where the twins share one encoder pass"
            )
        if self.loss.feature_distance_weight and self.network.weights == "none":
            raise ValueError("loss.feature_distance_weight needs pretrained starting weights; network.weights is none")
        return self
