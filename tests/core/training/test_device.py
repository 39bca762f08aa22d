import pytest
import torch

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.training.device import choose_device, resolve

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@no_cuda
def test_without_a_card_the_cpu_is_chosen_and_the_reason_given():
    device, reason = choose_device()
    assert device in ("cpu", "mps")
    assert reason


@no_cuda
def test_asking_for_a_card_that_is_not_there_says_what_to_do():
    with pytest.raises(RunError, match=r"training\.device"):
        choose_device("cuda:1")


def test_what_is_chosen_is_kept():
    assert choose_device("cpu") == ("cpu", "as chosen")
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
