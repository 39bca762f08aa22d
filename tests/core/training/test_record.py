"""The one writer of a run: full disks, folders that vanish, the order of what reaches the disk, and previews."""

import logging
import shutil
from collections import namedtuple
from functools import partial
from pathlib import Path

import pytest

from core.configuration.training import TrainingConfig
from core.control import RunControl
from core.errors import RunError
from core.events import CheckpointSaved, Finished, PreviewReady, StepDone, Warned
from core.runs.folder import FollowedRun, MetricsWriter
from core.runs.previews import preview_steps, read_preview, thin_previews
from core.training import disk, record, storage
from core.training.checkpoint import CheckpointError, Snapshot
from core.training.loop import adapt
from core.training.record import RunRecord
from tests.core.tiny import final_weights, train

FULL = OSError(28, "No space left on device")


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


# Full disks --------------------------------------------------------------------------------------


def test_a_run_that_can_never_save_ends_at_its_first_checkpoint(make_run, monkeypatch):
    def full(folder, *_):
        raise CheckpointError(f"The checkpoint {folder} could not be written: No space left on device.")

    monkeypatch.setattr(record, "save_checkpoint", full)
    run, steps = make_run(training__log_interval=1), []
    with pytest.raises(RunError, match="no other checkpoint, so it ends at step 2"):
        for event in adapt(RunControl(), run):
            steps += [event.step] if isinstance(event, StepDone) else []
    assert steps == [1, 2]
    assert run.status()["state"] == "failed"
    assert "No space left" in run.status()["reason"]


def test_a_later_failure_names_the_checkpoint_that_stands(make_run, monkeypatch):
    save = record.save_checkpoint

    def sometimes(folder, *arguments):
        if folder.name == "step-000002":
            raise CheckpointError("The disk is full.")
        save(folder, *arguments)

    monkeypatch.setattr(record, "save_checkpoint", sometimes)
    events = train(make_run())
    (warning,) = (event for event in of(events, Warned) if event.code == "checkpoint")
    assert "the last good checkpoint (step 4) stands" in warning.message
    assert isinstance(events[-1], Finished)


