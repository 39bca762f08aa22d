"""A run on a card: it trains, waits for nothing, pauses, stops, resumes, and survives too little memory."""

import threading
from contextlib import contextmanager

import pytest
import torch

from core.configuration.choices import Precision
from core.control import RunControl
from core.errors import RunError
from core.events import CheckpointSaved, Finished, Paused, Resumed, RunStarted, StepDone
from core.method.transfer import to_device
from core.runs.create import list_run
from core.training import distributed
from core.training.device import peak_memory_gib, reset_peak_memory
from core.training.loop import adapt
from core.training.session import Session
from tests.core.tiny import train

pytestmark = pytest.mark.cuda


def session_of(run):
    session = Session(run.config(), run, list_run(run), None)
    if not run.config().training.source_steps:
        session.begin_adaptation()
    return session


def losses(events):
    return [event.losses["total"] for event in events if isinstance(event, StepDone)]


@contextmanager
def no_waiting(device):
    """Let torch raise where the host waits for the card."""
    if device.startswith("cuda"):
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device.startswith("cuda"):
            torch.cuda.set_sync_debug_mode("default")


CASES = {
    "plain": {},
    "bf16": {"training__precision": "bf16"},
    "transformer": {"network__encoder": "mit_b0", "network__architecture": "daformer"},
    "HRDA": {"network__hrda": True, "network__architecture": "daformer", "training__crop_size": 64},
    "K = 3": {"mask__views": 3, "mask__domain": "both"},
    "AdaIN": {"augment__adain": True},
    "feature masks": {"mask__level": "features"},
    "checkpointing": {"training__gradient_checkpointing": True, "network__encoder": "mit_b0"},
    "accumulation": {"training__accumulation": 2, "training__batch_size": 4},
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_does_not_wait_for_the_card(make_run, device, case):
    session = session_of(make_run(training__source_steps=0, augment__jitter_probability=1.0, **CASES[case]))
    session.train_step(session.make_batch(0))  # kernels are chosen and memory is taken in the first
    batch = session.make_batch(1)
    with no_waiting(device):
        _, bad = session.train_step(batch)
    assert bad.item() == 0


def test_batches_lie_in_page_locked_memory(make_run, on_card):
    batch = session_of(make_run()).make_batch(0)
    assert [tensor.is_pinned() for tensor in vars(batch).values()] == [on_card] * 4


def test_pageable_memory_is_copied_without_waiting(device):
    values = torch.arange(2**20, dtype=torch.float32)
    with no_waiting(device):
        moved = to_device(values, device)
    values.zero_()  # the copy was taken
    if device != "cpu":
        assert torch.equal(moved.cpu(), torch.arange(2**20, dtype=torch.float32))


def test_a_run_trains_and_says_on_what(make_run, device):
    run = make_run(training__preview_interval=5)
    events = train(run)
    started = next(event for event in events if isinstance(event, RunStarted))
    assert started.device == device
    assert isinstance(events[-1], Finished)
    assert events[-1].result["teacher"]["miou"] > 0
    assert list(run.previews_path.glob("*.png"))


def test_the_losses_of_a_run_are_those_of_the_cpu(make_run, device):
    on_device = losses(train(make_run("device", training__log_interval=1)))
    on_cpu = losses(train(make_run("cpu", training__log_interval=1, training__device="cpu")))
    assert on_device[:3] == pytest.approx(on_cpu[:3], rel=5e-3)  # later, AdamW's first steps magnify each rounding
    assert on_device == pytest.approx(on_cpu, rel=0.2)


def test_float32_of_a_run_is_exact_and_bf16_may_use_tf32(make_run, on_card):
    for precision, allowed in (("fp32", False), ("bf16", True)):
        session_of(make_run(precision, training__precision=precision))
        if on_card:
            assert torch.backends.cudnn.allow_tf32 is allowed
            assert torch.backends.cuda.matmul.allow_tf32 is allowed


def test_layout_and_precision_are_stored_and_restored(make_run, on_card):
    run = make_run(training__precision="bf16")
    train(run)
    ref = run.checkpoints()[-1]
    session = Session(run.config(), run, list_run(run), ref)
    assert session.compute.precision is Precision.BF16
    assert session.compute.channels_last is on_card
    weight = next(p for p in session.network.parameters() if p.dim() == 4 and min(p.shape) > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last) is on_card
    assert session.optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def test_a_checkpoint_is_loaded_bit_for_bit(make_run):
    run = make_run()
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step == 8:
            control.stop()
    ref = run.checkpoints()[-1]
    first, again = (Session(run.config(), run, list_run(run), ref) for _ in range(2))
    for one, other in ((first.network, again.network), (first.teacher.network, again.teacher.network)):
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    for p, q in zip(first.network.parameters(), again.network.parameters(), strict=True):
        for name, value in first.optimizer.state[p].items():
            assert torch.equal(value, again.optimizer.state[q][name])


def test_a_resumed_run_goes_on_as_the_whole_one(make_run):
    whole, broken = make_run("whole", training__log_interval=1), make_run("broken", training__log_interval=1)
    expected = losses(train(whole))
    events = adapt(RunControl(), broken)
    for event in events:
        if isinstance(event, CheckpointSaved) and event.step == 6:
            break
    events.close()
    train(broken)
    found = [float(row["total"]) for row in broken.metrics() if row["total"]]
    assert found == pytest.approx(expected, rel=0.05)  # a card adds up in no fixed order


@pytest.mark.parametrize("there_first", [True, False])
def test_a_run_goes_on_on_the_other_kind_of_device(make_run, device, there_first):
    run = make_run(training__device=device if there_first else "cpu")
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step == 6:
            control.stop()
    text = run.config_path.read_text()
    other = "cpu" if there_first else device
    run.config_path.write_text(text.replace(f'device = "{run.config().training.device}"', f'device = "{other}"'))
    assert isinstance(train(run)[-1], Finished)


def test_a_pause_holds_and_ends(make_run):
    run, control, seen = make_run(), RunControl(), []
    for event in adapt(control, run):
        seen.append(event)
        if isinstance(event, StepDone) and event.step == 4:
            control.pause()
        if isinstance(event, Paused):
            threading.Timer(0.2, control.resume).start()
    assert [type(event) for event in seen if isinstance(event, Paused | Resumed)] == [Paused, Resumed]
    assert run.status()["state"] == "finished"


def test_a_non_finite_loss_moves_no_weight(make_run, device):
    session = session_of(make_run(training__source_steps=0))
    session.train_step(session.make_batch(0))
    before = {name: value.clone() for name, value in session.network.state_dict().items()}
    with torch.no_grad():
        session.network.head.classifier.bias.fill_(torch.inf)
    before["head.classifier.bias"] = session.network.head.classifier.bias.clone()
    batch = session.make_batch(1)
    with no_waiting(device):
        _, bad = session.train_step(batch)
    assert bad.item() == 1
    for name, value in session.network.state_dict().items():
        assert torch.equal(value, before[name]), name


@contextmanager
def little_memory(device, monkeypatch):
    """Leave almost no memory to this process: on a CPU, its allocations are refused by a stand-in."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + 48 * 2**20) / total, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", refuse)
        yield


def test_too_little_memory_is_said_in_words_and_the_run_goes_on_later(make_run, device, on_card, monkeypatch):
    large = {"training__crop_size": 512, "training__batch_size": 8} if on_card else {}
    run = make_run(training__steps=2, training__source_steps=1, **large)
    with (
        little_memory(device, monkeypatch),
        pytest.raises(RunError, match=r"too little memory.*gradient_checkpointing"),
    ):
        train(run)
    if on_card:
        assert torch.cuda.memory_allocated(device) < 32 * 2**20  # nothing of the failed step is held
    assert isinstance(train(run)[-1], Finished)


def test_checkpointing_and_accumulation_need_less_memory(make_run, device, on_card):
    common = {
        "network__encoder": "tu-pvt_v2_b0", "network__architecture": "segformer", "training__source_steps": 0,
        "training__batch_size": 4, "training__crop_size": 256 if on_card else 64,
    }  # fmt: skip
    peaks = {}
    for name, changes in (
        ("plain", {}),
        ("checkpointing", {"training__gradient_checkpointing": True}),
        ("accumulation", {"training__accumulation": 4}),
    ):
        session = session_of(make_run(name, **common, **changes))
        for number in range(2):
            reset_peak_memory(device)
            session.train_step(session.make_batch(number))
        peaks[name] = peak_memory_gib(device)
        del session
    if on_card:
        assert peaks["checkpointing"] < 0.7 * peaks["plain"]
        assert peaks["accumulation"] < 0.7 * peaks["plain"]


def test_a_compiled_run_has_the_losses_of_a_plain_one(make_run, on_card):
    if not on_card:
        pytest.skip("on a CPU, tests/core/training/test_options.py compiles")
    plain = losses(train(make_run("plain", training__log_interval=1)))
    compiled = losses(train(make_run("compiled", training__log_interval=1, training__compile=True)))
    assert compiled[:3] == pytest.approx(plain[:3], rel=1e-2)


def test_a_process_without_a_card_of_its_own_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(distributed.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(RunError, match="Process 1 on this machine has no GPU: it has 1"), distributed.processes():
        pass
