"""Find the data of a project and its runs that are not where their files say, and point the runs to the new place.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.configuration.config import RunConfig
from core.configuration.paths import DataRoot, paths_of
from core.configuration.settings import get, settings
from core.errors import ConfigError, RunError
from core.runs.folder import RunFolder
from core.runs.resume import prepare_resume


@dataclass(frozen=True)
class MissingData:
    """A folder that the project or its runs name, and that does not exist."""

    project: Path
    path: Path
    runs: tuple[Path, ...]  # that name a missing folder
    run: str = ""  # the run that names `path`, where the project does not
    guess: Path | None = None  # where it may be: the project's own folder for the same setting


def find_missing(config: RunConfig, project: Path) -> MissingData | None:
    """Return the first missing folder of the project, else of its runs; None where all are there. Reads the disk."""
    own = _folders(config)
    of_runs = dict(_missing_of_runs(project))
    runs = tuple(of_runs)
    for path in own.values():
        if not path.exists():
            return MissingData(project, path, runs)
    for run, missing in of_runs.items():
        name, path = next(iter(missing.items()))
        return MissingData(project, path, runs, run.name, own.get(name))
    return None


def _folders(config: RunConfig) -> dict[str, Path]:
    return {s.path: path for s in settings("data") if s.kind == "path" and (path := get(config, s.path)) is not None}


def _missing_of_runs(project: Path) -> Iterable[tuple[Path, dict[str, Path]]]:
    folder = project / "runs"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(ConfigError):  # a damaged run is the runs list's to report
            if RunFolder.is_run(path):
                folders = _folders(RunFolder(path).config())
                if missing := {name: at for name, at in folders.items() if not at.exists()}:
                    yield path, missing


def root_between(old: Path, new: Path) -> DataRoot:
    """Strip the common end of a folder's old and new path: if /a/x/images is now /b/x/images, /a has become /b."""
    common = 0
    for one, other in zip(reversed(old.parts[1:]), reversed(new.parts[1:]), strict=False):
        if one != other:
            break
        common += 1
    strip = min(common, len(old.parts) - 2, len(new.parts) - 1)  # / may become something, but is not moved as a whole
    return DataRoot(old, new) if strip <= 0 else DataRoot(old.parents[strip - 1], new.parents[strip - 1])


def found_again(config: RunConfig, root: DataRoot) -> list[DataRoot]:
    """Return a data root for each configured path that no longer exists but is found at the new location."""
    moves = [(path, root.move(path)) for path in paths_of(config).values() if not path.exists()]
    return [DataRoot(old, new) for old, new in moves if old != new and new.exists()]


def move_runs(runs: Iterable[Path], root: DataRoot) -> list[str]:
    """Point runs to where their data are now. Returns a sentence for each that could not be."""
    problems = []
    for path in runs:
        run = RunFolder(path)
        try:
            if roots := found_again(run.config(), root):
                prepare_resume(run, {}, data_roots=roots)
        except (ConfigError, RunError) as error:
            problems.append(f"{path.name}: {error}")
    return problems
