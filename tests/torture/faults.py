"""`python -m tests.torture.faults`: the disk fails at every single operation of a run, a save and an export.

Each scenario is done again and again; the n-th time its n-th operation on the disk fails, until a time goes by without a fault.
Afterwards everything opens, the last good state is there, a resumed run ends with the weights of an undisturbed one, and what
the user read was a sentence.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import errno
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from core.commands.cli import main
from core.configuration import settings
from core.errors import ConfigError
from core.networks.store import load_model
from core.runs.folder import RunFolder
from tests.core.tiny import final_weights, tiny_config, write_scene

ERRORS = {"full": errno.ENOSPC, "fault": errno.EIO}


class Disk:
    """Counts operations that change files below a folder, and makes the n-th one fail, and those after it if it is full."""

    def __init__(self, folder: Path, fail_at: int, error: int) -> None:
        self._folder, self._fail_at, self._error = f"{folder}{os.sep}", fail_at, error
        self.operations = 0
        self.failed = ""

    def touch(self, what: str, path: object) -> None:
        """Count an operation. Raises OSError where it is the one that fails."""
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self._folder):
            return
        self.operations += 1
        if self.operations == self._fail_at or (self.failed and self._error == errno.ENOSPC and what == "write"):
            self.failed = self.failed or f"{what} {os.path.relpath(os.fspath(path), self._folder)}"
            raise OSError(self._error, os.strerror(self._error), os.fspath(path))


class _Written:
    """A file opened to write, each write of which is an operation."""

    def __init__(self, file: Any, disk: Disk, path: object) -> None:
        self._file, self._disk, self._path = file, disk, path

    def write(self, data: Any) -> int:
        try:
            self._disk.touch("write", self._path)
        except OSError:
            self._file.write(data[: len(data) // 2])  # a full disk takes a part
            raise
        return self._file.write(data)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def failing(folder: Path, fail_at: int, error: int) -> Iterator[Disk]:
    """Let the n-th operation on files below `folder` fail."""
    disk = Disk(folder, fail_at, error)
    real_open, real_fsync = builtins.open, os.fsync

    def opened(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if not any(letter in mode for letter in "wax+"):
            return real_open(path, mode, *rest, **options)
        disk.touch("open", path)
        return _Written(real_open(path, mode, *rest, **options), disk, path)

    def flushed(handle: int) -> None:
        disk.touch("fsync", Path(f"/proc/self/fd/{handle}").readlink())
        real_fsync(handle)

    def guarded(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *rest: Any, **options: Any) -> Any:
            disk.touch(name, path)
            return real(path, *rest, **options)

        return call

    names = ("replace", "rename", "mkdir")
    patched = [(builtins, "open", opened), (io, "open", opened), (os, "fsync", flushed)]
    patched += [(os, name, guarded(name)) for name in names]
    before = [(module, name, getattr(module, name)) for module, name, _ in patched]
    for module, name, function in patched:
        setattr(module, name, function)
    try:
        yield disk
    finally:
        for module, name, function in before:
            setattr(module, name, function)


# Scenarios -----------------------------------------------------------------------------------------


class Scenario:
    """What is done, and what holds afterwards."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        draw = np.random.default_rng(0)
        for camera, dark in (("source", False), ("target", True), ("eval", True)):
            for i in range(3):
                write_scene(self.data / camera, str(i), draw, dark=dark, labels=camera != "target")
        self.config = tiny_config(self.data, training__steps=2, training__source_steps=2, training__preview_interval=2)
        self.changed = settings.with_changes(self.config, {"mask.block_size": 4})
        self.work = folder / "work"
        self.reference: dict[str, bytes] = {}

    def prepare(self) -> None:
        """Start in an empty folder with a project in it."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        settings.save(self.config, self.work / "dusk.toml")

    def adapt(self) -> str:
        return command("adapt", str(self.work / "dusk.toml"), "--out", str(self.run), "--json")

    def after_adapt(self) -> None:
        """Resume the run, or start it where it had not begun: the weights are those of an undisturbed one."""
        words = (
            ["--resume", str(self.run)]
            if RunFolder.is_run(self.run)
            else [str(self.work / "dusk.toml"), "--out", str(self.run)]
        )
        said = command("adapt", *words)
        assert "masktwins:" not in said, f"the run cannot go on: {said}"
        weights = final_weights(RunFolder(self.run))
        self.reference = self.reference or weights
        assert weights == self.reference, "the weights are others than without a fault"
        assert "Every file can be used" in command("verify", str(self.run)), "a checkpoint is not what was written"

    def save(self) -> str:
        """Save the project with another setting."""
        try:
            settings.save(self.changed, self.work / "dusk.toml")
        except OSError as error:
            return str(error)
        return ""

    def after_save(self) -> None:
        """The project is the old one or the new one."""
        assert settings.load(self.work / "dusk.toml") in (self.config, self.changed), "the project is a third one"

    @property
    def run(self) -> Path:
        return self.work / "runs" / "a"

    def train_first(self) -> None:
        """Start with a finished run: trained once, and copied."""
        trained = self.work.with_name("trained")
        if not trained.exists():
            self.prepare()
            assert "masktwins:" not in self.adapt()
            shutil.copytree(self.work, trained)
        shutil.rmtree(self.work)
        shutil.copytree(trained, self.work)

    def export(self) -> str:
        return command("export", str(self.run), str(self.work / "bundle"), "--images", str(self.data / "target/images"))

    def after_export(self) -> None:
        """There is a whole bundle or none, and nothing half done beside it; the next one succeeds."""
        assert [path.name for path in self.work.iterdir() if path.name.startswith(".bundle")] == []
        if (self.work / "bundle").exists():
            load_model(self.work / "bundle")
        assert "masktwins:" not in self.export()

    def predict(self) -> str:
        return command("predict", str(self.run), str(self.data / "target/images"), str(self.work / "out"))

    def after_predict(self) -> None:
        """Every picture is whole, and the next time all are there."""
        said = self.predict()
        assert "masktwins:" not in said, said
        assert len(list((self.work / "out").glob("*.png"))) == 3


def command(*words: str) -> str:
    """Run the command line and return what it wrote; it must not be a traceback."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        main(list(words))
    said = errors.getvalue()
    assert "Traceback" not in said, said
    assert "please report" not in said, said
    return said + out.getvalue()


