"""Failed starts, settings of a resume, and runs that go on beyond their end."""

import json

import pytest
import torch

from core.commands.cli import main
from core.configuration.settings import save
from core.control import RunControl
from core.errors import RunError
from core.events import StepDone
from core.runs.create import create_run, discard_unstarted
from core.runs.folder import RunFolder
from core.training.loop import adapt
from tests.core.tiny import final_weights, tiny_config, train


@pytest.fixture
def project(tiny_data, tmp_path):
    """Return a function that writes a project's TOML with changed settings."""

    def write(**changes):
        save(tiny_config(tiny_data, **changes), tmp_path / "p.toml")
        return tmp_path / "p.toml"

    return write


def run_cli(capsys, *words, code=0):
    capsys.readouterr()
    assert main([*map(str, words)]) == code
    return capsys.readouterr().err.strip().splitlines()[-1] if code else ""


def stop_at(run, step):
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step >= step:
            control.stop()


@pytest.mark.parametrize("changes", [{"network__encoder": "tu-nothing"}, {"network__weights": "/nowhere/w.pth"}])
def test_a_failed_start_blocks_nothing(project, tmp_path, capsys, changes):
    out = tmp_path / "out"
    run_cli(capsys, "adapt", project(**changes), "--out", out, code=1)
    assert not out.exists()
    right = ["--set", "network.encoder=tu-test_resnet", "--set", "network.weights=none"]
    run_cli(capsys, "adapt", project(**changes), "--out", out, *right)
    assert RunFolder(out).status()["state"] == "finished"


def test_a_first_step_that_fails_blocks_nothing_either(project, tmp_path, capsys, monkeypatch):
    """A card too small for the batch: what was saved is the state of step 0, which is nothing yet."""

    def short(*_):
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr("core.training.session.Session.train_step", short)
        assert "memory" in run_cli(capsys, "adapt", project(), "--out", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


def test_a_failed_start_deletes_no_file_of_others(project, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    run_cli(capsys, "adapt", project(network__encoder="tu-nothing"), "--out", tmp_path / "out", code=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_a_run_with_a_trained_step_is_never_discarded(tiny_data, tmp_path):
    run = create_run(tiny_config(tiny_data, training__checkpoint_interval=1), tmp_path / "run")
    stop_at(run, 2)
    before = final_weights(run)
    assert not discard_unstarted(run)
    assert final_weights(run) == before


def test_a_run_that_never_trained_takes_every_setting_on_a_resume(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data, network__weights="/nowhere/w.pth"), tmp_path / "run")
    run_cli(capsys, "adapt", "--resume", run.path, code=1)
    assert run.config_path.exists()  # a resume deletes nothing
    run_cli(capsys, "adapt", "--resume", run.path, "--set", "network.weights=none", "--set", "training.steps=3")
    assert run.config().training.steps == 3
    assert run.status()["step"] == 7
    assert run.status()["state"] == "finished"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("network.weights=none", "new run"),
        ("training.batch_size=4", "new run"),
        ("training.steps=9", "--more-steps"),
        ("data.target_images=x", "--data-root"),
        ("mask.ratio=3", "0.01 to 0.99"),
    ],
)
def test_a_setting_that_may_not_change_says_so(tiny_data, tmp_path, capsys, change, told):
    run = create_run(tiny_config(tiny_data), tmp_path / "run")
    stop_at(run, 2)
    before = run.config_path.read_bytes()
    error = run_cli(capsys, "adapt", "--resume", run.path, "--set", change, code=1)
    assert change.partition("=")[0] in error
    assert told in error
    assert run.config_path.read_bytes() == before
    assert run.changes() == []


def test_a_setting_of_a_resume_holds_from_the_checkpoint_on(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data), tmp_path / "run")
    stop_at(run, 4)
    run_cli(capsys, "adapt", "--resume", run.path, "--set", "mask.block_size=4")
    assert run.changes() == [(4, {"mask.block_size": 4})]
    assert run.config_at(5).mask.block_size == 4


def test_settings_for_a_finished_run_are_refused(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data), tmp_path / "run")
    train(run)
    for change in ("training.steps=20", "mask.block_size=4"):
        error = run_cli(capsys, "adapt", "--resume", run.path, "--set", change, code=1)
        assert "finished" in error
        assert "--more-steps" in error


def test_more_steps_go_on_beyond_the_end(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data, training__log_interval=1), tmp_path / "run")
    train(run)
    rows = run.metrics()
    run_cli(capsys, "adapt", "--resume", run.path, "--more-steps", 4, "--set", "mask.block_size=4")
    assert run.status()["total_steps"] == run.status()["step"] == 14
    assert run.checkpoints()[-1].path.name == "step-000010"
    after = run.metrics()
    assert after[: len(rows)] == rows
    assert [int(row["step"]) for row in after if row["total"]] == list(range(1, 15))
    rates = {int(row["step"]): float(row["learning_rate"]) for row in after if row["total"]}
    assert rates[11] > rates[10]  # the schedule of the new length
    assert rates[11] > rates[12] > rates[13] > rates[14]
    assert run.config_at(12).mask.block_size == 4


def test_more_steps_that_are_interrupted_end_as_those_that_are_not(tiny_data, tmp_path):
    from core.runs.resume import prepare_resume

    runs = [create_run(tiny_config(tiny_data, training__log_interval=1), tmp_path / name) for name in ("a", "b")]
    for run in runs:
        train(run)
        prepare_resume(run, {}, more_steps=4)
    train(runs[0])
    stop_at(runs[1], 12)
    train(runs[1])
    assert final_weights(runs[0]) == final_weights(runs[1])


def test_more_steps_of_a_source_only_run_are_source_steps(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data, training__steps=0), tmp_path / "run")
    train(run)
    run_cli(capsys, "adapt", "--resume", run.path, "--more-steps", 2)
    assert run.checkpoints()[-1].path.name == "source-000006"


def test_a_run_that_trains_is_not_prepared(tiny_data, tmp_path, capsys):
    run = create_run(tiny_config(tiny_data), tmp_path / "run")
    with run.lock():
        assert "another process" in run_cli(capsys, "adapt", "--resume", run.path, "--more-steps", 2, code=1)
    assert run.config().training.steps == 6


def test_errors_are_objects_with_json(project, capsys):
    capsys.readouterr()
    assert main(["adapt", str(project(network__encoder="tu-nothing")), "--json"]) == 1
    captured = capsys.readouterr()
    error = json.loads(captured.out.strip().splitlines()[-1])["error"]
    assert error in captured.err
    assert "tu-nothing" in error


def test_run_errors_pass_through(tiny_data, tmp_path):
    """A file that keeps the folder from being made names it."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="file"):
        create_run(tiny_config(tiny_data), tmp_path / "file" / "run")
