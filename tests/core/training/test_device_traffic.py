"""What a training step sends between host and device, found without a GPU.

The real session trains one step on simulated CUDA tensors (FakeTensorMode): shapes, types and devices are real, values are
not. What mixes devices or reads a value raises; a dispatch mode counts the copies. A simulated backward would ask the
driver, so it is replaced here; a real one is watched on the CPU below, and on a card in `tests/cuda`.
"""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.configuration.choices import Precision
from core.loading.sampling import Batch
from core.method import step as steps
from core.method import transfer
from core.method.masks import enlarge
from core.method.student import Student
from core.networks.build import build
from core.runs.create import list_run
from core.training.optim import StepGuard, build_optimizer
from core.training.session import Session
from tests.core.fake_cuda import fake_card, move_there, without_backward
from tests.core.tiny import tiny_config

SMALL = 64 * 1024  # bytes: CUDA copies of up to this size never wait for the stream
CROP = 320  # whose mask of one byte per pixel and image is larger
READS = ("_local_scalar_dense", "nonzero", "equal.default", "is_nonzero", "masked_select", "unique")


class Traffic(TorchDispatchMode):
    """Counts copies in both directions while it is active, and fails where the host asks for a value."""

    def __init__(self):
        super().__init__()
        self.sent = []  # bytes of each copy to the device
        self.returned = []  # bytes of each copy to the host

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = str(func)
        assert not any(f"aten.{read}" in name for read in READS), f"{name}: the host waits for a value"
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        found = func(*args, **kwargs)
        outputs = [x for x in tree_leaves(found) if isinstance(x, torch.Tensor)]
        if name.startswith(("aten._to_copy", "aten.copy_")):
            self._count(name, args, kwargs, inputs[-1], outputs[0])
        elif any(x.device.type == "cuda" for x in (*inputs, *outputs)):
            on_host = [tuple(x.shape) for x in inputs if x.device.type == "cpu" and x.dim() > 0]
            assert not on_host, f"{name} reads {on_host} from the host"
        return found

    def _count(self, name, args, kwargs, source, copy):
        kinds = source.device.type, copy.device.type
        if kinds == ("cpu", "cuda"):
            patient = kwargs.get("non_blocking", args[2] if "copy_" in name and len(args) > 2 else False)
            assert patient, f"{name}: the host waits for a copy of {tuple(source.shape)}"
            self.sent.append(source.numel() * source.element_size())
        if kinds == ("cuda", "cpu"):
            self.returned.append(source.numel() * source.element_size())


def batch(count=2):
    rng = np.random.default_rng(0)
    shape = (count, CROP, CROP)
    images = [torch.from_numpy(rng.integers(0, 256, (count, 3, *shape[1:]), np.uint8)) for _ in range(2)]
    label = torch.from_numpy(rng.integers(0, 3, shape).astype(np.uint8))
    return Batch(images[0], label, images[1], torch.ones(shape, dtype=torch.bool))


CASES = {
    "plain": {},
    "transformer": {"network__encoder": "tu-pvt_v2_b0"},
    "source masked too": {"mask__domain": "both"},
    "HRDA": {"network__hrda": True, "network__architecture": "daformer"},
    "HRDA, separate": {"network__hrda": True, "training__twin_forward": "separate", "training__twin_sub_crops": "separate"},
    "K = 3": {"mask__views": 3},
    "AdaIN": {"augment__adain": True},
    "feature masks": {"mask__level": "features"},
    "photometric jitter": {"augment__jitter_model": "photometric"},
    "statistics averaged": {"training__teacher_statistics": "averaged"},
    "statistics of its own": {"training__teacher_statistics": "own"},
    "foundation": {"network__architecture": "dpt", "network__encoder": "tu-test_vit"},
}  # fmt: skip


