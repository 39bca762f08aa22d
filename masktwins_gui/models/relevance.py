"""Which settings have no effect under the present configuration, and why."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication

from core.configuration.choices import MaskStrategy, TeacherStatistics
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


def idle_reason(path: str, config: RunConfig) -> str:
    """Why a setting has no effect, in words; empty when it has one."""
    for is_idle, reason in _RULES.get(path, ()):
        if is_idle(config):
            return QCoreApplication.translate("Relevance", reason)
    return ""
