"""Damaged and hostile inputs to the command line: each ends in a sentence, none in a traceback."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from core.commands.cli import main
from core.errors import in_words
from tests.core.test_old_formats import FORMAT_1

DEEP = 100_000
DEEP_JSON = "[" * DEEP + "]" * DEEP
DEEP_TOML = f"x = {DEEP_JSON}"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine")
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(folder)
    return folder / "street"


@pytest.fixture
def street(pristine, tmp_path, monkeypatch):
    """A project of three images a camera with a finished run, as working directory."""

    def copy(source, target):
        (os.link if source.endswith(".safetensors") else shutil.copy2)(source, target)  # which are replaced as wholes

    shutil.copytree(pristine, tmp_path / "street", copy_function=copy)
    monkeypatch.chdir(tmp_path / "street")
    return tmp_path / "street"


def fails(words, capsys, code=1):
    """Run a command that must fail; return its sentence."""
    capsys.readouterr()
    try:
        found = main(words)
    except SystemExit as stop:
        found = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert "fault in the program" not in captured.err, captured.err
    assert found == code, captured.err
    sentence = captured.err.strip().splitlines()[-1]
    assert sentence.startswith("masktwins")
    assert len(sentence) < 2000
    if "--json" in words:
        assert json.loads(captured.out.strip().splitlines()[-1])["error"] in f"{sentence}\n{captured.err}"
    return sentence


def sparse(path, size=1 << 40):
    with path.open("wb") as file:
        file.truncate(size)


def loop(path):
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


BAD_FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "deep TOML": lambda path: path.write_text(DEEP_TOML),
    "deep JSON": lambda path: path.write_text(DEEP_JSON),
    "wrong JSON": lambda path: path.write_text('{"format_version": 1, "step": {}, "state": []}'),
    "enormous": sparse,
    "a folder": lambda path: path.mkdir(),
    "a fifo": os.mkfifo,
    "a loop of links": loop,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "NUL": lambda path: path.write_text('format_version = 1\n[data]\nsource_images = "a\\u0000b"'),
    "huge numbers": lambda path: path.write_text(f"format_version = 1\n[training]\nsteps = {'9' * 400}"),
    "a list for a section": lambda path: path.write_text("format_version = 1\nmask = [1, 2]"),
    "another version": lambda path: path.write_text("format_version = 'x'"),
}


def damage(path, kind):
    path.unlink(missing_ok=True)
    BAD_FILES[kind](path)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_configuration_that_is_none(street, capsys, kind):
    damage(street / "street.toml", kind)
    assert "street.toml" in fails(["adapt", "street.toml", "--json"], capsys)


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("name", ["run.toml", "checkpoints/step-000003/model.json"])
def test_a_run_with_a_damaged_file_is_not_used(street, capsys, name, kind):
    damage(street / "runs/street-01" / name, kind)
    for words in (["predict", "runs/street-01", "data/target/images", "out"], ["export", "runs/street-01", "out"]):
        fails(words, capsys)
    assert not (street / "out").exists() or not any((street / "out").iterdir())


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bundle_with_a_damaged_file_is_not_used(street, capsys, name, kind):
    damage(street / "bundle" / name, kind)
    fails(["predict", "bundle", "data/target/images", "out"], capsys)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_label_spaces_and_weights_that_are_none(street, capsys, kind):
    damage(street / "bad.toml", kind)
    damage(street / "bad.pth", kind)
    fails(["adapt", "street.toml", "--set", "data.label_space=bad.toml"], capsys)
    fails(["adapt", "street.toml", "--set", "network.weights=bad.pth", "--out", "run", "--json"], capsys)
    assert not (street / "run").exists()
    labels = ["--images", "data/target/images", "--labels", "data/target/labels"]
    fails(["evaluate", "bundle", *labels, "--label-space", "bad.toml", "--json"], capsys)


def cyclic():
    value = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "content",
    [
        cyclic(), [[1]], torch.zeros(3), {"a": torch.zeros(2, device="meta")}, {"a": torch.eye(3).to_sparse()},
        {"state_dict": {"state_dict": {}}}, {"a": {"b": 1}},
    ],
    ids=["cyclic", "list", "tensor", "meta", "sparse", "nested", "numbers"],
)  # fmt: skip
def test_weights_of_strange_contents(street, capsys, content):
    torch.save(content, street / "w.pth")
    fails(["adapt", "street.toml", "--set", "network.weights=w.pth", "--out", "run"], capsys)
    assert not (street / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["adapt", "street.toml", "--set", "x"], 2, "section.field=value"),
        (["adapt", "street.toml", "--set", "=3"], 2, "no setting"),
        (["adapt", "street.toml", "--set", "mask.blok_size=3"], 2, "mask.block_size"),
        (["adapt", "street.toml", "--set", "mask.ratio=1.5"], 1, "0.01 to 0.99"),
        (["adapt", "street.toml", "--set", f"mask.ratio={'[' * 9999}"], 1, "mask.ratio"),
        (["adapt", "street.toml", "--set", 'data.source_images="a\\u0000b"'], 1, "NUL"),
        (["adapt", "street.toml", "--set", f"data.source_images={'a' * 5000}"], 1, "too long"),
        (["adapt", "street.toml", "--set", "training.steps=inf"], 1, "whole number"),
        (["adapt", "street.toml", "--set", "network.encoder=../../etc"], 1, "etc"),
        (["adapt", "street.toml", "--out", "street.toml"], 1, "street.toml"),
        (["adapt", "street.toml", "--out", "street.toml/run"], 1, "street.toml"),
        (["adapt", "street.toml", "--out", "/proc/run"], 1, "/proc/run"),
        (["adapt", "street.toml", "--out", "a" * 300], 1, "too long"),
        (["adapt", "street.toml", "--more-steps", "3"], 2, "--resume"),
        (["adapt", "street.toml", "--data-root", "x"], 2, "OLD=NEW"),
        (["adapt", "--resume", "street.toml"], 1, "not a run"),
        (["adapt", "--resume", "runs/street-01", "--more-steps", "-3"], 2, "whole number"),
        (["exprt", "a", "b"], 2, "Did you mean export"),
        (["check", "--source-images", "a", "--source-labels", "b", "--target-images", "c", "--crop", "-5"], 2, "--crop"),
        (["bench", "--steps", "0"], 2, "--steps"),
        (["evaluate", "bundle", "--images", "nope", "--labels", "nope"], 1, "nope"),
        (["predict", "bundle", "nope", "out"], 1, "nope"),
        (["predict", "/dev/zero", "data", "out"], 1, "/dev/zero"),
        (["export", "bundle", "out", "--images", "nope"], 1, "nope"),
        (["evaluate", "bundle", "--images", "data/target/images", "--labels", "data/target/labels", "--classes", "clas 0"],
         2, "Did you mean class 0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_words_that_cannot_be(street, capsys, words, code, told, as_json):
    if as_json and words[0] == "predict":
        pytest.skip("predict has no --json")
    assert told in fails([*words, *["--json"] * as_json], capsys, code)


def folders(**changes):
    places = {"source_images": "data/source/images", "source_labels": "data/source/labels"}
    places |= {"target_images": "data/target/images"} | changes
    return [word for name, place in places.items() for word in (f"--{name.replace('_', '-')}", place)]


@pytest.mark.parametrize(
    "changes",
    [
        {"source_images": "nope"}, {"source_labels": "nope"}, {"target_images": "nope"}, {"target_labels": "nope"},
        {"source_labels": "unpaired"}, {"target_labels": "unpaired"}, {"source_images": "street.toml"},
    ],
)  # fmt: skip
def test_init_writes_nothing_for_folders_that_cannot_be_used(street, capsys, changes):
    (street / "unpaired").mkdir()
    shutil.copy("data/source/labels/0.png", "unpaired/other.png")
    assert next(iter(changes.values())) in fails(["init", "new.toml", *folders(**changes)], capsys)
    assert not (street / "new.toml").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("words", [["init", "new.toml", *folders()], ["adapt", "street.toml", "--out", "run"]])
def test_a_disk_that_takes_nothing(street, capsys, monkeypatch, words, code):
    def refuse(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("core.files.os.fsync", refuse)
    sentence = fails(words, capsys)
    assert "new.toml" in sentence or "run" in sentence
    assert os.strerror(code) not in sentence  # the reason and the remedy in words


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_run_that_cannot_be_locked(street, capsys, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code), str(street / "runs/street-01/.lock"))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    for more in ([], ["--more-steps", "2"]):
        fails(["adapt", "--resume", "runs/street-01", *more], capsys)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO])
def test_a_drive_without_file_locks_is_reported_and_the_run_resumes(street, capsys, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code), str(street / "runs/street-01/.lock"))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert main(["adapt", "--resume", "runs/street-01"]) == 0
    error = capsys.readouterr().err
    assert "has no file locks" in error
    assert "Traceback" not in error


def test_a_fault_of_the_program_is_one_sentence_and_a_file(street, capsys, monkeypatch):
    def fault(*_, **__):
        raise ZeroDivisionError("division by zero\nsecond line")

    monkeypatch.setattr("core.dataset.listing.scan", fault)
    assert main(["init", "new.toml", *folders()]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("masktwins: This is a fault in the program: ZeroDivisionError: division by zero.")
    assert len(error.splitlines()) == 1
    place = Path(error.split("The details are in ")[1].split(";")[0])
    assert "Traceback" in place.read_text()
    place.unlink()


def test_a_fault_that_ends_a_run_is_kept_in_its_log(street, capsys, monkeypatch):
    def fault(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("core.training.session.Session.train_step", fault)
    assert main(["adapt", "street.toml", "--out", "run"]) == 1
    assert "run/log.txt" in capsys.readouterr().err
    assert "ZeroDivisionError" in (street / "run/log.txt").read_text()


def python(street, words, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "core", *words]
    return subprocess.run(command, cwd=street, env=environment, text=True, timeout=120, check=False, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
def test_output_that_cannot_be_written(street):
    with Path("/dev/full").open("w") as full:
        done = python(street, ["adapt", "--resume", "runs/street-01"], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert (
            done.stderr.strip().splitlines()[-1] == "masktwins: The system refused: the disk is full; free some space."
        )
        assert python(street, ["adapt", "nope.toml"], stdout=full, stderr=full).returncode == 1


def test_output_that_nobody_reads(street):
    reader, writer = os.pipe()
    os.close(reader)
    done = python(street, ["adapt", "--resume", "runs/street-01"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_names_that_are_no_text(street):
    done = python(street, [b"predict", b"\xff\xfe", b"x", b"y"], capture_output=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("masktwins: ")


def test_words_for_what_the_system_refuses():
    sentence = in_words(OSError(errno.ENOSPC, "x", "/a/b"))
    assert sentence == "/a/b: the disk is full; free some space."
    assert in_words(OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b")).startswith("/a → /b: Invalid")
    assert "memory" in in_words(MemoryError())
    assert "nested" in in_words(RecursionError())
    assert in_words(ValueError("something else")) is None
