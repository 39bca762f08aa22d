"""Pairing by templates that the user states: `IMG_{id}.JPG:IMG_{id}_mask.png`.

A template describes the names of files. `{id}` (any word in braces) is the part that an image and its label share; both
templates have the same ones. `{id:d}` is a number, of which leading zeros do not count. `*` is any text within a name, `**/`
any folders. A template without a slash describes the name alone; image and label are then in the same place, where folders
such as `images` and `labels` do not count. Letters' case does not matter.

Importable without torch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.dataset import names
from core.dataset.matching import Matches
from core.dataset.problems import Problem, Severity, problem
from core.dataset.walking import File

_TOKEN = re.compile(r"\{(\w+)(:d)?\}|(\*\*/)|(\*)")
_COLON = re.compile(r":(?![^{]*\})")

Key = tuple[str, ...]


class TemplateError(ValueError):
    """A template that cannot be used. The message says why."""


@dataclass(frozen=True)
class Template:
    """One side of a pairing."""

    text: str
    pattern: re.Pattern[str]
    numbers: frozenset[str]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(self.pattern.groupindex)

    def key(self, file: File) -> Key | None:
        """What the file shares with its partner; None where the template does not describe it."""
        has_folders = "/" in self.text
        found = self.pattern.fullmatch(names.fold(f"{file.place}{file.name}" if has_folders else file.name))
        if found is None:
            return None
        parts = found.groupdict()
        values = (str(int(parts[name])) if name in self.numbers else parts[name] for name in sorted(parts))
        return ("" if has_folders else names.plain_place(file.place), *values)


def parse_template(text: str) -> Template:
    """Read one template. Raises TemplateError."""
    folded, pattern, position, numbers = names.fold(text), "", 0, set()
    seen: set[str] = set()
    for token in _TOKEN.finditer(folded):
        pattern += re.escape(folded[position : token.start()])
        name, number, folders, _ = token.groups()
        if name is not None and name in seen:
            pattern += f"(?P={name})"
        elif name is not None:
            seen.add(name)
            numbers |= {name} if number else set()
            pattern += f"(?P<{name}>{'[0-9]+' if number else '[^/]+?'})"
        else:
            pattern += "(?:.*/)?" if folders else "[^/]*"
        position = token.end()
    pattern += re.escape(folded[position:])
    try:
        return Template(text, re.compile(pattern), frozenset(numbers))
    except re.error as error:
        raise TemplateError(f"{text!r} cannot be used as a template: {error}.") from error


def parse_pairing(text: str) -> tuple[Template, Template]:
    """Read "IMAGE:LABEL". Raises TemplateError."""
    parts = _COLON.split(text)
    if len(parts) != 2 or not all(parts):
        raise TemplateError(f"{text!r} is not of the form IMAGE:LABEL, such as 'IMG_{{id}}.JPG:IMG_{{id}}_mask.png'.")
    image, label = parse_template(parts[0].strip()), parse_template(parts[1].strip())
    if not image.fields or image.fields != label.fields:
        raise TemplateError(
            f"Both sides of {text!r} need the same part in braces, such as {{id}}, that tells files apart."
        )
    if image.numbers != label.numbers:
        raise TemplateError(f"In {text!r} one side has a number ({{id:d}}) where the other has text; write :d on both.")
    return image, label


def pair_by(text: str, images: Sequence[File], labels: Sequence[File]) -> tuple[Matches, Problem | None]:
    """Pair as a stated pairing says; a Problem where it does not fit."""
    try:
        image_side, label_side = parse_pairing(text)
    except TemplateError as error:
        return {}, problem("pairing_unusable", Severity.ERROR, str(error), [], role="labels")
    groups: dict[Key, list[File]] = defaultdict(list)
    for label in labels:
        if (key := label_side.key(label)) is not None:
            groups[key].append(label)
    matches: Matches = {}
    keys = [(image, key) for image in images if (key := image_side.key(image)) is not None]
    for image, key in keys:
        if key in groups:
            matches[image.path] = sorted(groups[key], key=lambda file: file.path)
    if matches:
        return matches, None
    described = f"{len(keys)} of {len(images)} images and {sum(map(len, groups.values()))} of {len(labels)} labels"
    example = f"here {images[0].place}{images[0].name} stands against {labels[0].place}{labels[0].name}"
    message = f"The pairing {text!r} pairs nothing: it describes {described}; {example}."
    return {}, problem("pairing_unusable", Severity.ERROR, message, [], role="labels")
