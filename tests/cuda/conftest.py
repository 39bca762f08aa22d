"""What the tests on a CUDA card share: `pytest -m cuda`.

They are skipped where there is no card. `MASKTWINS_TEST_DEVICE=cpu` runs their bodies on the CPU instead, to see that they
work at all; what only a card can show is then not asserted.
"""

import os

import pytest
import torch

from core.configuration.choices import Precision
from core.networks.device import set_float32_policy
from tests.core.conftest import make_run as make_any_run  # noqa: F401 - the fixture below is made of it
from tests.core.conftest import tiny_data  # noqa: F401

DEVICE = os.environ.get("MASKTWINS_TEST_DEVICE", "cuda")


@pytest.fixture(autouse=True)
def device():
    """The device under test. Its float32 is exact unless a test changes that."""
    if DEVICE.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    policy = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_float32_policy(Precision.FP32, "cuda")
    yield DEVICE
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = policy
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@pytest.fixture
def on_card(device):
    """Whether what only a card can show is asserted."""
    return device.startswith("cuda")


@pytest.fixture
def make_run(make_any_run, device):  # noqa: F811
    """Make a run on the device under test, in float32 unless told otherwise."""

    def make(name="run", **changes):
        return make_any_run(name, **{"training__device": device, "training__precision": "fp32", **changes})

    return make
