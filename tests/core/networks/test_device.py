import pytest
import torch

from core.configuration.choices import Precision
from core.errors import RunError
from core.networks.device import autocast, choose_device, resolve_precision, set_float32_policy

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


@no_cuda
def test_without_a_card_the_cpu_is_chosen_and_the_reason_given():
    device, reason = choose_device()
    assert device in ("cpu", "mps")
    assert reason


@no_cuda
def test_asking_for_a_card_that_is_not_there_says_what_to_do():
    with pytest.raises(RunError, match=r"training\.device, or --device"):
        choose_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "tpu:0", ""])
def test_a_name_that_is_no_device_is_refused_in_words(name):
    with pytest.raises(RunError, match="There is no device"):
        choose_device(name)


def test_the_cpu_is_kept_when_it_is_chosen():
    assert choose_device("cpu") == ("cpu", "as chosen")


def test_precision_on_a_cpu_is_float32_unless_asked_for():
    assert resolve_precision(Precision.AUTO, "cpu") is Precision.FP32
    assert resolve_precision(Precision.BF16, "cpu") is Precision.BF16


def test_autocast_computes_in_the_precision_that_it_names():
    x = torch.ones(2, 2)
    for precision, dtype in ((Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16)):
        with autocast(precision, "cpu")():
            assert (x @ x).dtype is dtype


@pytest.fixture
def kept_policy():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield before
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_float32_is_exact_unless_the_run_computes_in_bf16(kept_policy):
    for precision, allowed in ((Precision.BF16, True), (Precision.FP32, False)):
        set_float32_policy(precision, "cuda")
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (allowed, allowed)


def test_the_policy_of_a_card_is_left_alone_on_a_cpu(kept_policy):
    set_float32_policy(Precision.BF16, "cpu")
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == kept_policy
