import pytest
import torch

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.training.device import resolve

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_what_is_chosen_is_kept():
    compute = resolve(TrainingConfig(device="cpu", threads=3))
    assert (compute.precision, compute.threads) == (Precision.FP32, 3)
    assert resolve(TrainingConfig(device="cpu", precision=Precision.BF16)).precision is Precision.BF16


@cuda
def test_auto_precision_on_a_card():
    compute = resolve(TrainingConfig())
    assert compute.device.startswith("cuda")
    assert compute.channels_last
    expected = Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP32
    assert compute.precision is expected