def test_without_room_for_a_checkpoint_no_step_is_made(make_run, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    run, events = make_run(), []
    with pytest.raises(RunError, match=r"checkpoints need 0\.\d\d GiB more .* has 0\.00 GiB free"):
        events += adapt(RunControl(), run)
    assert not of(events, StepDone)
    assert run.checkpoints() == []
    monkeypatch.undo()
    assert not train(run)[-1].stopped


def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(make_run, monkeypatch):
    def refuse(path, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage, "write_atomic", refuse)
    with pytest.raises(RunError, match=r"No checkpoint can be written to .*Permission denied"):
        train(make_run())


def test_a_full_disk_for_the_log_ends_nothing(make_run, monkeypatch):
    run = make_run()
    run.log_path = Path("/dev/full")
    logger, step = logging.getLogger("core.training.session"), record.RunRecord.log

    def noisy(self, done):
        logger.warning("a line for the log")
        step(self, done)

    monkeypatch.setattr(record.RunRecord, "log", noisy)
    assert isinstance(train(run)[-1], Finished)
    assert run.status()["state"] == "finished"


def test_a_run_that_ends_on_a_full_disk_is_failed_and_not_running(make_run, monkeypatch):
    """The disk is full for a while: log, metrics and status fail; the end is on the disk all the same."""
    run = make_run()
    run.log_path = Path("/dev/full")

    def full(self, row):
        raise FULL

    def broken(self, done):
        raise RuntimeError("something else")

    monkeypatch.setattr(MetricsWriter, "append", full)
    monkeypatch.setattr(record.RunRecord, "keep", broken)
    with pytest.raises(RuntimeError, match="something else"):
        train(run)
    assert run.status()["state"] == "failed"


def test_rows_that_cannot_be_written_are_reported_once_per_outage(make_run, monkeypatch):
    append, calls = MetricsWriter.append, []

    def outage(self, row):
        calls.append(row["step"])
        if len(calls) in (2, 3, 5):
            raise FULL
        append(self, row)

    monkeypatch.setattr(MetricsWriter, "append", outage)
    events = train(make_run(training__log_interval=1))
    assert len([event for event in of(events, Warned) if event.code == "disk"]) == 2


def test_rows_reach_the_disk_before_the_checkpoint_that_follows_them(make_run, monkeypatch):
    order, sync, save = [], MetricsWriter.sync, record.save_checkpoint

    def synced(self):
        order.append("rows")
        sync(self)

    def saved(folder, *arguments):
        order.append("checkpoint")
        save(folder, *arguments)

    monkeypatch.setattr(MetricsWriter, "sync", synced)
    monkeypatch.setattr(record, "save_checkpoint", saved)
    saves = len(of(train(make_run()), CheckpointSaved))
    assert order == ["rows", "checkpoint"] * saves


# Folders that vanish -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_folder_that_vanishes_ends_the_run_with_a_sentence_and_no_ghost(make_run, tmp_path, how):
    whole, run = make_run("whole"), make_run("run", training__preview_interval=1, training__log_interval=1)
    train(whole)
    with pytest.raises(RunError, match=r"no longer exists.*ends at step 5"):
        for event in adapt(RunControl(), run):
            if isinstance(event, StepDone) and event.step == 5:
                if how == "deleted":
                    shutil.rmtree(run.path)
                else:
                    run.path.rename(tmp_path / "moved")
    assert not run.path.exists()
    if how == "moved":
        moved = type(run)(tmp_path / "moved")
        train(moved)
        assert final_weights(moved) == final_weights(whole)


# Previews ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistics", ["batch", "averaged", "own"])
@pytest.mark.parametrize("step", [5, 7, 9])
def test_previews_after_a_stop_are_those_of_the_uninterrupted_run(make_run, step, statistics):
    options = {
        "training__preview_interval": 2, "training__log_interval": 1, "training__teacher_statistics": statistics,
        "training__evaluation_interval": 0, "training__checkpoint_interval": 100,
    }  # fmt: skip
    whole, parts = make_run("whole", **options), make_run("parts", **options)
    train(whole)
    control = RunControl()
    for event in adapt(control, parts):
        if isinstance(event, StepDone) and event.step == step:
            control.stop()
    train(parts)
    assert preview_steps(parts.previews_path) == [2, 4, 6, 8, 10]
    for file in whole.previews_path.iterdir():
        assert (parts.previews_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_previews_are_read_back_as_they_were_shown(make_run):
    run = make_run(training__preview_interval=5)
    for shown in of(train(run), PreviewReady):
        read = read_preview(run.previews_path, shown.step)
        assert read.names == shown.names
        for mine, theirs in zip(read.frames, shown.frames, strict=True):
            assert {name: view.tobytes() for name, view in mine.items()} == {
                name: view.tobytes() for name, view in theirs.items()
            }


def test_the_teachers_view_is_there_with_the_teacher(make_run):
    run = make_run(training__preview_interval=2)
    views = {shown.step: shown.frames[0] for shown in of(train(run), PreviewReady)}
    assert "teacher" not in views[2]
    assert "student" in views[2]
    assert {"teacher", "student"} <= views[6].keys()


def test_previews_are_thinned_and_those_of_a_lost_stretch_go(make_run, monkeypatch):
    monkeypatch.setattr(record, "thin_previews", partial(thin_previews, most=4))
    run = make_run(training__preview_interval=1, training__log_interval=1)
    events = adapt(RunControl(), run)
    for event in events:
        assert len(preview_steps(run.previews_path)) <= 4
        if isinstance(event, StepDone) and event.step == 9:
            break
    events.close()
    assert preview_steps(run.previews_path)[-1] == 8
    events = adapt(RunControl(), run)
    next(event for event in events if isinstance(event, StepDone))
    assert preview_steps(run.previews_path)[-1] <= 8  # resumed from there
    events.close()
    train(run)
    assert preview_steps(run.previews_path)[-1] == 10


# Processes that train along ----------------------------------------------------------------------


def test_the_record_of_a_process_that_trains_along_touches_no_file(make_run):
    import torch

    run = make_run()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    followed = RunRecord(FollowedRun(run.path))
    followed.open(0, {}, measured_again=False, total_steps=10)
    network = torch.nn.Linear(2, 2)
    snapshot = Snapshot(4, 4, network, network, torch.optim.AdamW(network.parameters()), {}, {})
    followed.check_space(network, TrainingConfig())
    (saved,) = followed.save(snapshot, worth=1.0)
    assert isinstance(saved, CheckpointSaved)
    assert followed.best is not None
    followed.paused(4)
    followed.failed("words")
    followed.close()
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
