"""Settings by dotted path: describing, reading, changing, and TOML in and out.

Paths in a TOML file are relative to that file; in a loaded :class:`RunConfig` they are absolute
(`core.configuration.paths`). Importable without torch.

A setting is declared in `sections.py`, and for [training] in `training.py`; this module describes, reads and writes them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import tomli_w
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from core.configuration.config import FORMAT_VERSION, RunConfig
from core.configuration.paths import dump_for, resolve_paths
from core.configuration.refusals import sentences
from core.configuration.setting import Section
from core.errors import ConfigError, did_you_mean, reason
from core.files import read_text, write_atomic

Kind = Literal["bool", "int", "float", "choice", "path", "text", "ratio", "size"]

SECTIONS = ("data", "network", "mask", "augment", "loss", "training")


@dataclass(frozen=True)
class Setting:
    """One setting, as forms, help and tables need it."""

    path: str  # "mask.block_size"
    title: str
    description: str
    unit: str
    default: Any
    kind: Kind
    optional: bool  # None is allowed
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    live: bool
    advanced: bool


def settings(*sections: str) -> Iterator[Setting]:
    """Every setting of the sections (all when none is named), in the order of declaration."""
    for section in sections or SECTIONS:
        model = RunConfig.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, Section)
        for name, info in model.model_fields.items():
            yield _describe(f"{section}.{name}", info)


def _describe(path: str, info: FieldInfo) -> Setting:
    annotation = info.annotation
    arguments = get_args(annotation) if get_origin(annotation) is Union or "|" in str(annotation) else (annotation,)
    optional = type(None) in arguments
    base = next(a for a in arguments if a is not type(None))
    limits = {"ge": None, "gt": None, "le": None, "lt": None}
    for mark in info.metadata:
        for name in limits:
            limits[name] = getattr(mark, name, limits[name])
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kinds: dict[str, Kind] = {"mask.ratio": "ratio", "training.crop_size": "size"}
    choices: tuple[str, ...] = ()
    kind: Kind
    if path in kinds:
        kind = kinds[path]
    elif isinstance(base, type) and issubclass(base, StrEnum):
        kind, choices = "choice", tuple(member.value for member in base)
    else:
        plain: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", Path: "path", str: "text"}
        kind = plain[base]
    return Setting(
        path=path,
        title=info.title or path,
        description=info.description or "",
        unit=str(extra.get("unit", "")),
        default=info.default,
        kind=kind,
        optional=optional,
        choices=choices,
        minimum=limits["ge"] if limits["ge"] is not None else limits["gt"],
        maximum=limits["le"] if limits["le"] is not None else limits["lt"],
        live=bool(extra.get("live", False)),
        advanced=bool(extra.get("advanced", False)),
    )


def get(config: RunConfig, path: str) -> Any:
    """Value of the setting at a dotted path such as "mask.block_size"."""
    section, _, name = path.partition(".")
    if section not in SECTIONS or name not in type(getattr(config, section)).model_fields:
        raise ConfigError(f"There is no setting {path!r}. {_nearest(path)}")
    return getattr(getattr(config, section), name)


def with_changes(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Return a validated copy with the dotted settings replaced, all at once.

    Raises:
        ConfigError: an unknown setting, or a value out of its range.
    """
    data = config.model_dump()
    for path, value in changes.items():
        get(config, path)
        section, _, name = path.partition(".")
        data[section][name] = value
    return parse(data)


def is_live(path: str) -> bool:
    """Whether the setting may change while a run trains."""
    return any(s.live for s in settings() if s.path == path)


def parse(data: Mapping[str, Any]) -> RunConfig:
    """Validate a mapping as a configuration. Raises ConfigError."""
    version = data.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"format_version {version} is not known to this version of the program (it reads {FORMAT_VERSION})."
        )
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError("; ".join(sentences(error))) from None


def load(path: Path) -> RunConfig:
    """Read a TOML file; relative paths are seen from the file's folder. Raises ConfigError."""
    try:
        data = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {reason(error)}.") from error
    if "format_version" not in data:
        raise ConfigError(
            f"{path} has no format_version: the file is empty, cut off, or not a configuration of this program. In a file "
            f"that you wrote yourself, add the line format_version = {FORMAT_VERSION} at the top."
        )
    try:
        return resolve_paths(parse(data), path.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def save(config: RunConfig, path: Path, project: Path | None = None) -> None:
    """Write the configuration as TOML, atomically. Raises OSError.

    Args:
        project: the project's folder; what lies in it is written relative to the file, so that both can move.
            None: the file's own folder.
    """
    write_atomic(path, tomli_w.dumps(dump_for(config, path, project or path.parent)))


def dumps(config: RunConfig) -> str:
    """Write the configuration as TOML text with the paths as they are."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split "section.field=value"; the value is TOML, else a plain string. Raises ConfigError."""
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not of the form section.field=value")
    try:
        return path.strip(), tomllib.loads(f"x = {value}")["x"]
    except (ValueError, RecursionError):  # ValueError: also a number of more than 4,300 digits
        return path.strip(), value


def _nearest(path: str) -> str:
    return did_you_mean(path, (s.path for s in settings())) or "`masktwins adapt --help` lists them all."


# Presets ---------------------------------------------------------------------------------------


def presets() -> dict[str, str]:
    """Names of the presets, each with its description."""
    found = {}
    for entry in sorted((files("resources") / "presets").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            found[entry.name.removesuffix(".toml")] = str(tomllib.loads(entry.read_text("utf-8"))["description"])
    return found


def apply_preset(config: RunConfig, name: str) -> RunConfig:
    """Set what the preset sets; folders and all else stay. Raises ConfigError for an unknown name."""
    if name not in presets():
        raise ConfigError(f"There is no preset {name!r}; there are {', '.join(presets())}.")
    data = tomllib.loads((files("resources") / "presets" / f"{name}.toml").read_text("utf-8"))
    changes = {f"{section}.{key}": value for section in SECTIONS for key, value in data.get(section, {}).items()}
    return with_changes(config, changes)
