"""Checksums: what was written is what is read, and what else is there is named."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checksums import SUMS, ChecksumError, check_file, read_sums, sum_of, to_text
from core.commands.cli import main
from core.export.bundle import Format, export
from core.labels import LabelSpace
from core.networks.store import StoreError, load_model, write_tensors
from core.runs.create import create_run
from core.training.checkpoint import CheckpointError, load_optimizer, read_state
from tests.core.networks.small import network, save_model
from tests.core.tiny import tiny_config, train

SPACE = LabelSpace("test", ("road", "sky", "pole"), ((10, 20, 30), (200, 100, 0), (0, 0, 255)))


@pytest.fixture(scope="module")
def trained(tiny_data, tmp_path_factory):
    """A run of two steps with an exported bundle in it."""
    config = tiny_config(tiny_data, training__steps=2, training__source_steps=2, training__evaluation_interval=0)
    run = create_run(config, tmp_path_factory.mktemp("project") / "run")
    train(run)
    export(load_model(run.path), run.export_path, [Format.SAFETENSORS], [], config=config)
    return run.path


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def flip(path: Path, position: int = -5) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def verify(path: Path, capsys) -> tuple[int, dict[str, str]]:
    code = main(["verify", str(path), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] == (code == 0)
    return code, {entry["file"]: entry["state"] for entry in result["files"]}


def newest(run: Path) -> Path:
    return run / "checkpoints" / "step-000002"


# The file ------------------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_usual_program(run):
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("sha256sum is not here")
    for folder in (newest(run), run / "export"):
        result = subprocess.run([program, "--check", "--strict", SUMS], cwd=folder, capture_output=True, check=False)
        assert result.returncode == 0
        assert set(read_sums(folder)) == {path.name for path in folder.iterdir()} - {SUMS}


def test_a_folder_without_sums_is_one_of_an_earlier_version(tmp_path):
    (tmp_path / "a").write_text("x")
    assert read_sums(tmp_path) == {}
    check_file(tmp_path / "a")


@pytest.mark.parametrize("text", ["x", "0" * 64 + "  ../a\n", "0" * 63 + "  a\n", "\0", "\n"])
def test_damaged_sums_are_named(tmp_path, text):
    (tmp_path / SUMS).write_text(text)
    with pytest.raises(ChecksumError, match=SUMS):
        read_sums(tmp_path)


def test_names_with_blanks_and_signs_come_back(tmp_path):
    sums = {name: sum_of(name.encode()) for name in ("a b.json", "ä.onnx", "-x")}
    (tmp_path / SUMS).write_text(to_text(sums), encoding="utf-8")
    assert read_sums(tmp_path) == sums


# Loading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["teacher.safetensors", "model.json"])
def test_a_changed_file_of_a_checkpoint_is_not_loaded(run, name):
    flip(newest(run) / name)
    with pytest.raises(StoreError, match=rf"{name}.*(checksum|damaged)"):
        load_model(run)


def test_a_changed_state_is_not_loaded(run):
    path = newest(run) / "state.json"
    path.write_text(path.read_text().replace('"step": 4', '"step": 3'))
    with pytest.raises(CheckpointError, match="checksum"):
        read_state(newest(run))


def test_the_files_of_two_models_are_not_mixed_up(run):
    shutil.copy(newest(run) / "student.safetensors", newest(run) / "teacher.safetensors")
    with pytest.raises(StoreError, match="checksum"):
        load_model(run)


def test_a_changed_bundle_is_not_loaded(run):
    flip(run / "export" / "model.safetensors")
    with pytest.raises(StoreError, match="checksum"):
        load_model(run / "export")


# The command ---------------------------------------------------------------------------------------


def test_a_whole_run_is_verified(run, capsys):
    code, states = verify(run, capsys)
    assert code == 0
    assert states["run.toml"] == "no checksum"
    for name in ("student", "teacher", "optimizer"):
        assert states[f"checkpoints/step-000002/{name}.safetensors"] == "unchanged"
    assert states["export/card.html"] == "unchanged"
    assert len([name for name in states if name.startswith("checkpoints/source-000002/")]) == 4


@pytest.mark.parametrize("name", ["teacher.safetensors", "optimizer.safetensors", "state.json"])
def test_a_changed_file_is_reported(run, capsys, name):
    flip(newest(run) / name)
    code, states = verify(run, capsys)
    assert code == 1
    assert {file for file, state in states.items() if state == "changed"} == {f"checkpoints/step-000002/{name}"}
    assert verify(newest(run), capsys)[1][name] == "changed"


def test_a_missing_file_and_a_damaged_list_are_reported(run, capsys):
    (run / "export" / "card.html").unlink()
    (newest(run) / SUMS).write_text("nonsense")
    code, states = verify(run, capsys)
    assert code == 1
    assert states["export/card.html"] == "missing"
    assert states[f"checkpoints/step-000002/{SUMS}"] == "damaged"


def test_without_sums_the_contents_still_are_looked_at(run, capsys):
    for path in run.rglob(SUMS):
        path.unlink()
    assert verify(run, capsys)[0] == 0
    (run / "export" / "model.safetensors").write_bytes(b"nothing")
    (run / "status.json").write_text("{")
    code, states = verify(run, capsys)
    assert code == 1
    assert {file for file, state in states.items() if state == "damaged"} == {"export/model.safetensors", "status.json"}


def test_the_report_for_people(run, capsys):
    assert main(["verify", str(run / "export")]) == 0
    out = capsys.readouterr().out
    assert "unchanged    model.safetensors" in out
    assert "Every file can be used." in out
    flip(run / "export" / "model.json")
    assert main(["verify", str(run / "export")]) == 1
    assert "changed      model.json: its checksum" in capsys.readouterr().out


def test_another_folder_is_refused(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 1
    assert "is not a run, a checkpoint or an exported bundle" in capsys.readouterr().err


# Permissions and the label space -------------------------------------------------------------------


def test_every_file_of_a_bundle_has_the_permissions_of_the_umask(run):
    modes = {path.name: path.stat().st_mode & 0o777 for path in (run / "export").iterdir()}
    assert len(set(modes.values())) == 1, modes
    assert modes["model.safetensors"] & 0o400


def test_a_label_space_above_the_run_is_not_used(run, tiny_data, capsys):
    """One that turns the classes round lies in every folder above the run: none of them is the run's."""
    bundle = Path(shutil.copytree(run / "export", run.parent / "elsewhere" / "bundle"))
    data = ["--images", str(tiny_data / "eval/images"), "--labels", str(tiny_data / "eval/labels"), "--json"]
    assert main(["evaluate", str(bundle), *data]) == 0
    before = capsys.readouterr().out
    wrong = "\n".join(f'[[classes]]\nname = "{i}"\nvalues = [{2 - i}]' for i in range(3))
    for folder in (run.parent, bundle.parent):
        (folder / "label_space.toml").write_text(wrong)
    assert main(["evaluate", str(bundle), *data]) == 0
    assert capsys.readouterr().out == before


