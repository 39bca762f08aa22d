"""Nothing leaves the machine: a whole session in processes that are killed for asking for an internet socket."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.core.sealed import is_possible
from tests.core.tiny import write_scene

REPOSITORY = Path(__file__).resolve().parents[1]
TINY = [
    "network.encoder=tu-test_resnet", "network.weights=none", "mask.block_size=8", "training.steps=2",
    "training.source_steps=2", "training.crop_size=32", "training.batch_size=2", "training.threads=1",
    "training.warmup_steps=0",
]  # fmt: skip
COMMANDS = f"""
import sys
from tests.core.sealed import seal
seal()
from core.commands.cli import main
data, out = sys.argv[1:]
folders = ["--source-images", f"{{data}}/source/images", "--source-labels", f"{{data}}/source/labels",
           "--target-images", f"{{data}}/target/images"]
sets = [word for change in {TINY!r} for word in ("--set", change)]
assert main(["check", *folders]) == 0
assert main(["init", f"{{out}}/dusk.toml", *folders]) == 0
assert main(["adapt", f"{{out}}/dusk.toml", "--out", f"{{out}}/run", *sets]) == 0
assert main(["predict", f"{{out}}/run", f"{{data}}/target/images", f"{{out}}/predicted"]) == 0
assert main(["export", f"{{out}}/run", f"{{out}}/bundle", "--format", "safetensors,onnx"]) == 0
assert main(["doctor"]) == 0
"""
WINDOW = """
import sys
from tests.core.sealed import seal
seal()
from PySide6.QtCore import QSettings, QTimer
from masktwins_gui import app
out = sys.argv[2]
store = QSettings(f"{out}/settings.ini", QSettings.Format.IniFormat)
application = app.create_application(["masktwins"], store)
window = app.MainWindow(store)
window.show()
QTimer.singleShot(3000, window.close)
sys.exit(application.exec())
"""

pytestmark = pytest.mark.skipif(not is_possible, reason="needs seccomp, which this system does not have")


@pytest.fixture
def data(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for camera, dark in (("source", False), ("target", True)):
        for i in range(3):
            write_scene(tmp_path / "data" / camera, str(i), rng, dark=dark, labels=not dark)
    return tmp_path / "data"


def run_sealed(script: str, data: Path, out: Path) -> subprocess.CompletedProcess[str]:
    out.mkdir(exist_ok=True)
    home = {"HOME": str(out / "home"), "XDG_CACHE_HOME": str(out / "home/.cache")}
    environment = {k: v for k, v in os.environ.items() if "TELEMETRY" not in k} | home
    environment |= {"PYTHONPATH": str(REPOSITORY), "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
    (out / "home").mkdir()
    return subprocess.run(
        [sys.executable, "-c", script, str(data), str(out)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_the_command_line_asks_for_no_connection(data, tmp_path):
    result = run_sealed(COMMANDS, data, tmp_path / "out")
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "out/bundle/model.onnx").is_file()
    ids = [path for path in (tmp_path / "out/home").rglob("*") if "icrosoft" in path.name or "onnxruntime" in path.name]
    assert not ids, "onnxruntime keeps a device id to report with"


def test_the_window_asks_for_no_connection(data, tmp_path):
    result = run_sealed(WINDOW, data, tmp_path / "out")
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_a_connection_would_be_noticed(tmp_path, family):
    script = f"from tests.core.sealed import seal\nseal()\nimport socket\nsocket.socket(socket.{family})"
    assert run_sealed(script, tmp_path, tmp_path / "out").returncode == -signal.SIGSYS


def test_a_local_socket_is_no_connection(tmp_path):
    script = "from tests.core.sealed import seal\nseal()\nimport socket\nsocket.socketpair()"
    assert run_sealed(script, tmp_path, tmp_path / "out").returncode == 0


def test_a_program_would_be_noticed(tmp_path):
    script = "from tests.core.sealed import seal\nseal(programs={})\nimport os\nos.execv('/bin/true', ['true'])"
    assert run_sealed(script.format(False), tmp_path, tmp_path / "out").returncode == 0
    shutil.rmtree(tmp_path / "out")
    assert run_sealed(script.format(True), tmp_path, tmp_path / "out").returncode == -signal.SIGSYS
