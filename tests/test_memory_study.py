"""The estimate of memory behind the presets' texts, `tests/studies/memory.py`."""

import re

import pytest

from core.configuration.choices import Precision
from core.configuration.config import RunConfig
from core.configuration.settings import presets, with_changes
from tests.studies.memory import peak_gib


@pytest.fixture
def small():
    changes = {"network.encoder": "tu-pvt_v2_b0", "training.crop_size": 128, "training.batch_size": 2}
    return lambda precision=Precision.FP32, **more: peak_gib(
        with_changes(RunConfig(), {**changes, **{k.replace("__", "."): v for k, v in more.items()}}), precision
    )


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_what_needs_less_memory_is_estimated_at_less(small):
    plain = small()
    assert small(training__gradient_checkpointing=True) < 0.7 * plain
    assert small(training__accumulation=2) < 0.8 * plain
    assert small(Precision.BF16) < 0.9 * plain
    assert small(training__crop_size=256) > 2 * plain


def test_every_preset_names_its_memory():
    for name, description in presets().items():
        assert re.search(r"\d GiB \(estimated\)|CPU", str(description)), name
