"""Layouts in which an id is not a part of a name: a folder per image, several labels per image, labels with open endings.

Importable without torch.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.dataset import names
from core.dataset.explanations import Inferred
from core.dataset.matching import Matches
from core.dataset.problems import Problem, Severity, problem
from core.dataset.walking import File

LEAST_SHARE = 0.5  # of the smaller side must be paired
MOST = 0.8  # of the files: what holds for so many holds for the folder
MAX_KINDS = 64  # of labels per image

_SEPARATOR = re.compile(r"[^a-z0-9]")


def folder_per_image(images: Sequence[File], labels: Sequence[File]) -> Inferred | None:
    """A folder per image, each with one image and one label, as `a/image.png` and `a/mask.png`."""
    if len({file.stem for file in images}) > 1 or len({file.stem for file in labels}) > 1:
        return None
    for place in (names.fold, names.plain_place):
        by_place = {place(file.place): file for file in labels}
        if len(by_place) < len(labels) or len({place(file.place) for file in images}) < len(images):
            continue
        found = {file.path: [by_place[key]] for file in images if (key := place(file.place)) in by_place and key}
        if len(found) >= LEAST_SHARE * min(len(images), len(labels)):
            return Inferred(found)
    return None


def several_labels(images: Sequence[File], labels: Sequence[File]) -> Inferred:
    """Several labels per image that differ in an ending or a folder: masks of one class each, or kinds of labels."""
    ids = {names.image_base(file.stem) for file in images}
    by_id: dict[str, dict[str, File]] = defaultdict(dict)
    unclear: list[File] = []
    for label in labels:
        found = dict(_kind(label, ids))
        if found:
            core, kind = next(iter(found.items()))
            by_id[core].setdefault(kind, label)
        unclear += [label] if len(found) > 1 else []
    several = [kinds for kinds in by_id.values() if len(kinds) > 1]
    kinds = sorted(Counter(kind for found in several for kind in found).items(), key=lambda item: (-item[1], item[0]))
    often = [kind for kind, num in kinds if 2 * num >= len(several)]
    if len(several) < LEAST_SHARE * min(len(ids), len(labels)) or not 2 <= len(often) <= MAX_KINDS:
        if len(unclear) > (1 - MOST) * len(labels):
            return Inferred(problem=_unclear(images, unclear))
        return Inferred(_open_ends(images, by_id))
    shown = ", ".join(sorted(often)[:6]) + (" …" if len(often) > 6 else "")
    message = (
        f"Each image has several labels, told apart by {shown}. If each is the mask of one class, combine them: "
        "masktwins convert LABELS OUT. If they are kinds of labels, choose the folder of one kind, or name one with --pair, "
        f"such as --pair '{{id}}{images[0].suffix}:{_example(images[0], often[0], labels[0].suffix)}'."
    )
    paths = [Path(file.path) for file in labels]
    return Inferred(problem=problem("one_hot_labels", Severity.ERROR, message, paths, role="labels"))


def _kind(label: File, ids: set[str]) -> Iterator[tuple[str, str]]:
    """The image's id in a label's name or folder, and what else there is."""
    stem = names.fold(label.stem)
    parts = [part for part in names.fold(label.place).split("/") if part]
    if stem in ids:
        yield stem, f"{'/'.join(parts)}/"
    elif parts and parts[-1] in ids:
        yield parts[-1], stem
    else:
        for end in range(len(stem) - 1, 0, -1):
            if _SEPARATOR.match(stem[end]) and stem[:end] in ids:
                yield stem[:end], stem[end:]
        for start in range(1, len(stem)):
            if _SEPARATOR.match(stem[start - 1]) and stem[start:] in ids:
                yield stem[start:], stem[:start]


def _example(image: File, kind: str, suffix: str) -> str:
    if kind.endswith("/"):
        return f"{kind}{{id}}{suffix}"
    return f"{{id}}{kind}{suffix}" if _SEPARATOR.match(kind) else f"{{id}}/{kind}{suffix}"


def _open_ends(images: Sequence[File], by_id: dict[str, dict[str, File]]) -> Matches:
    """One label per image that begins with its whole name, with differing ends: `0007_annotator3.png`."""
    owners = Counter(names.image_base(file.stem) for file in images)
    found = {
        file.path: [next(iter(by_id[key].values()))]
        for file in images
        if owners[key := names.image_base(file.stem)] == 1 and len(by_id.get(key, ())) == 1
    }
    num = sum(len(kinds) for kinds in by_id.values())
    return found if found and len(found) >= MOST * max(num, min(len(images), num)) else {}


def grown(files: Sequence[File]) -> list[File]:
    """The labels in a folder that holds images too: files whose name is another's and an ending (`a.png`, `a-m.png`)."""
    stems = {(file.place, names.fold(file.stem)) for file in files}
    endings: dict[str, list[File]] = defaultdict(list)
    for file in files:
        stem = names.fold(file.stem)
        for end in range(len(stem) - 1, 0, -1):
            if (_SEPARATOR.match(stem[end]) or stem[end - 1].isdigit()) and (file.place, stem[:end]) in stems:
                endings[stem[end:]].append(file)
                break
    if not endings:
        return []
    best = max(endings.values(), key=len)
    return best if 3 * len(best) >= len(files) else []


def _unclear(images: Sequence[File], unclear: Sequence[File]) -> Problem:
    message = (
        f"The labels' names hold the names of two images each, such as {unclear[0].name}. Nothing is paired. Say which one "
        f"counts with --pair, such as --pair '{{id}}{images[0].suffix}:{{id}}_*{unclear[0].suffix}' (data.pairing)."
    )
    return problem("pairing_ambiguous", Severity.ERROR, message, [Path(file.path) for file in unclear], role="labels")