# Contents that are no weights ----------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    broken = network(num_classes=3)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[7] = value
    save_model(tmp_path, broken, SPACE)
    with pytest.raises(StoreError, match=r"model\.safetensors holds numbers that are not finite \(in encoder"):
        load_model(tmp_path)


def test_large_finite_numbers_are_not_refused(tmp_path):
    large = network(num_classes=3)
    with torch.no_grad():
        next(large.parameters()).fill_(3e38)  # their sum is not finite
    save_model(tmp_path, large, SPACE)
    load_model(tmp_path)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float16, torch.float64, torch.bool])
def test_weights_of_another_type_are_refused(tmp_path, dtype):
    segmenter = network(num_classes=3)
    save_model(tmp_path, segmenter, SPACE)
    state = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    name = next(iter(state))
    state[name] = state[name].to(dtype)
    write_tensors(state, tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match=r"does not fit .* type"):
        load_model(tmp_path)


@pytest.mark.parametrize("std", [[0, 1, 1], [1, -0.1, 1], [1, 1, float("nan")], [1, 1, float("inf")]])
def test_a_normalisation_that_is_impossible_is_refused(tmp_path, std):
    save_model(tmp_path, network(num_classes=3), SPACE)
    card = json.loads((tmp_path / "model.json").read_text())
    card["normalisation"]["std"] = std
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(StoreError, match="std must be above 0"):
        load_model(tmp_path)


def test_an_optimiser_state_of_another_shape_is_not_stretched(tmp_path):
    linear = torch.nn.Linear(3, 2)
    one = torch.ones(1)
    tensors = {f"{m}:{n}": one.clone() for m in ("exp_avg", "exp_avg_sq", "step") for n in ("weight", "bias")}
    write_tensors(tensors, tmp_path / "optimizer.safetensors")
    with pytest.raises(CheckpointError, match="does not belong to this network: weight"):
        load_optimizer(linear, torch.optim.AdamW(linear.parameters()), tmp_path / "optimizer.safetensors")


def test_half_a_character_cannot_be_a_class(tmp_path):
    save_model(tmp_path, network(num_classes=3), SPACE)
    card = json.loads((tmp_path / "model.json").read_text())
    card["classes"][0] = "\ud800"
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(StoreError, match=r"model\.json"):
        load_model(tmp_path)


def test_sums_do_not_change_what_is_predicted(run):
    with_sums = load_model(run).segmenter.state_dict()
    for path in run.rglob(SUMS):
        path.unlink()
    without = load_model(run).segmenter.state_dict()
    assert all(np.array_equal(with_sums[name].numpy(), without[name].numpy()) for name in with_sums)
