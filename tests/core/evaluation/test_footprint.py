import pytest
import torch
from torch import nn

from core.configuration.choices import Architecture
from core.evaluation import footprint
from core.evaluation.footprint import bytes_per_pixel, most_pixels
from core.evaluation.predictor import Predictor
from core.networks.segmenter import Head, NetworkDescription, Segmenter
from core.pixels import Normalisation


class Widening(nn.Module):
    """Makes a feature map of 100 channels at the image's size, and no other of that size."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 100, 1), nn.Conv2d(100, 3, 1)

    def forward(self, image):
        return [self.narrow(self.wide(image))]


class First(nn.Module):
    def forward(self, features):
        return features[0]


@pytest.fixture
def predictor():
    description = NetworkDescription(Architecture.UNET, "none")
    head = Head(First(), nn.Identity())
    return Predictor(
        Segmenter(Widening(), head, num_classes=3, stride=1, normalisation=Normalisation(), description=description)
    )


def test_the_largest_feature_maps_are_what_counts(predictor):
    assert 400 <= bytes_per_pixel(predictor) < 400 + 12 * 8  # 100 channels of float32, and a few maps of three channels


def test_asking_changes_and_draws_nothing(predictor):
    predictor.segmenter.train()
    before = {name: value.clone() for name, value in predictor.segmenter.state_dict().items()}
    state = torch.get_rng_state()
    most_pixels(predictor)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in predictor.segmenter.state_dict().items())
    assert predictor.segmenter.training


def test_the_bound_does_not_depend_on_the_machine_while_memory_is_not_short(predictor):
    plenty = most_pixels(predictor, lambda _: 2**40)
    assert most_pixels(predictor, lambda _: 2**36) == plenty
    assert plenty == int(footprint.MOST_BYTES / bytes_per_pixel(predictor))
    short = most_pixels(predictor, lambda _: 2**20)
    assert short * bytes_per_pixel(predictor) <= footprint.SHARE * 2**20
    assert most_pixels(predictor, lambda _: 0) == 1
