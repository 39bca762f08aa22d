"""Write a draft of a label space from what label files hold, to be edited. Importable without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import tomli_w

from core.dataset import evidence, guesses
from core.dataset.class_names import ClassNames
from core.dataset.evidence import Evidence
from core.dataset.masses import RADIUS
from core.labels import IGNORE, Encoding, LabelSpace

HELP = """\
# Edit this file: give names and colours, and put it beside the labels as label_space.toml, or name it with --label-space.
# In a [[classes]] table,
#   merge = "other class"   makes its values mean the other class
#   ignore = true           makes its values mean "no label"
#   counts = false          trains the class, but leaves it out of the mean IoU
# The order of the classes is the order of their ids in the model.
"""


def draft(labels: Sequence[Path], names: ClassNames | None, title: str) -> str:
    """Write a label space for label files as TOML text with comments.

    Args:
        labels: the files; some are read.
        names: names found beside them.
        title: the label space's name.

    Raises:
        LabelSpaceError: nothing can be made of the files.
    """
    found = evidence.gather(labels, 24)
    space, _, explanation = guesses.guess_kind(found)
    if found.lossy:
        space = replace(space, radius=max(space.radius, RADIUS))
    return "\n".join([*_head(space, found, explanation, names, title), *_classes(space, found, names)])


def _head(space: LabelSpace, found: Evidence, explanation: str, names: ClassNames | None, title: str) -> Iterator[str]:
    yield f"# A draft of a label space. {_comment(explanation)}"
    if found.lossy:
        yield "# The labels are JPEGs, so each value counts as the nearest class (radius). PNGs from the origin would be better."
    if names is not None:
        yield f"# Names are from {_comment(names.origin)}."
    yield HELP
    data = {"format_version": 1, "name": title, "encoding": space.encoding.value}
    data |= {key: value for key in ("radius", "instances", "ignore_others") if (value := getattr(space, key))}
    yield tomli_w.dumps(data).rstrip()
    ignored = [value for value, target in space.values.items() if target == IGNORE]
    if ignored:
        yield f"ignore_values = {ignored}{_shares(ignored, space, found)}"
    colours = [list(colour) for colour, target in space.colours.items() if target == IGNORE]
    if colours:
        yield f"ignore_colours = {colours}"
    yield ""


def _classes(space: LabelSpace, found: Evidence, names: ClassNames | None) -> Iterator[str]:
    taken: set[str] = set()
    for index, own in enumerate(space.classes):
        values = [value for value, target in space.named_values().items() if target == index]
        colours = [colour for colour, target in space.colours.items() if target == index]
        name = _name(values, colours, space, names) or own
        name = name if name not in taken else f"{name} {index}"
        taken.add(name)
        keys = [red << 16 | green << 8 | blue for red, green, blue in colours]
        yield f"# {_seen(keys if space.encoding is Encoding.COLOURS else values, space, found)}"
        yield "[[classes]]"
        yield tomli_w.dumps({"name": name}).rstrip()
        yield f"colour = {list(_shown(name, values, space.palette[index], names))}"
        if space.encoding is Encoding.COLOURS:
            yield f"colours = {[list(colour) for colour in colours]}"
        else:
            yield f"values = {values}"
        if names is not None and name in names.ignored:
            yield "ignore = true"
        yield ""


def _name(
    values: Sequence[int], colours: Sequence[tuple[int, int, int]], space: LabelSpace, names: ClassNames | None
) -> str | None:
    if names is None:
        return None
    if space.encoding is not Encoding.COLOURS:
        return next((names.values[value] for value in values if value in names.values), None)
    near = (
        (sum((a - b) ** 2 for a, b in zip(c, d, strict=True)), n) for c in colours for d, n in names.colours.items()
    )
    distance, name = min(near, default=(1 << 30, ""))
    return name if distance <= max(space.radius, 4) ** 2 else None


def _shown(
    name: str, values: Sequence[int], colour: tuple[int, int, int], names: ClassNames | None
) -> tuple[int, int, int]:
    """The colour on screen: as the tool that gave the name shows it."""
    if names is None:
        return colour
    return next((own for own, other in names.colours.items() if other == name), colour)


def _seen(keys: Sequence[int], space: LabelSpace, found: Evidence) -> str:
    """Share, files and an example of a class's values."""
    keys = _stored(keys, space, found)
    if not keys:
        return "does not occur in the files read"
    most = max(keys, key=lambda key: found.shares[key])
    files = max(found.files[key] for key in keys)
    share = guesses.percent(found.share(keys))
    example = _comment(found.examples[most].name)
    return f"{share} of the pixels, in {files} of {found.num_read} files, most in {example}"


def _stored(keys: Sequence[int], space: LabelSpace, found: Evidence) -> list[int]:
    """The values in the files that are one of these: with instances, those of all instances."""
    if not space.instances:
        return [key for key in keys if key in found.shares]
    ids = {int(space.named_values().get(key, IGNORE)) for key in keys}
    return [value for value in found.shares if int(space.table[value]) in ids]


def _shares(values: Sequence[int], space: LabelSpace, found: Evidence) -> str:
    known = [value for value in values if value in found.shares][:6]
    words = ", ".join(f"{value}: {guesses.percent(found.shares[value])} of the pixels" for value in known)
    return f"  # {words}" if words and not space.instances else ""


def _comment(text: str) -> str:
    """Return the text without characters that would end a TOML comment."""
    return "".join(mark if mark.isprintable() else " " for mark in text)
