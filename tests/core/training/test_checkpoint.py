import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from core.runs.folder import CHECKPOINT_NAME
from core.training import checkpoint
from core.training.checkpoint import CheckpointError, load_optimizer, read_state, save_checkpoint


def trained(memory_format=torch.contiguous_format):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)).to(memory_format=memory_format)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, fused=True)
    step(network, optimizer)
    return network, optimizer


def step(network, optimizer):
    torch.manual_seed(1)
    optimizer.zero_grad()
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()


def save(folder, network, optimizer, step=1):
    save_checkpoint(folder, network, None, optimizer, {"format_version": 1}, {"step": step})


def finished(parent):
    return sorted(p.name for p in parent.iterdir() if CHECKPOINT_NAME.match(p.name))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_optimiser_goes_on_exactly(tmp_path, memory_format):
    network, optimizer = trained(memory_format)
    save(tmp_path / "step-000001", network, optimizer)
    copy, copied = trained(memory_format)
    copy.load_state_dict(network.state_dict())
    copied.state.clear()
    load_optimizer(copy, copied, tmp_path / "step-000001" / "optimizer.safetensors")
    for parameter, state in copied.state.items():
        assert state["exp_avg"].stride() == parameter.stride()
    step(network, optimizer)
    step(copy, copied)
    for mine, theirs in zip(copy.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("function", ["write", "fsync", "rename"])
def test_a_fault_anywhere_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, function, call):
    """The process dies (or the disk does) at the call-th write, fsync or rename of the second checkpoint."""
    network, optimizer = trained()
    save(tmp_path / "step-000001", network, optimizer)
    before = {f.name: f.read_bytes() for f in (tmp_path / "step-000001").iterdir()}
    calls = 0

    class Died(BaseException):
        pass

    def dying(real):
        def replacement(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == call:
                raise Died
            return real(*args, **kwargs)

        return replacement

    if function == "write":
        monkeypatch.setattr(checkpoint, "write_durably", dying(checkpoint.write_durably))
    elif function == "fsync":
        monkeypatch.setattr(os, "fsync", dying(os.fsync))
    else:
        monkeypatch.setattr(Path, "rename", dying(Path.rename))
    died = False
    try:
        save(tmp_path / "step-000002", network, optimizer, step=2)
    except Died:
        died = True
    monkeypatch.undo()
    assert {f.name: f.read_bytes() for f in (tmp_path / "step-000001").iterdir()} == before
    for name in finished(tmp_path):  # a folder of this name is always a whole one
        assert read_state(tmp_path / name)["step"] == int(name[-1])
        assert len(list((tmp_path / name).iterdir())) == 5
    assert died or "step-000002" in finished(tmp_path)
    save(tmp_path / "step-000002", network, optimizer, step=2)
    assert finished(tmp_path) == ["step-000001", "step-000002"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    network, optimizer = trained()

    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_durably", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(tmp_path / "step-000001", network, optimizer)
    assert list(tmp_path.iterdir()) == []


def test_the_optimiser_of_another_network_is_refused(tmp_path):
    network, optimizer = trained()
    save(tmp_path / "step-000001", network, optimizer)
    other = nn.Sequential(nn.Conv2d(3, 9, 3))
    adamw = torch.optim.AdamW(other.parameters())
    with pytest.raises(CheckpointError, match="does not belong"):
        load_optimizer(other, adamw, tmp_path / "step-000001" / "optimizer.safetensors")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"step": "x"}'])
def test_a_damaged_state_is_named(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"state\.json"):
        read_state(tmp_path)


def test_the_folder_of_a_deleted_run_is_not_made_again(tmp_path):
    with pytest.raises(CheckpointError, match="could not be written"):
        save(tmp_path / "gone" / "checkpoints" / "step-000001", *trained())
    assert list(tmp_path.iterdir()) == []
