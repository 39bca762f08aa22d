"""Build the wheel and prove that it works outside the checkout: `.venv/bin/python packaging/prove_wheel.py`.

1. The wheel holds every resource of the checkout, the user guide with its pictures among them.
2. In a fresh environment the installed program, not the checkout, runs the demo headless.
3. In an environment without Qt `python -m core` shows its help and checks the demo's data.

The fresh environments borrow the large packages of .venv by links, so that nothing is downloaded again. Files ending in
.pth are not among what is borrowed: that is how the editable installation would bring the checkout back in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
OURS = ("masktwins", "_editable_impl_masktwins", "__editable__")
QT = ("pyside6", "shiboken6", "pyqtgraph", "qdarkstyle", "qtpy")
GUIDE, CONTENTS = "resources/guide", "contents.md"
STEPS = 2
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


class ProofError(Exception):
    """Something that should hold does not."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="masktwins-proof-") as name:
        folder = Path(name)
        try:
            wheel = build_wheel(folder / "wheel")
            prove_resources(wheel)
            prove_demo(make_environment(folder / "whole", wheel), folder)
            prove_without_qt(make_environment(folder / "without-qt", wheel, left_out=QT), folder)
        except ProofError as error:
            print(f"prove_wheel: {error}", file=sys.stderr)
            return 1
    print("prove_wheel: the wheel works on its own, and its command line without Qt.")
    return 0


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Run a program in `folder`, outside the checkout and without its environment; return its stdout."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["QT_QPA_PLATFORM"] = "offscreen"
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        words = " ".join(str(part) for part in command)
        raise ProofError(f"`{words}` ended with {result.returncode}:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
    return result.stdout


def build_wheel(folder: Path) -> Path:
    print("Building the wheel …", flush=True)
    run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY], REPOSITORY)
    return next(folder.glob("*.whl"))


def prove_resources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    files = [
        path for path in (REPOSITORY / "resources").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    absent = [name for path in files if (name := path.relative_to(REPOSITORY).as_posix()) not in held]
    if absent:
        raise ProofError(f"The wheel lacks {', '.join(absent)}")
    print(f"The wheel holds all {len(files)} files of resources/.")
    prove_guide(held)


def prove_guide(held: Collection[str]) -> None:
    """Prove that the wheel holds each chapter that the guide's contents name, and each picture of a chapter."""
    wanted = {f"{GUIDE}/{CONTENTS}"}
    for chapter in _links((REPOSITORY / GUIDE / CONTENTS).read_text(encoding="utf-8")):
        wanted.add(f"{GUIDE}/{chapter}")
        text = (REPOSITORY / GUIDE / chapter).read_text(encoding="utf-8")
        wanted |= {f"{GUIDE}/{link}" for link in _links(text) if link.startswith("pictures/")}
    if absent := sorted(wanted - set(held)):
        raise ProofError(f"The wheel lacks these files of the user guide: {', '.join(absent)}")
    print(f"The wheel holds the user guide: {len(wanted)} chapters and pictures.")


def _links(markdown: str) -> list[str]:
    """Return the relative targets of links and pictures, without what follows a #."""
    return [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", markdown) if "://" not in link]


def make_environment(folder: Path, wheel: Path, left_out: Collection[str] = ()) -> Path:
    """Make a fresh environment with the wheel installed and .venv's other packages linked; return its Python."""
    venv.create(folder, with_pip=True, symlinks=os.name == "posix")
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    run([python, *PIP[1:], "install", "--no-deps", wheel], folder)
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.suffix != ".pth" and not entry.name.lower().startswith((*OURS, *left_out, "pip", "__pycache__")):
            (borrowed / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
    own_packages = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip())
    (own_packages / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    for package in ("core", "masktwins_gui", "resources"):
        file = Path(run([python, "-c", f"import {package}; print({package}.__file__)"], folder).strip())
        if not file.is_relative_to(folder):
            raise ProofError(f"{package} comes from {file}, not from the installed wheel in {folder}")
    return python


def prove_demo(python: Path, folder: Path) -> None:
    print(f"Running the demo headless from the installed wheel ({STEPS} steps) …", flush=True)
    program = python.with_name("masktwins")
    output = run([program, "demo", folder / "demo", "--headless", "--steps", str(STEPS), "--json"], folder)
    result = json.loads(output.splitlines()[-1])
    for name in ("source_only", "teacher", "oracle"):
        if not 0 <= result[name]["miou"] <= 100:
            raise ProofError(f"The demo's {name} has the mIoU {result[name]['miou']}")
    print("Demo:", {name: round(result[name]["miou"], 1) for name in ("source_only", "teacher", "oracle")})


def prove_without_qt(python: Path, folder: Path) -> None:
    print("Checking the demo's data in an environment without Qt …", flush=True)
    run([python, "-c", f"import importlib.util as u; assert not any(map(u.find_spec, {('PySide6', *QT[1:])}))"], folder)
    if "check" not in run([python, "-m", "core", "--help"], folder):
        raise ProofError("`python -m core --help` does not name its sub-commands")
    demo = folder / "demo"
    folders = ["--source-images", demo / "source/images", "--source-labels", demo / "source/labels"]
    output = run([python, "-m", "core", "check", *folders, "--target-images", demo / "target/images", "--json"], folder)
    report = json.loads(output.splitlines()[-1])
    if not report["ok"]:
        raise ProofError(f"The check finds fault with the demo's data: {report['problems']}")


if __name__ == "__main__":
    sys.exit(main())
