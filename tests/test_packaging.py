"""The way from a clone to a running program: Makefile, environment, system libraries, wheel, licence."""

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def libraries() -> ModuleType:
    return load("system_libraries")


@pytest.fixture
def linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")


def test_missing_libraries_are_those_that_do_not_load(libraries):
    found = libraries.missing(libraries.FOR_QT, loads=lambda name: "GL" not in name)
    assert found == ["libEGL.so.1", "libGL.so.1"]
    assert libraries.missing(["libsurely-not-there.so.9"]) == ["libsurely-not-there.so.9"]
    if sys.platform.startswith("linux"):
        assert libraries.missing(["libc.so.6"]) == []


def test_nothing_happens_where_nothing_is_missing(libraries, linux, monkeypatch, capsys):
    monkeypatch.setattr(libraries, "missing", lambda names: [])
    assert libraries.main([]) == 0
    assert capsys.readouterr().out == ""


def test_what_is_missing_is_installed_where_apt_may(libraries, linux, monkeypatch, capsys):
    answers = iter([["libEGL.so.1", "libxcb-cursor.so.0"], []])  # before and after
    monkeypatch.setattr(libraries, "missing", lambda names: next(answers))
    monkeypatch.setattr(libraries, "apt_prefix", lambda: ["sudo", "-n"])
    calls = []
    monkeypatch.setattr(libraries, "install", lambda prefix, packages: calls.append((prefix, packages)) or True)
    assert libraries.main([]) == 0
    assert calls == [(["sudo", "-n"], ["libegl1", "libxcb-cursor0"])]
    assert "libEGL.so.1, libxcb-cursor.so.0" in capsys.readouterr().out


@pytest.mark.parametrize(("prefix", "arguments"), [(None, []), ([], ["--check"])])
def test_else_the_line_to_run_is_printed(libraries, linux, monkeypatch, capsys, prefix, arguments):
    monkeypatch.setattr(libraries, "missing", lambda names: ["libGL.so.1"])
    monkeypatch.setattr(libraries, "apt_prefix", lambda: prefix)
    monkeypatch.setattr(libraries, "install", lambda *_: pytest.fail("nothing may be installed"))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert libraries.main(arguments) == 1
    assert "sudo apt-get update && sudo apt-get install -y libgl1" in capsys.readouterr().out


def test_a_failed_installation_is_not_called_done(libraries, linux, monkeypatch, capsys):
    monkeypatch.setattr(libraries, "missing", lambda names: ["libGL.so.1"])  # still missing afterwards
    monkeypatch.setattr(libraries, "apt_prefix", lambda: [])
    monkeypatch.setattr(libraries, "install", lambda prefix, packages: True)
    assert libraries.main([]) == 1
    assert "installation failed" in capsys.readouterr().out


def test_tests_need_no_window_libraries(libraries, linux, monkeypatch):
    asked = []
    monkeypatch.setattr(libraries, "missing", lambda names: asked.extend(names) or [])
    libraries.main(["--offscreen"])
    assert "libEGL.so.1" in asked
    assert "libxcb-cursor.so.0" not in asked


