"""Three whole steps of the released code, plain and HRDA: our step with its weights, its draws and its choices."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.core.golden_steps import (
    KINDS,
    STEPS,
    Done,
    gradient_pairs,
    label_pairs,
    make_step,
    optimised,
    read_arrays,
    recorded_losses,
    recorded_steps,
    tensors,
)


@pytest.fixture(scope="module", params=KINDS)
def recorded(request, golden_folder: Path) -> SimpleNamespace:
    path = golden_folder / f"golden_step_{request.param}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        pytest.skip(f"{path.name} is not here: set MASKTWINS_GOLDEN to the folder that holds it")
    return SimpleNamespace(kind=request.param, arrays=arrays, done={})


@pytest.fixture(params=STEPS)
def i(request, recorded) -> int:
    """A step that is recorded."""
    if request.param not in recorded_steps(recorded.arrays):
        pytest.skip(f"step {request.param} is in the full set alone: set MASKTWINS_GOLDEN to the folder that holds it")
    return request.param


def run_step(recorded: SimpleNamespace, i: int) -> Done:
    """Step i, made once for all tests."""
    if i not in recorded.done:
        recorded.done[i] = make_step(recorded.kind, recorded.arrays, i)
    return recorded.done[i]


def test_losses(recorded, i):
    found, expected = run_step(recorded, i).losses, recorded_losses(recorded.arrays, i)
    assert found.keys() == expected.keys()
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-6), name


def test_pseudo_labels_and_mixed_images(recorded, i):
    (logits, released), *exact = label_pairs(run_step(recorded, i), recorded.arrays, i)
    torch.testing.assert_close(logits, released, rtol=0, atol=1e-5)
    for mine, theirs in exact:
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_gradients(recorded, i):
    for name, (mine, theirs) in gradient_pairs(run_step(recorded, i), recorded.arrays, i).items():
        if theirs.numel():
            assert (mine - theirs).abs().max() < 1e-5 * theirs.abs().max(), name


def test_teacher_and_buffers(recorded, i):
    done = run_step(recorded, i)
    for name, value in tensors(recorded.arrays, f"{i}/ema/").items():
        torch.testing.assert_close(done.teacher.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)
    buffers = dict(done.student.named_buffers())
    released = tensors(recorded.arrays, f"{i}/after/")
    assert buffers.keys() <= released.keys()
    for name, buffer in buffers.items():
        torch.testing.assert_close(buffer, released[name], rtol=1e-5, atol=1e-6, msg=name)


def test_weights_after_the_optimiser(recorded, i):
    """The recorded gradients through our AdamW, whose moments come from the steps before."""
    released = tensors(recorded.arrays, f"{i}/after/")
    for name, parameter in optimised(recorded.kind, recorded.arrays, i).named_parameters():
        torch.testing.assert_close(parameter.detach(), released[name], rtol=1e-6, atol=1e-7, msg=name)
