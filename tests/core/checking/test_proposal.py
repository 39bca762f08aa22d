import pytest

from core.checking.proposal import propose
from core.checking.statistics import DomainStatistics
from core.configuration import settings
from core.configuration.config import RunConfig


def camera(height, width, num=500):
    return DomainStatistics(num, num, num, (((height, width), num),), 0, 0, 0, 0, 0, ())


def proposal(source=(1080, 1920), target=(1080, 1920), device="cuda", num=5000):
    return propose({"source": camera(*source, num), "target": camera(*target, num)}, device)


@pytest.mark.parametrize(
    ("source", "target", "device", "preset", "crop"),
    [
        ((1080, 1920), (1080, 1920), "cuda", "standard", 512),
        ((1080, 1920), (1080, 1920), "cuda:1", "standard", 512),
        ((1080, 1920), (1080, 1920), "cpu", "quick", 160),
        ((1080, 1920), (1080, 1920), "mps", "quick", 160),
        ((128, 192), (128, 192), "cuda", "standard", 128),
        ((128, 192), (720, 1280), "cpu", "quick", 128),
        ((720, 1280), (400, 300), "cuda", "standard", 288),
        ((40, 40), (40, 40), "cpu", "quick", 64),
    ],
)
def test_crop_and_preset_follow_the_images_and_the_device(source, target, device, preset, crop):
    found = proposal(source, target, device)
    assert (found.preset, found.crop) == (preset, crop)
    assert found.crop % 32 == 0


def test_small_sets_of_images_get_fewer_steps_and_small_crops_larger_batches():
    few = proposal((128, 192), (128, 192), "cuda", num=60)
    assert few.batch == 8
    assert few.steps == 1500
    assert few.changes["training.source_steps"] == 375
    many = proposal(num=5000)
    assert (many.batch, many.steps) == (4, 16000)
    assert proposal(num=3).steps == 500


@pytest.mark.parametrize("size", [(40, 40), (128, 192), (1080, 1920)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_proposed_is_a_valid_configuration(size, device):
    found = proposal(size, size, device)
    config = settings.with_changes(settings.apply_preset(RunConfig(), found.preset), found.changes)
    assert config.mask.block_pixels(*config.training.crop_hw) * 16 == found.crop
    assert len(found.reasons) == 4
    assert str(found.crop) in found.reasons[1]


def test_without_both_cameras_nothing_is_proposed():
    assert propose({"source": camera(10, 10)}, "cpu") is None
    assert (
        propose({"source": camera(10, 10), "target": DomainStatistics(1, 0, 0, (), 0, 0, 0, 0, 0, ())}, "cpu") is None
    )
