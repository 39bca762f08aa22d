import pytest

from core.configuration import settings
from core.configuration.config import RunConfig
from masktwins_gui.models.presets import preset_changes


@pytest.mark.parametrize("name", settings.presets())
def test_on_the_defaults_it_is_what_the_preset_says(name):
    assert settings.with_changes(RunConfig(), preset_changes(name)) == settings.apply_preset(RunConfig(), name)


def test_nothing_of_another_preset_stays():
    paper = settings.with_changes(RunConfig(), preset_changes("paper"))
    assert paper.network.hrda
    assert paper.data.rare_class_sampling
    quick = settings.with_changes(paper, preset_changes("quick"))
    assert not quick.network.hrda
    assert not quick.data.rare_class_sampling
    assert quick.loss.feature_distance_weight == 0


def test_folders_seed_and_device_are_the_user_s():
    assert not {"data.source_images", "training.seed", "training.device"} & preset_changes("paper").keys()
