"""The rules of who may import whom: each is broken on purpose in a copy, and what the linter cannot see is tried out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "masktwins_gui", "resources")

# Contract, file that the import is planted in (made where it is not there), statement.
PLANTS = [
    ("window-above-core", "core/dataset/planted.py", "import masktwins_gui.models"),
    ("no-qt-in-core", "core/method/planted.py", "def hidden():\n    from PySide6 import QtCore"),
    ("no-qt-in-core", "core/loading/planted.py", "import pyqtgraph"),
    ("core-layers", "core/configuration/config.py", "import core.events"),
    ("core-layers", "core/files.py", "import core.render"),
    ("core-layers", "core/dataset/planted.py", "import core.method.masks"),
    ("core-layers", "core/networks/planted.py", "def hidden():\n    import core.evaluation.metrics"),
    ("core-layers", "core/training/planted.py", "import core.export"),
    ("core-layers", "core/unplaced.py", "ANSWER = 42"),
    ("window-layers", "masktwins_gui/models/planted.py", "import masktwins_gui.widgets"),
    ("window-layers", "masktwins_gui/pages/planted.py", "import masktwins_gui.controller"),
    ("workers-below-controller", "masktwins_gui/workers/planted.py", "import masktwins_gui.controller"),
    ("who-trains", "masktwins_gui/workers/inference.py", "def hidden():\n    import core.training.loop"),
    ("who-trains", "core/runs/folder.py", "import core.training"),
    ("pages-without-torch", "masktwins_gui/models/planted.py", "def hidden():\n    import core.networks.build"),
    ("pages-without-torch", "masktwins_gui/widgets/planted.py", "import torch"),
]

WITHOUT_TORCH_ROOMS = ("configuration", "dataset", "checking", "demo", "runs")
WITHOUT_TORCH = (
    "core.events", "core.control", "core.errors", "core.files", "core.labels", "core.pixels", "core.render", "core.memory", "core.privacy",
    "core.loading.prefetch", "core.loading.counting", "core.loading.cropping", "core.loading.random",
    "core.loading.rare_classes", "core.evaluation.choice", "core.evaluation.compare",
    "core.evaluation.boundary", "core.evaluation.scores", "core.evaluation.video", "core.networks.origin", "core.method.masks", "core.networks.encoders", "core.commands.cli",
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold_and_every_one_has_a_planted_violation(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len({plant[0] for plant in PLANTS})} kept, 0 broken" in result.stdout


@pytest.mark.parametrize(("contract", "file", "statement"), PLANTS)
def test_a_planted_violation_is_found(copy, contract, file, statement):
    path = copy / file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n\n{statement}\n", encoding="utf-8")
    try:
        result = lint(copy, "--contract", contract)
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    assert result.returncode == 1, result.stdout
    assert "Contracts: 0 kept, 1 broken" in result.stdout


def run_python(code: str, *arguments: str) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


IMPORT_AND_LOOK = """
import importlib, sys
forbidden, *names = sys.argv[1:]
for name in names:
    importlib.import_module(name)
    loaded = [module for module in forbidden.split(",") if module in sys.modules]
    assert not loaded, f"import {name} loads {loaded}"
"""


def modules_of(package: str) -> list[str]:
    """Every module of the package, its `__main__` too (which does nothing on import)."""
    files = sorted((REPOSITORY / package).rglob("*.py"))
    parts = [file.relative_to(REPOSITORY).with_suffix("").parts for file in files]
    return [".".join(part).removesuffix(".__init__") for part in parts]


def test_modules_for_the_window_load_without_torch():
    rooms = [module for room in WITHOUT_TORCH_ROOMS for module in modules_of(f"core/{room}")]
    run_python(IMPORT_AND_LOOK, "torch", *WITHOUT_TORCH, *rooms)


def test_the_window_itself_loads_without_torch():
    run_python(IMPORT_AND_LOOK, "torch", *modules_of("masktwins_gui"))


def test_the_engine_loads_without_qt():
    run_python(
        IMPORT_AND_LOOK, "PySide6,shiboken6,pyqtgraph,qdarkstyle,qtpy", "core.training.loop", *modules_of("core")
    )
