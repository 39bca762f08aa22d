"""The label spaces of the two cameras: one set of classes, and for each camera how its labels are written.

The classes are the source's. The target's labels may be written otherwise (`data.target_label_space`, or a
`label_space.toml` beside them); their classes are matched by name. What cannot be matched is said, never guessed.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.configuration.sections import DataConfig
from core.dataset.recognise import AUTO, Recognition, own_file, read_as, recognise, resolve_space
from core.labels import IGNORE, UNKNOWN, Encoding, LabelSpace, LabelSpaceError

LEAST_MISREAD = 0.01  # of the target labels' pixels: from here on another reading of them is looked for


@dataclass(frozen=True)
class Spaces:
    """How the labels of each camera are read. Both spaces have the same classes in the same order."""

    source: Recognition
    target: Recognition


def resolve_spaces(
    data: DataConfig,
    source_labels: Sequence[Path],
    target_labels: Sequence[Path],
    stored: Path | None = None,
    stored_target: Path | None = None,
) -> Spaces:
    """Find the label spaces that a configuration means.

    Args:
        stored: a label-space TOML of the source that wins over the configuration, as a run keeps it.
        stored_target: the same for the target.

    Raises:
        LabelSpaceError: labels of which nothing can be made, or two spaces without a common class.
    """
    source = resolve_space(str(stored) if stored else data.source_label_space or data.label_space, source_labels)
    if not target_labels:
        return Spaces(source, source)
    if stored:
        name = str(stored_target) if stored_target else str(stored)
        return Spaces(source, _aligned(resolve_space(name, target_labels), source.space))
    return Spaces(source, _of_target(data, source, target_labels))


def _of_target(data: DataConfig, source: Recognition, target_labels: Sequence[Path]) -> Recognition:
    if data.target_label_space not in ("", AUTO):
        return _aligned(resolve_space(data.target_label_space, target_labels), source.space)
    if data.target_label_space == "" and data.label_space != AUTO:
        return _aligned(resolve_space(data.label_space, target_labels), source.space)
    own = own_file(target_labels)
    if own is not None:
        return _aligned(resolve_space(str(own), target_labels), source.space)
    return _by_comparing(source, target_labels)


def have_common_names(one: LabelSpace, other: LabelSpace) -> bool:
    """Whether the two spaces share a class by name."""
    return not {_plain(name) for name in one.classes}.isdisjoint(_plain(name) for name in other.classes)


def align(target: LabelSpace, source: LabelSpace) -> tuple[LabelSpace, str]:
    """Give a space the classes of another, matched by name; what the other lacks is ignored.

    Returns:
        The space, and what was left out, in words ("" if nothing was).

    Raises:
        LabelSpaceError: no class has a name of the other's.
    """
    ids = {_plain(name): i for i, name in enumerate(source.classes)}
    mapping = {i: ids.get(_plain(name), IGNORE) for i, name in enumerate(target.classes)}
    lost = [name for i, name in enumerate(target.classes) if mapping[i] == IGNORE]
    if len(lost) == target.num_classes:
        raise LabelSpaceError(
            f"The classes of the target ({_some(target.classes)}) and of the source ({_some(source.classes)}) have no name in "
            "common. Give the same names in both label spaces (data.source_label_space, data.target_label_space)."
        )
    aligned = replace(
        target,
        classes=source.classes,
        palette=source.palette,
        values={value: mapping.get(i, IGNORE) for value, i in target.named_values().items()},
        colours={colour: mapping.get(i, IGNORE) for colour, i in target.colours.items()},
        uncounted=source.uncounted,
    )
    missing = [name for name in source.classes if _plain(name) not in {_plain(other) for other in target.classes}]
    words = f" Not a class of the source, and ignored: {_some(lost)}." if lost else ""
    return aligned, words + (
        f" Not in the target's label space, and never measured: {_some(missing)}." if missing else ""
    )


def _aligned(target: Recognition, source: LabelSpace) -> Recognition:
    if target.space.classes == source.classes:
        return replace(target, space=replace(target.space, palette=source.palette, uncounted=source.uncounted))
    space, words = align(target.space, source)
    explanation = f"{target.explanation} Matched with the source's classes by name.{words}"
    return replace(target, space=space, explanation=explanation)


def _by_comparing(source: Recognition, labels: Sequence[Path]) -> Recognition:
    """Read the target's labels as the source's, unless their values say that they are written otherwise."""
    same = read_as(source.space, labels)
    try:
        own = recognise(labels)
    except LabelSpaceError:
        return same  # what cannot be read so is counted as unknown
    if _misread(source.space, own) <= LEAST_MISREAD:
        return same
    if own.space.num_classes == source.space.num_classes == 2:
        values = {value: i for value, i in own.space.named_values().items() if i != IGNORE}
        pairs = ", ".join(f"{value} as {source.space.classes[i]!r}" for value, i in sorted(values.items()))
        space = replace(own.space, classes=source.space.classes, palette=source.space.palette)
        return Recognition(
            space, 0.6, f"{own.explanation} Read as the source's two classes in their order: {pairs}.", own.unknown
        )
    if own.space.name == source.space.name != "recognised":
        return _aligned(own, source.space)
    raise LabelSpaceError(
        f"The target labels are written otherwise than the source labels. Source: {source.explanation} Target: "
        f"{own.explanation} Say what the target's values mean in a label space of its own (data.target_label_space), with the "
        "source's class names; `masktwins labels DIR -o target_space.toml` writes a draft."
    )


def _misread(source: LabelSpace, own: Recognition) -> float:
    """Share of the target's pixels that are a class by themselves, and none by the source's space."""
    if (source.encoding is Encoding.COLOURS) != (own.space.encoding is Encoding.COLOURS):
        return 1.0
    if source.name not in ("recognised", "binary"):
        return 0.0  # the source's own ignored values are stated
    return sum(share for value, share in own.shares.items() if own.space.table[value] < UNKNOWN <= source.table[value])


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