def inject(scenario: Scenario, name: str, error: str, every: int) -> Iterator[tuple[int, str, str]]:
    """Yield (n, what failed, what was wrong, empty where nothing was) until no operation is left to fail."""
    prepare = scenario.prepare if name in ("adapt", "save") else scenario.train_first
    act, after = getattr(scenario, name), getattr(scenario, f"after_{name}")
    for n in range(1, 100_000, every):
        prepare()
        wrong = ""
        with failing(scenario.work, n, ERRORS[error]) as disk:
            try:
                act()
            except AssertionError as failure:
                wrong = str(failure)
            except Exception as failure:  # noqa: BLE001 - that is what is looked for
                wrong = f"{type(failure).__name__}: {failure}"
        if not disk.failed:
            return
        with contextlib.suppress(ConfigError):
            settings.load(scenario.work / "dusk.toml")
        try:
            after()
        except Exception as failure:  # noqa: BLE001
            wrong = f"{wrong}\nafterwards: {type(failure).__name__}: {failure}".strip()
        yield n, disk.failed, wrong


def run(every: int, names: tuple[str, ...] = ("save", "adapt", "export", "predict")) -> tuple[int, list[str]]:
    """Inject faults at every n-th operation. Returns how many, and what was wrong."""
    tried, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(Path(folder).resolve())
        scenario.prepare()
        scenario.after_adapt()  # undisturbed
        for name in names:
            for error in ERRORS:
                for n, what, problem in inject(scenario, name, error, every):
                    tried += 1
                    if problem:
                        wrong.append(f"{name}, disk {error} at operation {n} ({what}): {problem}")
    return tried, wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.torture.faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each of so many operations")
    parser.add_argument("--scenario", choices=["save", "adapt", "export", "predict"])
    given = parser.parse_args()
    began = time.monotonic()
    total, problems = run(given.every, (given.scenario,) if given.scenario else ("save", "adapt", "export", "predict"))
    print("\n".join(problems))
    print(f"{total} faults in {time.monotonic() - began:.0f} s, {len(problems)} went wrong")
    sys.exit(1 if problems else 0)