def test_it_runs_on_the_standard_library_alone():
    script = REPOSITORY / "packaging/system_libraries.py"
    command = [sys.executable, "-I", "-S", str(script), "--check", "--offscreen"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    assert result.stderr == ""


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def clone(tmp_path) -> Path:
    """The Makefile with an environment that only writes down what it is asked to do."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "packaging", tmp_path / "packaging")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("python", "masktwins", "ruff", "pyright", "lint-imports"):
        program = tmp_path / ".venv/bin" / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> calls.txt\n')
        program.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run make without a display, and return what it printed and the programs that it called since the last time."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    clean = {name: value for name, value in os.environ.items() if name not in hidden}
    result = subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = folder / "calls.txt"
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return result, lines


@needs_make
def test_make_run_opens_the_demo_and_installs_only_once(clone):
    result, calls = make(clone, "run", DISPLAY=":0")
    assert result.returncode == 0, result.stderr
    assert calls[-1] == "masktwins demo masktwins-demo"
    assert any(call.endswith("-e .") for call in calls)
    _, again = make(clone, "run", DISPLAY=":0")
    assert not any("pip" in call for call in again)
    os.utime(clone / "pyproject.toml", (2**31, 2**31))
    _, changed = make(clone, "run", DISPLAY=":0")
    assert any("pip install" in call.replace("--quiet ", "") for call in changed)


@needs_make
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_make_run_without_a_display_says_so_and_runs_headless(clone):
    result, calls = make(clone, "run")
    assert "no display" in result.stdout
    assert calls[-1] == "masktwins demo masktwins-demo --headless"
    assert not any("system_libraries" in call for call in calls)


@needs_make
def test_make_test_runs_every_check_with_the_test_extras(clone):
    result, calls = make(clone, "test")
    assert result.returncode == 0, result.stderr
    assert any(call.endswith("-e .[test]") for call in calls)
    wanted = [
        "ruff check .",
        "ruff format --check .",
        "pyright",
        "lint-imports",
        "python -m pytest -n 2 --dist loadfile",
    ]
    assert [call for call in calls if call in wanted] == wanted


@needs_make
@pytest.mark.parametrize("broken", ["ruff", "pyright", "lint-imports"])
def test_a_failing_check_fails_make_test(clone, broken):
    (clone / ".venv/bin" / broken).write_text("#!/bin/sh\nexit 1\n")
    result, calls = make(clone, "test")
    assert result.returncode != 0
    assert not any("pytest" in call for call in calls)


@needs_make
def test_an_old_python_is_refused_with_a_sentence(clone):
    old = clone / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.8.10" && exit 0\nexit 1\n')
    old.chmod(0o755)
    result, calls = make(clone, "run", f"PYTHON={old}")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer" in result.stderr
    assert "3.8.10" in result.stderr
    assert calls == []


@needs_make
def test_a_failed_installation_leaves_no_stamp(clone):
    python = clone / ".venv/bin/python"
    python.write_text('#!/bin/sh\ncase "$*" in *install*) exit 1;; esac\n')
    result, _ = make(clone, "run")
    assert result.returncode != 0
    assert "installation failed" in result.stderr
    assert not (clone / ".venv/.installed").exists()


@needs_make
def test_make_alone_explains_itself(clone):
    result, _ = make(clone)
    assert {line.split()[1] for line in result.stdout.splitlines()} == {
        "run", "test", "torture", "check", "desktop", "clean",
    }  # fmt: skip


def test_ci_calls_the_readmes_test_command():
    script = (REPOSITORY / ".ci/run").read_text()
    assert os.access(REPOSITORY / ".ci/run", os.X_OK)
    assert re.search(r"^make test$", script, re.MULTILINE)
    assert "set -e" in script


def test_a_wheel_that_lacks_a_resource_is_found(tmp_path):
    proof = load("prove_wheel")
    wheel = tmp_path / "empty.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("resources/__init__.py", "")
    with pytest.raises(proof.ProofError, match=r"lacks .*resources/presets/demo\.toml"):
        proof.prove_resources(wheel)


def test_a_wheel_that_lacks_a_chapter_or_a_picture_is_found():
    proof = load("prove_wheel")
    held = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "resources").rglob("*")}
    proof.prove_guide(held)
    for name in ("resources/guide/data.md", "resources/guide/contents.md", "resources/guide/pictures/train.png"):
        with pytest.raises(proof.ProofError, match=rf"user guide: {re.escape(name)}$"):
            proof.prove_guide(held - {name})


def test_a_program_that_fails_fails_the_proof(tmp_path):
    proof = load("prove_wheel")
    with pytest.raises(proof.ProofError, match="ended with 3"):
        proof.run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_the_licence_is_the_one_that_is_declared():
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0" in text
    assert 'license = "Apache-2.0"' in (REPOSITORY / "pyproject.toml").read_text()


LINUX = REPOSITORY / "packaging" / "linux"


@pytest.mark.parametrize(
    "command",
    [
        ["desktop-file-validate", str(LINUX / "masktwins.desktop")],
        ["appstreamcli", "validate", "--no-net", str(LINUX / "masktwins.metainfo.xml")],
    ],
    ids=lambda command: command[0],
)
def test_the_desktop_s_own_checkers_accept_the_entry(command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_entry_and_its_description_belong_together():
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(LINUX / "masktwins.desktop", encoding="utf-8")
    described = ElementTree.parse(LINUX / "masktwins.metainfo.xml").getroot()
    assert described.findtext("launchable") == "masktwins.desktop"
    assert described.findtext("provides/binary") == entry["Desktop Entry"]["Exec"].split()[0] == "masktwins"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert described.find("releases/release").attrib["version"] == project["version"]
    assert described.findtext("project_license") == project["license"]


@needs_make
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such menu")
def test_make_desktop_adds_the_program_to_the_menu(clone, tmp_path):
    shutil.copytree(REPOSITORY / "resources" / "icons", clone / "resources" / "icons")
    result, _ = make(clone, "desktop", XDG_DATA_HOME=str(tmp_path / "data"))
    assert result.returncode == 0, result.stderr
    entry = (tmp_path / "data/applications/masktwins.desktop").read_text()
    assert f'Exec="{clone}/.venv/bin/masktwins" %f' in entry
    assert (tmp_path / "data/icons/hicolor/scalable/apps/masktwins.svg").is_file()
