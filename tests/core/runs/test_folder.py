import errno
import json

import pytest

from core import files
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.errors import RunError
from core.files import write_atomic
from core.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "a")
    folder.create(with_changes(RunConfig(), {"training.source_steps": 100}))
    return folder


def test_an_existing_run_is_never_overwritten(run):
    with pytest.raises(RunError, match="already holds a run"):
        run.create(RunConfig())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run").create(RunConfig())


def test_status_merges_and_survives_damage(run):
    run.write_status(state="running", step=3)
    run.write_status(step=4)
    assert (run.status()["state"], run.status()["step"]) == ("running", 4)
    run.status_path.write_text("{")
    assert run.status() == {}


def test_changes_fold_into_the_configuration(run):
    run.append_change(10, {"mask.block_size": 32})
    run.append_change(20, {"mask.block_size": 16, "mask.ratio": 0.4})
    assert run.config_at(9).mask.block_size == 64
    assert run.config_at(10).mask.block_size == 32
    assert run.config_at(99).mask.ratio == 0.4


def test_a_torn_last_change_is_left_out(run):
    run.append_change(10, {"mask.block_size": 32})
    with run.changes_path.open("a") as file:
        file.write('{"step": 20, "chan')
    assert run.changes() == [(10, {"mask.block_size": 32})]


def checkpoint(run, name, *, whole=True):
    folder = run.checkpoints_path / name
    folder.mkdir(parents=True)
    if whole:
        (folder / "state.json").write_text("{}")


def test_checkpoints_in_order_and_never_a_torn_one(run):
    for name in ("step-000500", "source-000100", "step-000000"):
        checkpoint(run, name)
    checkpoint(run, "step-000600", whole=False)
    checkpoint(run, ".step-000700.tmp")
    found = run.checkpoints()
    assert [(ref.path.name, ref.step, ref.is_source) for ref in found] == [
        ("source-000100", 100, True), ("step-000000", 100, False), ("step-000500", 600, False),
    ]  # fmt: skip


def test_metrics_are_cut_at_the_checkpoint_and_go_on(run):
    writer = run.open_metrics(["step", "total"], 0)
    for step in (10, 20, 30):
        writer.append({"step": step, "total": step / 7})
    writer.close()
    with run.metrics_path.open("a") as file:
        file.write("40,1.0")  # torn: no end of line
    assert [row["step"] for row in run.metrics()] == ["10", "20", "30"]
    writer = run.open_metrics(["step", "total", "more"], 20)
    writer.append({"step": 25, "total": 1.0, "more": 2.0})
    writer.close()
    assert [(row["step"], row["more"]) for row in run.metrics()] == [("10", ""), ("20", ""), ("25", "2")]


def test_the_lock_holds_against_a_second_writer(run):
    with run.lock(), pytest.raises(RunError, match="another process"), RunFolder(run.path).lock():
        pass
    with run.lock():
        pass


def test_an_atomic_write_leaves_no_rest(tmp_path):
    write_atomic(tmp_path / "a.json", json.dumps(1))
    write_atomic(tmp_path / "a.json", json.dumps(2))
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == 2


def test_a_change_after_a_torn_one_is_kept(run):
    run.append_change(10, {"mask.block_size": 32})
    with run.changes_path.open("a") as file:
        file.write('{"step": 20, "chan')
    run.append_change(30, {"mask.block_size": 16})
    assert run.changes() == [(10, {"mask.block_size": 32}), (30, {"mask.block_size": 16})]


def test_another_course_replaces_the_changes_of_a_lost_stretch(run):
    run.append_change(10, {"mask.block_size": 32})
    run.append_change(30, {"mask.block_size": 16})  # lost in a crash before the next checkpoint
    run.append_change(20, {"loss.twin_weight": 0.5})
    assert run.config_at(99).mask.block_size == 32
    assert run.config_at(99).loss.twin_weight == 0.5


def test_a_drive_that_cannot_flush_folders_is_no_reason_to_fail(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", refuse)
    files.fsync_folder(tmp_path)
