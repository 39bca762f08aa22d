import pytest

from core.configuration import settings
from core.configuration.config import RunConfig
from masktwins_gui.models.relevance import _RULES, idle_reason


@pytest.mark.parametrize(
    ("path", "changes", "words"),
    [
        ("mask.block_size", {"mask.block_fraction": 0.1}, "follows the crop"),
        ("mask.ratio", {"mask.views": 3}, "equal parts"),
        ("mask.ratio", {"mask.strategy": "off"}, "no masks"),
        ("mask.views", {"mask.strategy": "random"}, "not complementary"),
        ("loss.consistency_weight", {"mask.strategy": "single"}, "no second twin"),
        ("loss.twin_balance", {"mask.views": 3}, "alike"),
        ("training.teacher_target_share", {"training.teacher_statistics": "own"}, "not batch"),
        ("augment.jitter_strength", {"augment.colour_jitter": False}, "colour jitter is off"),
    ],
)
def test_a_setting_without_effect_says_why(path, changes, words):
    assert idle_reason(path, RunConfig()) == ""
    assert words in idle_reason(path, settings.with_changes(RunConfig(), changes))


def test_what_waits_for_another_setting():
    config = RunConfig()
    assert "HRDA" in idle_reason("training.last_sub_crop", config)
    on = settings.with_changes(config, {"network.hrda": True, "data.rare_class_sampling": True})
    assert idle_reason("training.last_sub_crop", on) == idle_reason("data.rare_class_temperature", on) == ""


def test_every_rule_is_about_a_setting():
    assert set(_RULES) <= {s.path for s in settings.settings()}
