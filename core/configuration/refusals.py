"""Why a value is refused, in words: the setting, the value, and what is allowed. Importable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from core.configuration.config import RunConfig
from core.errors import did_you_mean

LONGEST_VALUE = 60  # characters of a value that are repeated in a message


def sentences(error: ValidationError) -> list[str]:
    """Return one sentence for each setting that was refused, in order, without a full stop between them.

    pydantic gives one error for each kind that a value might have had; the allowed range is named once.
    """
    found: dict[str, str] = {}
    for part in error.errors():
        section, name = (*(str(place) for place in part["loc"][:2]), "", "")[:2]
        dotted = f"{section}.{name}" if name else section
        if part["type"] == "value_error":
            found.setdefault(str(part["msg"]), str(part["msg"]).removeprefix("Value error, "))
        elif part["type"] == "extra_forbidden":
            known = [f"{s}.{n}" for s, info in RunConfig.model_fields.items() for n in _fields(info)]
            hint = did_you_mean(dotted, known) or "`masktwins adapt --help` lists them all."
            found.setdefault(dotted, f"There is no setting {dotted!r}. {hint}")
        else:
            found.setdefault(
                dotted, f"{dotted} = {_shown(part)} is not possible; it takes {_allowed(section, name, part)}"
            )
    return list(found.values())


def _fields(info: FieldInfo) -> dict[str, FieldInfo]:
    return getattr(info.annotation, "model_fields", {})


def _shown(part: Any) -> str:
    text = repr(part["input"])
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _allowed(section: str, name: str, part: Any) -> str:
    top = RunConfig.model_fields.get(section)
    info = _fields(top).get(name) if top is not None else None
    if info is None:
        return "lines of settings: it is a section" if top is not None and _fields(top) else str(part["msg"])
    kinds = [kind for kind in _kinds(info.annotation) if kind is not type(None)]
    words = " or ".join(dict.fromkeys(_words(kind, info.metadata) for kind in kinds))
    if choices := [member.value for kind in kinds if _is_choice(kind) for member in kind]:
        return f"{words}. {did_you_mean(str(part['input']), choices)}".strip(". ")
    if pattern := next((p for mark in info.metadata if (p := getattr(mark, "pattern", None))), None):
        return _examples(str(pattern))
    return words


def _kinds(annotation: Any) -> Iterator[Any]:
    """The kinds of a union, with the marks of `Annotated` kept."""
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        for kind in get_args(annotation):
            yield from _kinds(kind)
    else:
        yield annotation


def _words(kind: Any, marks: list[Any]) -> str:
    if hasattr(kind, "__metadata__"):
        inner = [mark for field in kind.__metadata__ for mark in getattr(field, "metadata", [field])]
        return _words(kind.__origin__, inner)
    if _is_choice(kind):
        return f"one of {', '.join(member.value for member in kind)}"
    if get_origin(kind) is tuple:
        parts = [part for part in get_args(kind) if part is not Ellipsis]
        return "a list of such numbers" if Ellipsis in get_args(kind) else f"a list of {len(parts)} such numbers"
    plain = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "the path of a folder"}
    return f"{plain.get(kind, str(kind))}{_range(marks)}"


def _is_choice(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _range(marks: list[Any]) -> str:
    limits = {name: getattr(mark, name) for mark in marks for name in ("ge", "gt", "le", "lt") if hasattr(mark, name)}
    if {"ge", "le"} <= set(limits):
        return f" from {limits['ge']} to {limits['le']}"
    words = {"ge": "not below {}", "gt": "above {}", "le": "not above {}", "lt": "below {}"}
    if limits:
        return " " + " and ".join(words[name].format(value) for name, value in limits.items())
    return " that is not empty" if any(getattr(mark, "min_length", 0) for mark in marks) else ""


def _examples(pattern: str) -> str:
    """The alternatives of a pattern such as ^(auto|cpu|cuda(:\\d+)?)$, for people."""
    return "one of " + ", ".join(pattern.strip("^$()").replace("(:\\d+)?", " (or cuda:1 …)").split("|"))
