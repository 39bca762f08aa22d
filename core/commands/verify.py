"""`masktwins verify`: whether the files of a run or of a bundle are those that were written, and can be used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from core.checksums import SUMS, ChecksumError, read_sums, sum_of_file
from core.commands.output import DONE, FAILED, CommandError, print_json
from core.configuration import settings
from core.errors import ConfigError
from core.files import read_text
from core.networks.store import CARD, StoreError, load_model, read_weights
from core.runs.folder import RunFolder


class State(StrEnum):
    UNCHANGED = "unchanged"
    WITHOUT_SUM = "no checksum"  # written by an earlier version, or added later
    CHANGED = "changed"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Finding:
    """What a file is found to be. `detail` says what is wrong."""

    file: str  # relative to the folder that is verified
    state: State
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.state in (State.UNCHANGED, State.WITHOUT_SUM)


def verify(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    findings = []
    for finding in examine(arguments.path):
        findings.append(finding)
        if not arguments.json:
            print(
                f"{finding.state.value:12} {finding.file}{f': {finding.detail}' if finding.detail else ''}", flush=True
            )
    ok = all(finding.ok for finding in findings)
    if arguments.json:
        print_json({"path": str(arguments.path), "ok": ok, "files": [asdict(finding) for finding in findings]})
    else:
        print("Every file can be used." if ok else "Some files are not those that were written; see above.")
    return DONE if ok else FAILED


def examine(path: Path) -> Iterator[Finding]:
    """Look at every file of a run, a checkpoint or a bundle.

    Raises:
        CommandError: it is none of these.
    """
    if (path / CARD).is_file() or (path / SUMS).is_file():
        return _of_models(path, path)
    if not RunFolder.is_run(path):
        raise CommandError(f"{path} is not a run, a checkpoint or an exported bundle; choose the folder of one.")
    return _of_run(RunFolder(path))


def _of_run(run: RunFolder) -> Iterator[Finding]:
    readers: dict[Path, Callable[[Path], object]] = {
        run.config_path: settings.load,
        run.path / "label_space.toml": read_text,
        run.status_path: lambda path: json.loads(read_text(path)),
        run.changes_path: read_text,
        run.metrics_path: lambda path: read_text(path, limit=1 << 30),
    }
    for path, read in readers.items():
        if path.exists():
            problem = _complaint(read, path)
            yield Finding(path.name, State.DAMAGED if problem else State.WITHOUT_SUM, problem)
    folders = sorted(run.checkpoints_path.iterdir()) if run.checkpoints_path.is_dir() else []
    for folder in [*folders, run.export_path]:
        if not folder.name.startswith(".") and ((folder / CARD).is_file() or (folder / SUMS).is_file()):
            yield from _of_models(folder, run.path)


def _of_models(folder: Path, top: Path) -> Iterator[Finding]:
    """Look at a folder with model.json and weights; names are given relative to `top`."""
    try:
        sums = read_sums(folder)
    except ChecksumError as error:
        yield Finding((folder / SUMS).relative_to(top).as_posix(), State.DAMAGED, str(error))
        sums = {}
    present = {path.name for path in folder.iterdir() if path.is_file()} - {SUMS}
    for name in sorted(present | sums.keys()):
        yield _of_file(folder / name, sums.get(name, ""), (folder / name).relative_to(top).as_posix())


def _of_file(path: Path, expected: str, name: str) -> Finding:
    if not path.is_file():
        return Finding(name, State.MISSING, "it was written, and is not there any more")
    try:
        if expected and sum_of_file(path) != expected:
            return Finding(name, State.CHANGED, "its checksum is not that of the file that was written")
    except OSError as error:
        return Finding(name, State.DAMAGED, f"it cannot be read: {error.strerror or error}")
    problem = _complaint(_reader(path), path)
    state = State.DAMAGED if problem else State.UNCHANGED if expected else State.WITHOUT_SUM
    return Finding(name, state, problem)


def _reader(path: Path) -> Callable[[Path], object]:
    """How a file is read when it is used."""
    match path.suffix:
        case ".safetensors":
            return read_weights if path.stem == "optimizer" else load_model
        case ".json":
            return lambda path: json.loads(read_text(path))
        case ".toml":
            return settings.load
    return lambda path: None


def _complaint(read: Callable[[Path], object], path: Path) -> str:
    """Why a file cannot be used; empty where it can."""
    try:
        read(path)
    except (OSError, ValueError, RecursionError, ConfigError, StoreError) as error:
        return str(error)
    return ""
