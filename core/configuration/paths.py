"""The one rule for paths.

On the command line a path is relative to the working directory, in a TOML to that TOML; in a loaded configuration every
path is absolute. A file is written with paths relative to itself where the target lies in the project's folder, so that
the folder can be moved as a whole, and with absolute paths where it does not.

Importable without torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, get_args

from core.configuration.config import RunConfig
from core.configuration.sections import DataConfig
from core.errors import ConfigError

LIST_SUFFIXES = (".txt", ".lst", ".csv", ".tsv")  # of data.source_files and its like; anything else is patterns
NOT_PATHS = ("imagenet", "none")  # what network.weights may say instead of a path


@dataclass(frozen=True)
class DataRoot:
    """Data that lay below `old` lie below `new`."""

    old: Path
    new: Path

    def move(self, path: Path) -> Path:
        """Return where the path is now; one that does not lie below `old` is returned as it is."""
        return self.new / path.relative_to(self.old) if path.is_relative_to(self.old) else path

    def move_back(self, path: Path) -> Path:
        """Return where the path was before."""
        return DataRoot(self.new, self.old).move(path)


def parse_data_root(text: str) -> DataRoot:
    """Read "OLD=NEW" as typed on the command line. Raises ConfigError."""
    old, equals, new = text.partition("=")
    if not equals or not old.strip() or not new.strip():
        raise ConfigError(f"{text!r} is not of the form OLD=NEW, two folders")
    return DataRoot(typed(old), typed(new))


def typed(text: str | PurePath) -> Path:
    """Make a path of the command line absolute: relative ones are seen from the working directory."""
    path = Path(text)
    return Path(os.path.abspath(path.expanduser() if path.parts[:1] == ("~",) else path))  # noqa: PTH100 - keeps links


def typed_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths among settings of the command line absolute."""
    return {
        dotted: str(typed(value)) if isinstance(value, str) and is_path(dotted, value) else value
        for dotted, value in changes.items()
    }


def is_path(dotted: str, value: Any) -> bool:
    """Whether this value of a setting is a path, not a name such as "auto" or "imagenet"."""
    section, _, name = dotted.partition(".")
    if value is None:
        return False
    if dotted == "network.weights":
        return value not in NOT_PATHS
    if name.endswith("label_space"):
        return str(value).endswith(".toml") or Path(value).is_absolute()
    if section == "data" and name.endswith("_files"):
        return str(value).lower().endswith(LIST_SUFFIXES)
    field = DataConfig.model_fields.get(name) if section == "data" else None
    return field is not None and Path in get_args(field.annotation)


def paths_of(config: RunConfig) -> dict[str, Path]:
    """Every path of the configuration, by the dotted name of its setting."""
    return {dotted: Path(value) for dotted, value in _each(config.model_dump()) if is_path(dotted, value)}


def map_paths(config: RunConfig, change: Callable[[Path], Path]) -> RunConfig:
    """Return a copy with every path changed."""
    return RunConfig.model_validate(_mapped(config.model_dump(), lambda path: str(change(path))))


def resolve_paths(config: RunConfig, base: Path) -> RunConfig:
    """Make every relative path absolute, as seen from the folder `base`. Raises ConfigError."""
    if wrong := [dotted for dotted, path in paths_of(config).items() if "\0" in str(path)]:
        raise ConfigError(f"{wrong[0]} holds a NUL character, which no path may; correct it.")
    return map_paths(config, lambda path: path if path.is_absolute() else Path(os.path.normpath(base / path)))


def move_data(config: RunConfig, roots: Sequence[DataRoot]) -> RunConfig:
    """Replace the beginnings of paths by `--data-root`.

    Raises:
        ConfigError: no path of the configuration lies below one of the old folders.
    """
    for root in roots:
        moved = map_paths(config, root.move)
        if moved == config and root.old != root.new:
            places = ", ".join(sorted({str(path) for path in paths_of(config).values()})) or "there are none"
            raise ConfigError(f"No path of the configuration lies in {root.old}. Its paths: {places}.")
        config = moved
    return config


def dump_for(config: RunConfig, file: Path, project: Path) -> dict[str, Any]:
    """Return the configuration as TOML data for `file`: paths in the project's folder relative to the file."""
    base, real_project = file.resolve().parent, project.resolve()
    roots = [Path(os.path.abspath(project)), real_project] if base.is_relative_to(real_project) else []  # noqa: PTH100

    def written(path: Path) -> str:
        for candidate in (path, Path(os.path.realpath(path))) if roots else ():  # of a loop of links, the path itself
            for root in roots:
                if candidate.is_relative_to(root):
                    target = real_project / candidate.relative_to(root)
                    return PurePath(os.path.relpath(target, base)).as_posix()
        return str(path)

    return _mapped(config.model_dump(mode="json", exclude_none=True), written)


def _mapped(data: dict[str, Any], change: Callable[[Path], str]) -> dict[str, Any]:
    for dotted, value in list(_each(data)):
        if is_path(dotted, value):
            section, _, name = dotted.partition(".")
            data[section] = {**data[section], name: change(Path(value))}
    return data


def _each(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section in ("data", "network"):
        for name, value in data[section].items():
            yield f"{section}.{name}", value
