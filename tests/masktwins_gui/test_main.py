"""How the program is started, and what it does not import."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from core.configuration import settings
from core.runs.folder import RunFolder
from masktwins_gui import __main__ as program
from masktwins_gui import display, system_libraries

OPEN_AND_CLOSE = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from PySide6.QtCore import QSettings
from masktwins_gui import theme
from masktwins_gui.app import create_application
from masktwins_gui.main_window import MainWindow
store = QSettings(sys.argv[1], QSettings.Format.IniFormat)
app = create_application(["masktwins"], store)
window = MainWindow(store)
theme.apply(app, theme.current(app))
window.show()
for page in window.pages:
    window.show_page(page)
    app.processEvents()
window.close()
heavy = [name for name in ("torch", "timm", "onnx") if name in sys.modules]
print("heavy:", heavy)
"""


def test_the_window_opens_without_torch(tmp_path):
    command = [sys.executable, "-c", OPEN_AND_CLOSE, str(tmp_path / "s.ini")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout


def test_a_sub_command_needs_no_qt():
    code = "import sys, masktwins_gui.__main__; print('PySide6' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.skipif(os.name != "posix", reason="a signal to another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_stops_the_run_with_a_checkpoint(number, project_file, tmp_path):
    config = settings.with_changes(settings.load(project_file), {"training.steps": 100_000})
    settings.save(config, project_file)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "masktwins_gui", str(project_file), "--start"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    run = RunFolder(project_file.parent / "runs" / "run-01")
    end = time.monotonic() + 120
    while not (run.metrics_path.exists() and len(run.metrics()) > 4):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)  # another process is watched, through the disk
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert run.status()["state"] == "stopped"
    assert run.checkpoints()[-1].step == run.status()["step"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring these libraries along")
@pytest.mark.parametrize(
    ("environment", "absent", "words"),
    [
        ({"DISPLAY": ":0"}, "libxcb-cursor.so.0", "libxcb-cursor0"),
        ({"DISPLAY": ":0"}, "libGL.so.1", "libgl1"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "libEGL.so.1", "libegl1"),
        ({"QT_QPA_PLATFORM": "offscreen"}, "libEGL.so.1", "libegl1"),
        ({}, "", "no display"),
    ],
)
def test_a_window_that_cannot_open_says_why_and_what_to_do(monkeypatch, capsys, environment, absent, words):
    complain = system_libraries.complaint
    monkeypatch.setattr(system_libraries.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_libraries, "missing", lambda names: [name for name in names if name == absent])
    monkeypatch.setattr(program, "complaint", lambda: complain(environment))
    assert program.main([]) == 1  # Qt was not asked: it would have ended the process
    told = capsys.readouterr().err
    assert absent in told
    assert words in told
    assert (f"sudo apt-get update && sudo apt-get install -y {words}" in told) == bool(absent)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have one display")
@pytest.mark.parametrize(
    ("environment", "answers"),
    [
        ({"DISPLAY": ":4711"}, False),
        ({"DISPLAY": "localhost:4711.0"}, False),
        ({"DISPLAY": ":99999999"}, False),
        ({"WAYLAND_DISPLAY": "wayland-9", "XDG_RUNTIME_DIR": "/nowhere"}, False),
        ({"DISPLAY": ":4711", "QT_QPA_PLATFORM": "offscreen"}, True),
        ({"DISPLAY": "what the library knows"}, True),
    ],
)
def test_a_display_that_does_not_answer_is_named(environment, answers):
    told = display.unreachable(environment, "linux")
    assert (told == "") == answers
    assert answers or " and ".join(v for k, v in environment.items() if k.endswith("DISPLAY")) in told


def test_a_display_that_answers(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "wayland-0"))
        server.listen()
        assert display.unreachable({"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": str(tmp_path)}, "linux") == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nope.toml"], "nope.toml: it does not exist"),
        (["evalute"], "Did you mean evaluate"),
        (["xyzzy"], "The sub-commands are demo"),
        (["a" * 300 + ".toml"], "too long"),
        (["."], "is a folder"),
    ],
)
def test_a_project_that_is_not_there_ends_in_a_sentence(monkeypatch, tmp_path, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert program.main(words) == 1
    assert told in capsys.readouterr().err


def test_wayland_and_offscreen_need_no_x11(monkeypatch):
    monkeypatch.setattr(system_libraries, "missing", lambda names: [name for name in names if "xcb" in name])
    for environment in ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, {"QT_QPA_PLATFORM": "offscreen"}):
        assert system_libraries.complaint(environment, "linux") == ""
    assert "libxcb" in system_libraries.complaint({"DISPLAY": ":0"}, "linux")
    assert system_libraries.complaint({}, "win32") == ""


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(program, "run_command", lambda arguments: made.append(("command", arguments)) or 0)
    monkeypatch.setattr(program, "_window", lambda **options: made.append(("window", options)) or 0)
    return made


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ([], "window"),
        (["p.toml"], "window"),
        (["p.toml", "--start"], "window"),
        (["demo"], "window"),
        (["demo", "some/folder"], "window"),
        (["demo", "--headless", "--json"], "command"),
        (["demo", "--help"], "command"),
        (["doctor", "--json"], "command"),
        (["adapt", "run.toml"], "command"),
    ],
)
def test_sub_commands_go_to_the_command_line(calls, arguments, kind):
    assert program.main(arguments) == 0
    assert [name for name, _ in calls] == [kind]


def test_options_reach_the_window(calls):
    program.main(["p.toml", "--start"])
    program.main(["demo", "d"])
    (_, first), (_, second) = calls
    assert (str(first["project"]), first["start"]) == ("p.toml", True)
    assert (second["open_demo"], str(second["demo"])) == (True, "d")


def test_start_without_a_project_is_a_usage_error(calls, capsys):
    assert program.main(["--start"]) == 2
    assert "PROJECT.toml" in capsys.readouterr().err
    assert calls == []
