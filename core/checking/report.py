"""What the check reports: problems, classes, the pairing in words, statistics. Importable without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.checking.statistics import Statistics
from core.checking.suggest import Suggestion
from core.dataset.problems import Problem, Severity
from core.labels import Encoding, LabelSpace


@dataclass(frozen=True)
class ClassRow:
    """A class as the labels of the two cameras show it. Shares are of the labelled pixels, 0..1."""

    name: str
    written: str  # the values or colours in the source's files
    written_in_target: str  # the same for the target's files
    colour: tuple[int, int, int]  # on screen
    source_share: float
    source_files: int
    target_share: float | None  # None without target labels
    target_files: int | None


@dataclass(frozen=True)
class Report:
    """What the check found. `complete` is False when it was cancelled: then nothing can be said of the files not read."""

    problems: tuple[Problem, ...]
    space: LabelSpace | None
    recognition: str
    statistics: Statistics
    complete: bool = True
    suggestion: Suggestion | None = None  # of the masks; None without classes
    target_space: LabelSpace | None = None  # how the target labels are read: the same classes; None without any
    target_recognition: str = ""
    pairing: Mapping[str, str] = field(default_factory=dict)  # by camera: how the names were understood, in words

    @property
    def ok(self) -> bool:
        """Whether training may start: all was looked at, and there is no error."""
        return self.complete and not any(problem.severity is Severity.ERROR for problem in self.problems)

    def classes(self) -> list[ClassRow]:
        """The class table; empty where the classes are not known."""
        if self.space is None:
            return []
        found, has_target = self.statistics, bool(self.statistics.target_class_images)
        return [
            ClassRow(
                name,
                written(self.space, i),
                written(self.target_space or self.space, i) if has_target else "",
                self.space.palette[i],
                found.class_shares.get(name, 0.0),
                found.class_images.get(name, 0),
                found.target_class_shares.get(name, 0.0) if has_target else None,
                found.target_class_images.get(name, 0) if has_target else None,
            )
            for i, name in enumerate(self.space.classes)
        ]

    def to_json(self) -> dict[str, Any]:
        """The report in plain JSON types; numbers that do not exist are null."""
        space = self.space and {
            "name": self.space.name,
            "encoding": self.space.encoding.value,
            "classes": list(self.space.classes),
            "palette": [list(colour) for colour in self.space.palette],
        }
        problems = [
            {
                "code": problem.code,
                "severity": problem.severity.value,
                "message": problem.message,
                "count": len(problem.paths),
                "paths": [str(path) for path in problem.paths],
                "details": dict(problem.details),
            }
            for problem in self.problems
        ]
        return _plain(
            {
                "ok": self.ok,
                "complete": self.complete,
                "problems": problems,
                "space": space,
                "recognition": self.recognition,
                "target_recognition": self.target_recognition,
                "pairing": dict(self.pairing),
                "classes": [asdict(row) for row in self.classes()],
                "statistics": asdict(self.statistics),
                "suggestion": self.suggestion and asdict(self.suggestion),
            }
        )


def written(space: LabelSpace, class_id: int) -> str:
    """How label files write a class: its numbers, or its colours as #rrggbb."""
    if space.encoding is Encoding.COLOURS:
        found = [
            "#{:02x}{:02x}{:02x}".format(*colour) for colour, target in space.colours.items() if target == class_id
        ]
    else:
        found = [str(value) for value, target in sorted(space.named_values().items()) if target == class_id]
    shown = ", ".join(found[:6]) + (" …" if len(found) > 6 else "")
    return f"{shown} × {space.instances} + instance" if space.instances else shown


def _plain(value: Any) -> Any:
    """Copy nested data with strings for keys, lists for tuples, null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
