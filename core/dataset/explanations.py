"""Explanations of names: what an image and its label share, and the text around it. Importable without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.dataset import names
from core.dataset.matching import Matches
from core.dataset.problems import Problem

ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True)
class Affixes:
    """The text before and after the id in a name."""

    head: str = ""
    tail: str = ""

    def core(self, name: str) -> str | None:
        """The id in a name; None where the name is not of this form."""
        end = len(name) - len(self.tail)
        if len(self.head) >= end or not name.startswith(self.head) or not name.endswith(self.tail):
            return None
        return name[len(self.head) : end]


@dataclass(frozen=True)
class Rule:
    """An explanation: how images and labels are named. `padded`: leading zeros do not count."""

    image: Affixes
    label: Affixes
    padded: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether an image's whole name, as it is, is the id."""
        return self.image == Affixes() and not self.padded

    @property
    def cuts_numbers(self) -> bool:
        """Whether ids begin or end within what may be a number of a name."""
        return any(part.head[-1:].isdigit() or part.tail[:1].isdigit() for part in (self.image, self.label))

    def name(self, stem: str) -> str:
        folded = names.fold(stem)
        return ZEROS.sub("", folded) if self.padded else folded


@dataclass
class Inferred:
    """What was found: pairs, or why there are none."""

    matches: Matches = field(default_factory=dict)
    rule: Rule | None = None
    problem: Problem | None = None


def template(stem: str, affixes: Affixes, suffix: str, *, padded: bool) -> str:
    """A file's name with its id as {id}: `IMG_{id}.JPG`; {id:d} for a number whose leading zeros do not count."""
    mark = "{id:d}" if padded else "{id}"
    folded = names.fold(stem)
    fits = len(folded) == len(stem) and folded.startswith(affixes.head) and folded.endswith(affixes.tail)
    head = stem[: len(affixes.head)] if fits else affixes.head
    tail = stem[len(stem) - len(affixes.tail) :] if fits else affixes.tail
    return f"{head}{mark}{tail}{suffix}"
