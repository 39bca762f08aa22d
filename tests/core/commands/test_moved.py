"""A project's folder that is copied elsewhere works there as it did, and data that lie elsewhere are pointed to."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from core.commands.cli import main
from core.control import RunControl
from core.events import StepDone, Warned
from core.runs.folder import RunFolder
from core.training.loop import adapt
from tests.core.commands.test_cli import SETS, last_json
from tests.core.test_old_formats import FORMAT_1
from tests.core.tiny import final_weights, train

FOLDERS = {
    "source-images": "source/images", "source-labels": "source/labels", "target-images": "target/images",
    "target-labels": "eval/labels", "evaluation-images": "eval/images",
}  # fmt: skip


@pytest.fixture
def project(tiny_data, tmp_path):
    """A project with its data inside, and one finished run, whose weights the next ones start from."""
    folder = tmp_path / "first place" / "project"
    shutil.copytree(tiny_data, folder / "data")
    words = [word for name, place in FOLDERS.items() for word in (f"--{name}", str(folder / "data" / place))]
    assert main(["init", str(folder / "dusk.toml"), *words]) == 0
    assert main(["adapt", str(folder / "dusk.toml"), *SETS]) == 0
    return folder


def start_from_the_first(project: Path, out: Path) -> RunFolder:
    """Make a run of settings that read files again on a resume."""
    changes = ["data.rare_class_sampling=true", f"network.weights={project / 'runs' / 'dusk-01'}"]
    changes += ["loss.feature_distance_weight=0.1", "training.steps=6"]
    words = [word for change in changes for word in ("--set", change)]
    assert main(["adapt", str(project / "dusk.toml"), *SETS, *words, "--out", str(out)]) == 0
    return RunFolder(out)


def begin_again(run: RunFolder, until: int) -> None:
    """Train the run from its beginning, and stop after a step."""
    for folder in (run.checkpoints_path, run.previews_path):
        shutil.rmtree(folder)
        folder.mkdir()
    for file in (run.status_path, run.metrics_path):
        file.unlink()
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step == until:
            control.stop()
    assert run.checkpoints()[-1].step == until


def test_a_copied_project_goes_on_bit_equal_and_works(project, tmp_path, capsys):
    run = start_from_the_first(project, project / "runs" / "whole")
    expected = final_weights(run)
    begin_again(run, until=4)
    moved = tmp_path / "second place" / "renamed"
    shutil.copytree(project, moved)
    shutil.rmtree(tmp_path / "first place")

    again = RunFolder(moved / "runs" / "whole")
    warnings = [event for event in train(again) if isinstance(event, Warned)]
    assert warnings == []
    assert final_weights(again) == expected
    assert again.status()["state"] == "finished"
    assert "first place" not in again.config_path.read_text()

    capsys.readouterr()
    model, data = str(again.path), moved / "data"
    words = ["evaluate", model, "--images", str(data / "eval/images"), "--labels", str(data / "eval/labels"), "--json"]
    assert main(words) == 0
    assert last_json(capsys)["miou"] == pytest.approx(again.status()["scores"]["teacher"]["miou"], abs=1e-3)
    assert main(["predict", model, str(data / "target/images"), str(tmp_path / "out")]) == 0
    assert main(["export", model, str(tmp_path / "bundle")]) == 0
    assert main(["adapt", str(moved / "dusk.toml"), *SETS]) == 0


def test_a_finished_run_that_was_moved_reports_where_it_is(project, tmp_path, capsys):
    project.rename(tmp_path / "elsewhere")
    run = tmp_path / "elsewhere" / "runs" / "dusk-01"
    capsys.readouterr()
    assert main(["adapt", "--resume", str(run), "--json"]) == 0
    result = last_json(capsys)
    assert result["run"] == str(run)
    assert result["checkpoint"] == str(run / "checkpoints" / "step-000003")


def test_settings_of_the_command_line_are_seen_from_the_working_directory(project, monkeypatch, tmp_path):
    shutil.copytree(project / "data" / "target" / "images", tmp_path / "here" / "night")
    monkeypatch.chdir(tmp_path / "here")
    words = ["adapt", str(project / "dusk.toml"), *SETS, "--set", "data.target_images=night", "--out", "run"]
    assert main(words) == 0
    assert RunFolder(tmp_path / "here" / "run").config().data.target_images == tmp_path / "here" / "night"
    assert main(["export", "run", "bundle"]) == 0


def test_data_that_lie_elsewhere_are_pointed_to(project, tmp_path, capsys):
    run = RunFolder(project / "runs" / "dusk-01")
    begin_again(run, until=3)
    (project / "data").rename(tmp_path / "big disk")
    assert main(["adapt", "--resume", str(run.path)]) == 1
    error = capsys.readouterr().err
    assert str(project / "data") in error
    assert "--data-root" in error
    assert main(["adapt", "--resume", str(run.path), "--data-root", f"{project / 'nothing'}={tmp_path}"]) == 1
    assert str(project / "data/source/images") in capsys.readouterr().err
    root = f"{project / 'data'}={tmp_path / 'big disk'}"
    assert main(["adapt", "--resume", str(run.path), "--data-root", root]) == 0
    assert "not those the run was started with" not in capsys.readouterr().err
    assert run.config().data.source_images == tmp_path / "big disk" / "source" / "images"
    assert main(["adapt", str(project / "dusk.toml"), *SETS, "--data-root", root]) == 0


def test_a_data_root_where_nothing_lies_leaves_the_run_as_it_was(project, tmp_path):
    run = RunFolder(project / "runs" / "dusk-01")
    before = run.config_path.read_bytes()
    assert main(["adapt", "--resume", str(run.path), "--data-root", f"{project / 'data'}={tmp_path / 'none'}"]) == 1
    assert run.config_path.read_bytes() == before


def test_changed_data_are_still_noticed_after_a_move(project, tmp_path):
    begin_again(RunFolder(project / "runs" / "dusk-01"), until=3)
    moved = tmp_path / "moved"
    project.rename(moved)
    next((moved / "data/target/images").iterdir()).unlink()
    codes = [event.code for event in train(RunFolder(moved / "runs/dusk-01")) if isinstance(event, Warned)]
    assert codes == ["data_changed"]


def test_a_run_of_format_1_is_pointed_to_its_data_and_goes_on_without_a_warning(tmp_path, capsys):
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path)
    run = tmp_path / "street" / "runs" / "street-01"
    words = ["adapt", "--resume", str(run), "--data-root", f"/srv/street={tmp_path / 'street'}", "--more-steps", "2"]
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.strip().splitlines()[-1])["steps"] == 45
    assert "not those the run was started with" not in captured.err
    assert "../../data/source/images" in (run / "run.toml").read_text()
