"""The lists of encoders say what the libraries really build."""

import pytest

from core.configuration.choices import Architecture
from core.configuration.config import RunConfig
from core.configuration.settings import apply_preset, presets
from core.networks.encoders import ENCODERS, NETWORKS
from core.networks.families import build_empty, check_forward, described
from core.pixels import Normalisation

LARGE = ("mit_b5", "mit_b2")  # of a family whose smallest member is built here, and the large one in test_families


@pytest.mark.parametrize("architecture", Architecture)
def test_every_listed_encoder_fits_its_architecture(architecture):
    for encoder in ENCODERS[architecture]:
        if encoder not in LARGE:
            check_forward(build_empty(described(architecture, encoder), 3, Normalisation()))


def test_the_networks_of_the_guide_and_of_the_presets_are_listed():
    for network in NETWORKS:
        assert network.encoder in ENCODERS[network.architecture]
    for name in presets():
        network = apply_preset(RunConfig(), name).network
        assert network.encoder in ENCODERS[network.architecture], name


def test_the_first_encoder_of_every_list_has_a_permissive_licence():
    for architecture, encoders in ENCODERS.items():
        assert "non-commercial" not in described(architecture, encoders[0]).code_licence
