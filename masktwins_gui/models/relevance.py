"""Which settings have no effect under the present configuration, and why."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication

from core.configuration.choices import Architecture, MaskStrategy, TeacherStatistics
from core.configuration.config import RunConfig

Rule = tuple[Callable[[RunConfig], bool], str]

_NO_MASKS: Rule = (lambda c: c.mask.strategy is MaskStrategy.OFF, "there are no masks")
_NO_PAIR: Rule = (lambda c: c.mask.strategy in (MaskStrategy.OFF, MaskStrategy.SINGLE), "there is no second twin")
_NO_JITTER: Rule = (lambda c: not c.augment.colour_jitter, "colour jitter is off")
_NO_HRDA: Rule = (lambda c: not c.network.hrda, "two resolutions (HRDA) are off")

_RULES: dict[str, tuple[Rule, ...]] = {
    "mask.ratio": (_NO_MASKS, (lambda c: c.mask.views > 2, "more than two complementary masks are equal parts")),
    "mask.block_size": ((lambda c: c.mask.block_fraction > 0, "the block size follows the crop (Advanced)"),),
    "mask.domain": (_NO_MASKS,),
    "mask.level": (_NO_MASKS,),
    "mask.views": ((lambda c: c.mask.strategy is not MaskStrategy.COMPLEMENTARY, "the masks are not complementary"),),
    "loss.twin_weight": (_NO_MASKS,),
    "loss.twin_balance": (_NO_PAIR, (lambda c: c.mask.views > 2, "more than two views count alike")),
    "loss.consistency_weight": (_NO_PAIR,),
    "loss.mix_weight": ((lambda c: not c.augment.class_mix, "ClassMix is off"),),
    "loss.feature_distance_classes": (
        (lambda c: c.loss.feature_distance_weight == 0, "the weight of the feature distance is 0"),
    ),
    "augment.class_mix_from": ((lambda c: not c.augment.class_mix, "ClassMix is off"),),
    "augment.jitter_strength": (_NO_JITTER,),
    "augment.jitter_probability": (_NO_JITTER,),
    "augment.jitter_model": (_NO_JITTER,),
    "data.rare_class_temperature": ((lambda c: not c.data.rare_class_sampling, "rare classes first is off"),),
    "training.teacher_target_share": (
        (
            lambda c: c.training.teacher_statistics is not TeacherStatistics.BATCH,
            "the teacher's batch norm is not batch",
        ),
    ),
    "training.twin_sub_crops": (_NO_HRDA,),
    "training.last_sub_crop": (_NO_HRDA,),
}

# Usual encoders of each architecture, the first ones permissively licensed.
ENCODERS: dict[Architecture, tuple[str, ...]] = {
    Architecture.SEGFORMER: ("tu-pvt_v2_b0", "tu-pvt_v2_b2", "tu-convnext_tiny", "resnet50", "mit_b0", "mit_b2"),
    Architecture.UNET: ("resnet34", "tu-pvt_v2_b0", "tu-convnext_tiny", "efficientnet-b0"),
    Architecture.DEEPLABV3PLUS: ("resnet50", "mobilenet_v2", "efficientnet-b0", "tu-convnext_tiny"),
    Architecture.DAFORMER: ("tu-pvt_v2_b2", "tu-convnext_tiny", "mit_b0", "mit_b5"),
    Architecture.UPERNET: ("tu-convnext_tiny", "tu-swin_tiny_patch4_window7_224", "tu-pvt_v2_b0"),
    Architecture.DPT: ("tu-vit_small_patch14_dinov2", "tu-vit_small_patch16_dinov3", "tu-vit_small_patch16_224"),
    Architecture.LINEAR: ("tu-vit_small_patch14_dinov2", "tu-vit_small_patch16_dinov3", "tu-pvt_v2_b0"),
}


def idle_reason(path: str, config: RunConfig) -> str:
    """Why a setting has no effect, in words; empty when it has one."""
    for is_idle, reason in _RULES.get(path, ()):
        if is_idle(config):
            return QCoreApplication.translate("Relevance", reason)
    return ""