@pytest.fixture
def trained_step(make_run):
    """Yield a function that makes a session of these settings, moves it to the simulated card, and trains one step."""
    stack = ExitStack()

    def train(precision=Precision.BF16, anchor=False, source=False, **changes):
        fixed = {"training__crop_size": CROP, "augment__jitter_probability": 1.0, "training__source_steps": int(source)}
        run = make_run(**{**fixed, **changes})
        session = Session(run.config(), list_run(run))
        host = batch()
        pinned = stack.enter_context(fake_card())
        network = move_there(session.network)
        stack.enter_context(without_backward(network))
        session.compute = replace(session.compute, device="cuda", precision=precision, channels_last=True)
        session.student = Student(network, network.normalisation, session.compute.autocast)
        session.optimizer = build_optimizer(network, session.config.training)
        session.guard = StepGuard(session.optimizer, [network])
        if anchor:
            move_there(session.anchor._encoder)
        if not source:
            session.begin_adaptation()
        traffic = Traffic()
        with traffic:
            session.train_step(host)
        of_batch = [tensor.nbytes for tensor in vars(host).values()]
        assert sorted(traffic.sent)[-len(of_batch) :] == sorted(of_batch)
        rest = sorted(traffic.sent)[: -len(of_batch)]
        assert max(rest, default=0) <= SMALL
        assert traffic.returned == []
        assert len(pinned) == len(traffic.sent)
        return rest

    with stack:
        yield train


@pytest.mark.parametrize("case", CASES)
def test_a_step_sends_a_few_kilobytes_beside_its_batch_and_reads_nothing(trained_step, case):
    rest = trained_step(**CASES[case])
    assert len(rest) <= 6  # classes, factors of two or three jitters, masks of one or two cameras


def test_a_step_in_float32_sends_no_more(trained_step):
    assert len(trained_step(Precision.FP32)) <= 4


def test_the_feature_distance_sends_nothing_more(trained_step, make_run, tmp_path):
    weights = tmp_path / "weights.safetensors"
    save_file(build(tiny_config(tmp_path).network, 3).state_dict(), weights)
    trained_step(anchor=True, network__weights=str(weights), loss__feature_distance_weight=0.1)


def test_a_source_only_step_sends_its_batch_alone(trained_step):
    assert trained_step(source=True) == []


@pytest.mark.parametrize("case", ["plain", "HRDA", "K = 3", "AdaIN", "feature masks", "statistics of its own"])
def test_a_real_backward_and_optimiser_read_nothing_either(make_run, case):
    fixed = {"training__crop_size": 64, "augment__jitter_probability": 1.0, "training__source_steps": 0}
    run = make_run(**fixed, **CASES[case])
    session = Session(run.config(), list_run(run))
    session.begin_adaptation()
    host = session.make_batch(0)
    with Traffic():
        _, bad = session.train_step(host)
    assert bad.item() == 0


# Planted mistakes: each must be found ---------------------------------------------------------------


def plant(monkeypatch, name, mistake):
    """Let a function of the step make a mistake with its result on the device."""
    right = getattr(steps, name)

    def wrong(*args, **kwargs):
        found = right(*args, **kwargs)
        return mistake(found) or found

    monkeypatch.setattr(steps, name, wrong)


def test_a_planted_item_is_found(trained_step, monkeypatch):
    plant(monkeypatch, "pseudo_label", lambda found: float(found[1].mean().item()) and None)
    with pytest.raises(AssertionError, match="the host waits for a value"):
        trained_step()


def test_a_planted_copy_to_the_host_is_found(trained_step, monkeypatch):
    plant(monkeypatch, "pseudo_label", lambda found: found[1].cpu() is None)
    with pytest.raises(AssertionError):
        trained_step()


def test_a_planted_mask_of_the_host_is_found(trained_step, monkeypatch):
    def on_the_host(blocks, size, device):
        return [torch.from_numpy(enlarge(mask, *size)) for mask in blocks]

    monkeypatch.setattr(steps, "pixel_masks", on_the_host)
    with pytest.raises((AssertionError, RuntimeError), match=r"from the host|two devices"):
        trained_step()


def test_a_planted_mask_in_full_size_is_found(trained_step, monkeypatch):
    def in_full_size(blocks, size, device):
        return [transfer.to_device(enlarge(mask, *size), device) for mask in blocks]

    monkeypatch.setattr(steps, "pixel_masks", in_full_size)
    with pytest.raises(AssertionError):
        trained_step()


def test_a_planted_pageable_megabyte_is_found(trained_step, monkeypatch):
    megabyte = torch.zeros(2**20, dtype=torch.uint8)
    plant(monkeypatch, "augmented", lambda image: megabyte.to(image.device, non_blocking=True) is None)
    with pytest.raises(AssertionError):
        trained_step()


def test_a_planted_list_of_numbers_is_found(trained_step, monkeypatch):
    plant(monkeypatch, "augmented", lambda image: torch.tensor([1.0, 2.0], device=image.device) is None)
    with pytest.raises(AssertionError, match="the host waits for a copy"):
        trained_step()
