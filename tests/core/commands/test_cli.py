"""The command line as its users drive it: words in, exit code, stdout and stderr out."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import cv2
import numpy as np
import pytest
import torch

from core.commands.cli import COMMANDS, build_parser, main
from core.configuration.settings import save
from core.evaluation.predictor import Predictor
from core.runs.folder import RunFolder
from tests.core.tiny import tiny_config

TINY = [
    "network.encoder=tu-test_resnet", "network.weights=none", "mask.block_size=8", "training.steps=3",
    "training.source_steps=2", "training.crop_size=32", "training.batch_size=2", "training.threads=1",
    "training.checkpoint_interval=1", "training.log_interval=1", "training.preview_interval=0", "training.warmup_steps=0",
]  # fmt: skip
SETS = [word for change in TINY for word in ("--set", change)]


def folders(root, *names):
    found = {"source-images": "source/images", "source-labels": "source/labels", "target-images": "target/images"}
    found |= {"target-labels": "eval/labels", "evaluation-images": "eval/images"}
    return [word for name in names for word in (f"--{name}", str(root / found[name]))]


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def trained(tiny_data, tmp_path_factory):
    """A project and a finished run, made through the command line."""
    project = tmp_path_factory.mktemp("project")
    names = ("source-images", "source-labels", "target-images", "target-labels", "evaluation-images")
    assert main(["init", str(project / "dusk.toml"), *folders(tiny_data, *names), "--preset", "quick"]) == 0
    assert main(["adapt", str(project / "dusk.toml"), *SETS, "--json"]) == 0
    return project


def test_every_command_has_help(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert name in capsys.readouterr().out


def test_adapt_help_lists_every_setting(capsys):
    with pytest.raises(SystemExit):
        main(["adapt", "--help"])
    out = capsys.readouterr().out
    assert "mask.block_size" in out
    assert "training.ema_alpha" in out


@pytest.mark.parametrize(
    "words",
    [
        [], ["fly"], ["adapt"], ["adapt", "a.toml", "--resume", "b"], ["adapt", "a.toml", "--set", "mask.block_size"],
        ["adapt", "a.toml", "--set", "data.fliip=true"], ["export", "m", "o", "--formats", "x"], ["predict", "m", "i"],
        ["predict", "m", "i", "o", "--ids", "--overlay"], ["predict", "m", "i", "o", "--window", "0"],
        ["predict", "m", "i", "o", "--window", "32xx"], ["predict", "m", "i", "o", "--batch", "0"],
        ["predict", "m", "i", "o", "--precision", "fp8"],
    ],
)  # fmt: skip
def test_usage_errors_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["adapt", "none.toml"], ["adapt", "--resume", "none"], ["evaluate", "none", "--images", "x", "--labels", "y"],
        ["predict", "none", "a", "b"], ["export", "none", "out"], ["demo"],
    ],
)  # fmt: skip
def test_failures_exit_with_1_and_one_sentence(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("masktwins: ")
    assert "Traceback" not in error


def test_init_never_overwrites(tiny_data, tmp_path, capsys):
    words = ["init", str(tmp_path / "a.toml"), *folders(tiny_data, "source-images", "source-labels", "target-images")]
    assert main(words) == 0
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err


def test_adapt_json_and_run_folder(trained, capsys):
    run = trained / "runs" / "dusk-01"
    assert main(["adapt", "--resume", str(run), "--json"]) == 0
    result = last_json(capsys)
    assert set(result) == {
        "run", "steps", "seconds_per_step", "checkpoint", "best_checkpoint", "verdict",
        "source_only", "student", "teacher",
    }  # fmt: skip
    assert result["steps"] == 5
    assert set(result["teacher"]) == {"miou", "pixel_accuracy", "per_class", "confusion"}
    assert {p.name for p in run.iterdir()} >= {
        "run.toml",
        "status.json",
        "metrics.csv",
        "checkpoints",
        "label_space.toml",
    }


def test_measure_says_what_a_run_needs(trained, tiny_data, tmp_path, capsys):
    folder = tmp_path / "project"
    folder.mkdir()
    save(tiny_config(tiny_data), folder / "night.toml")
    assert main(["measure", str(folder / "night.toml"), "--json", "--set", "training.steps=600"]) == 0
    found = last_json(capsys)
    assert found["total_seconds"] > 600 * found["adapt_step_seconds"]
    assert [path.name for path in folder.iterdir()] == ["night.toml"]
    assert main(["measure", str(folder / "night.toml")]) == 0
    assert "in total" in capsys.readouterr().out


def test_a_bad_setting_in_set_is_a_clear_failure(trained, capsys):
    assert main(["adapt", str(trained / "dusk.toml"), "--set", "mask.ratio=7"]) == 1
    assert "mask.ratio" in capsys.readouterr().err


def test_evaluate_as_the_run_did(trained, tiny_data, capsys):
    run = trained / "runs" / "dusk-01"
    images, labels = str(tiny_data / "eval/images"), str(tiny_data / "eval/labels")
    assert main(["adapt", "--resume", str(run), "--json"]) == 0
    expected = last_json(capsys)
    for which, key in (("teacher", "teacher"), ("student", "student"), ("source", "source_only")):
        assert main(["evaluate", str(run), "--weights", which, "--images", images, "--labels", labels, "--json"]) == 0
        assert last_json(capsys)["miou"] == pytest.approx(expected[key]["miou"], abs=1e-3)


@pytest.mark.parametrize(("window", "expected"), [("48", (48, 48)), ("32x64", (32, 64))])
def test_evaluate_and_predict_compute_as_they_are_told(
    trained, tiny_data, tmp_path, capsys, monkeypatch, window, expected
):
    run, images = str(trained / "runs" / "dusk-01"), str(tiny_data / "eval/images")
    found, ids = [], Predictor.ids

    def watched(self, pixels):
        found.append((self.device.type, self.window, self.batch_size, len(pixels)))
        assert self.logits_of(self.pixels(pixels[:1])).dtype is torch.float32
        return ids(self, pixels)

    monkeypatch.setattr(Predictor, "ids", watched)
    options = ["--device", "cpu", "--precision", "bf16", "--window", window, "--batch", "2"]
    labels = str(tiny_data / "eval/labels")
    assert main(["evaluate", run, "--images", images, "--labels", labels, *options]) == 0
    assert main(["predict", run, images, str(tmp_path / "out"), *options]) == 0
    assert {each[:3] for each in found} == {("cpu", expected, 2)}
    assert [each[3] for each in found] == [2, 1, 1, 1, 1]  # evaluate batches three images, predict takes one by one
    assert "on cpu (as chosen), bf16" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_a_device_that_does_not_exist_is_refused_in_words(trained, tiny_data, tmp_path, capsys, command):
    words = {
        "evaluate": ["--images", str(tiny_data / "eval/images"), "--labels", str(tiny_data / "eval/labels")],
        "predict": [str(tiny_data / "eval/images"), str(tmp_path / "out")],
        "export": [str(tmp_path / "out")],
    }[command]
    assert main([command, str(trained / "runs" / "dusk-01"), *words, "--device", "cuda:99"]) == 1
    assert "cuda:99" in capsys.readouterr().err


def test_too_little_memory_names_the_options_that_help(trained, tiny_data, capsys, monkeypatch):
    def short(self, values):
        raise MemoryError

    monkeypatch.setattr(Predictor, "_forward", short)
    words = ["--images", str(tiny_data / "eval/images"), "--labels", str(tiny_data / "eval/labels"), "--device", "cpu"]
    assert main(["evaluate", str(trained / "runs" / "dusk-01"), *words]) == 1
    assert "--window 64 --batch 1" in capsys.readouterr().err


def test_evaluate_over_chosen_classes(trained, tiny_data, capsys):
    words = ["evaluate", str(trained / "runs" / "dusk-01"), "--images", str(tiny_data / "eval/images")]
    words += ["--labels", str(tiny_data / "eval/labels"), "--json", "--classes"]
    assert main([*words, "class 0"]) == 0
    result = last_json(capsys)
    assert result["miou_classes"] == pytest.approx(result["per_class"]["class 0"], abs=1e-3)
    with pytest.raises(SystemExit):
        main([*words, "dragon"])


def test_labels_without_a_labelled_pixel_give_no_score(trained, tiny_data, tmp_path, capsys):
    labels = tmp_path / "labels"
    labels.mkdir()
    for image in (tiny_data / "eval/images").iterdir():
        assert cv2.imwrite(str(labels / image.name), np.full((64, 64), 255, np.uint8))
    words = [
        "evaluate",
        str(trained / "runs" / "dusk-01"),
        "--images",
        str(tiny_data / "eval/images"),
        "--labels",
        str(labels),
    ]
    assert main(words) == 1  # nothing measured is no success
    assert "no pixel is labelled" in capsys.readouterr().out
    assert main([*words, "--json"]) == 1
    assert last_json(capsys)["miou"] is None


@pytest.mark.parametrize("kind", ["--ids", "--colours", "--overlay"])
def test_predict_a_folder(trained, tiny_data, tmp_path, kind):
    out = tmp_path / "out"
    assert main(["predict", str(trained / "runs" / "dusk-01"), str(tiny_data / "target/images"), str(out), kind]) == 0
    files = sorted(out.rglob("*.png"))
    assert len(files) == 5
    picture = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    assert picture.shape[:2] == (64, 64)
    if kind == "--ids":
        assert set(np.unique(picture)) <= {0, 1, 2}


def test_export_compares_what_it_wrote(trained, tmp_path, capsys):
    run, out = trained / "runs" / "dusk-01", tmp_path / "bundle"
    assert main(["export", str(run), str(out), "--format", "safetensors,onnx", "--json"]) == 0
    report = last_json(capsys)
    assert report["parity"]["onnx"]["equal_pixels"] >= 0.999
    assert {"model.safetensors", "model.json", "model.onnx"} <= {p.name for p in out.iterdir()}
    assert main(["predict", str(out), str(run.parent), str(tmp_path / "p")]) == 1  # a folder without images


def test_an_exported_checkpoint_says_what_its_run_measured_and_was_set_to(trained, tmp_path):
    run, out = RunFolder(trained / "runs" / "dusk-01"), tmp_path / "bundle"
    run.append_change(4, {"training.learning_rate": 0.125})
    try:
        assert main(["export", str(run.path / "checkpoints" / "step-000003"), str(out)]) == 0
    finally:
        run.changes_path.unlink()
    assert tomllib.loads((out / "run.toml").read_text(encoding="utf-8"))["training"]["learning_rate"] == 0.125
    miou = run.status()["scores"]["teacher"]["miou"]
    assert f"mean IoU {miou:.1f} %" in (out / "card.html").read_text(encoding="utf-8")


def test_check_exit_codes_and_json(tiny_data, tmp_path, capsys):
    names = ("source-images", "source-labels", "target-images")
    assert main(["check", *folders(tiny_data, *names), "--crop", "32", "--json"]) == 0
    report = last_json(capsys)
    assert not [p for p in report["problems"] if p["severity"] == "error"]
    words = ["check", "--source-images", str(tiny_data / "source/images"), "--source-labels", str(tmp_path)]
    assert main([*words, "--target-images", str(tmp_path / "none")]) == 1


def test_bench_and_doctor_report(capsys):
    assert main(["doctor", "--json"]) == 0
    assert last_json(capsys)["ok"] is True
    assert build_parser().parse_args(["bench", "--steps", "3"]).steps == 3


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)  # another process is watched, through the disk


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal to another process here")
def test_ctrl_c_stops_with_a_checkpoint_and_exits_with_130(trained, tmp_path):
    out = tmp_path / "run"
    words = ["adapt", str(trained / "dusk.toml"), *SETS, "--set", "training.steps=100000", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "core", *words], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: RunFolder(out).metrics_path.exists() and len(RunFolder(out).metrics()) > 4, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in error
    assert RunFolder(out).status()["state"] == "stopped"
    assert RunFolder(out).checkpoints()[-1].step == RunFolder(out).status()["step"]
