"""The lines of *Run elsewhere*, run as they stand in a project that was copied to another place."""

import ast
import shlex
import shutil
import zipfile

import pytest

from core.commands.cli import main
from core.events import Model
from masktwins_gui.models.elsewhere import run_elsewhere
from masktwins_gui.models.services import ModelChoice
from tests.core.test_old_formats import FORMAT_1

WORDS = dict.fromkeys(("place", "again", "resume", "predict", "python"), "…")


@pytest.mark.parametrize("name", ["street-01", 'it\'s; a "$run" 夜', "-x"])
def test_the_commands_work_in_a_copied_project(tmp_path, monkeypatch, capsys, name):
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path)
    project = tmp_path / "street"
    run = (project / "runs" / "street-01").rename(project / "runs" / name)
    text = run_elsewhere(project, ModelChoice(run, Model.TEACHER, "last"), run / "export", WORDS)
    assert str(tmp_path) not in text
    moved = tmp_path / "another machine"
    shutil.copytree(project, moved)
    shutil.rmtree(project)
    monkeypatch.chdir(moved)

    commands = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("masktwins ")]
    again, resume, predict = commands
    # the run is of format 1, whose paths are absolute: the data root that the first line speaks of
    root = ["--data-root", f"/srv/street={moved}"]
    assert main([*again, *root, "--set", "training.source_steps=1", "--set", "training.steps=1"]) == 0
    assert (moved / "runs" / "run-01" / "run.toml").is_file()
    assert main([*resume, "--json"]) == 0
    images = {"IMAGES": "data/target/images", "OUT": "out"}
    assert main([images.get(word, word) for word in predict]) == 0
    assert len(list((moved / "out").rglob("*.png"))) == 3


@pytest.mark.parametrize("folder", ["plain", 'a"); import os; os.abort(); ("', "back\\slash", "new\nline"])
def test_a_folders_name_never_ends_the_string_in_the_python_lines(tmp_path, folder):
    choice = ModelChoice(tmp_path / "p" / "runs" / "r", Model.TEACHER)
    text = run_elsewhere(tmp_path / "p", choice, tmp_path / folder, WORDS)
    code = text[text.index("import onnxruntime") :]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    (session,) = (
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "InferenceSession"
    )
    assert ast.literal_eval(session.args[0]) == f"{(tmp_path / folder).as_posix()}/model.onnx"
    assert len(calls) == 3
