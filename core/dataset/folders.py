"""Find images and pair them with their labels, by names: bad data never raise, and how names were understood is said.

The order of what is tried: a list's second column; the pairing that the user states (`core.dataset.templates`); the usual
conventions (`core.dataset.matching`); templates inferred from the names (`core.dataset.inference`). TIFF files with several
pages are folders of slices: where both sides have stacks, they are paired as files, and then page by page.

Importable without torch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.dataset import inference, names, partners
from core.dataset.choosing import Index, choose
from core.dataset.explanations import Affixes, Inferred, Rule, template
from core.dataset.kinds import grown
from core.dataset.matching import Matches, match, without_doubles
from core.dataset.problems import Problem, Severity
from core.dataset.templates import TemplateError, pair_by, parse_pairing
from core.dataset.walking import File, expand, list_files, pages_of, stacks

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Pair", "Problem", "Scan", "Severity", "scan"]

IMAGE_SUFFIXES = names.IMAGE_SUFFIXES
VIDEO_SUFFIXES = names.VIDEO_SUFFIXES
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and, where there is one, its label. `name`: path below the image folder without suffix, with slashes."""

    image: Path
    label: Path | None
    name: str


@dataclass(frozen=True)
class Scan:
    """What folders hold: pairs by name (every image, with or without a label), and what is wrong with them.

    `pairing`: how the names were understood, in words with an example; "" without labels.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    pairing: str = ""


def scan(images: Path, labels: Path | None = None, *, pairing: str = "", files: str = "") -> Scan:
    """List the images below a folder, and pair them with the labels below another (or the same) one.

    Never raises on bad data: a missing folder is a problem (an error), and so is one without images. Hidden files and
    system files (`Thumbs.db`, `__MACOSX` …) are passed over.

    Args:
        pairing: "IMAGE:LABEL" templates (`core.dataset.templates`); "" or "auto": inferred from the names.
        files: which images are meant: the path of a list, or patterns (`core.dataset.choosing`); "": all.
    """
    pairing = "" if pairing == AUTO else pairing
    found = _list_both(images, labels, pairing)
    if not found.images and not found.problems:
        found.problems.append(partners.no_images(images, found.others))
    stated: dict[str, str] = {}
    if files and found.images:
        chosen = choose(found.images, files)
        found.images, stated = chosen.files, chosen.labels
        found.problems += chosen.problems
    found.images, doubles = without_doubles(found.images)
    found.problems += doubles
    pairs, words = _pairs(found, labels, pairing, stated, chosen=bool(files))
    pairs.sort(key=lambda pair: (pair.name, pair.image))
    return Scan(tuple(pairs), tuple(found.problems), words)


# Listing -------------------------------------------------------------------------------------------


@dataclass
class _Both:
    """The files on both sides. The two folders may be one, or nested."""

    images: list[File]
    labels: list[File]
    others: list[File]  # in the label folder
    problems: list[Problem]


def _list_both(images: Path, labels: Path | None, pairing: str) -> _Both:
    if labels is None:
        listing = list_files(images, "images")
        return _Both(listing.files, [], listing.others, listing.problems)
    image_root, label_root = os.path.realpath(images), os.path.realpath(labels)
    if image_root == label_root:
        listing = list_files(images, "images")
        image_files, label_files = _split(listing.files, pairing)
        return _Both(image_files, label_files, listing.others, listing.problems)
    in_images, in_labels = list_files(images, "images", label_root), list_files(labels, "labels", image_root)
    return _Both(in_images.files, in_labels.files, in_labels.others, in_images.problems + in_labels.problems)


def _split(files: list[File], pairing: str) -> tuple[list[File], list[File]]:
    """Tell images from labels in one folder.

    By the stated pairing; else by their marks; else by format, JPEG images and PNG labels; else labels are those whose name
    is an image's and an ending.
    """
    marked = _stated_labels(files, pairing) if pairing else []
    if not marked:
        marked = [file for file in files if names.is_label_place(file.place) or names.label_rank(file.stem) is not None]
    if not marked:
        photographs = {file.path for file in files if file.suffix in (".jpg", ".jpeg")}
        marked = [file for file in files if photographs and file.path not in photographs]
    if not marked:
        marked = grown(files)
    chosen = {file.path for file in marked}
    return [file for file in files if file.path not in chosen], marked


def _stated_labels(files: list[File], pairing: str) -> list[File]:
    try:
        _, label_side = parse_pairing(pairing)
    except TemplateError:
        return []
    return [file for file in files if label_side.key(file) is not None]


# Pairing -------------------------------------------------------------------------------------------


def _pairs(
    found: _Both, root: Path | None, pairing: str, stated: dict[str, str], *, chosen: bool
) -> tuple[list[Pair], str]:
    """All images with their labels, and the pairing in words."""
    pages = stacks(found.images)
    label_pages = stacks(found.labels)
    if not pages or not label_pages:  # a stack on one side is a folder of slices on the other
        found.images, found.labels = expand(found.images, pages), expand(found.labels, label_pages)
        pages, label_pages = {}, {}
    matches, rule = _match(found, pairing, stated, pages, label_pages)
    if root is not None and found.images and not any(one.severity is Severity.ERROR for one in found.problems):
        found.problems += partners.problems(found.images, found.labels, matches, found.others, root, chosen=chosen)
    words = _words(found.images, matches, rule, pairing if matches and not stated else "")
    pairs: list[Pair] = []
    unequal: list[tuple[File, File]] = []
    for file in found.images:
        label = next(iter(matches.get(file.path, ())), None)
        if file.path not in pages and (label is None or label.path not in label_pages):
            pairs.append(_pair(file, label))
            continue
        slices = pages_of(file, pages[file.path]) if file.path in pages else [file]
        of_label = (
            pages_of(label, label_pages[label.path]) if label and label.path in label_pages else [label] * bool(label)
        )
        if label is not None and len(slices) != len(of_label):
            unequal.append((file, label))
            of_label = []
        pairs += [_pair(one, of_label[i] if of_label else None) for i, one in enumerate(slices)]
    if unequal:
        found.problems.append(partners.unequal_stacks(unequal, pages, label_pages))
    return pairs, words


def _pair(file: File, label: File | None) -> Pair:
    return Pair(Path(file.path), Path(label.path) if label else None, file.place + file.stem)


def _match(
    found: _Both, pairing: str, stated: dict[str, str], pages: dict[str, int], label_pages: dict[str, int]
) -> tuple[Matches, Rule | None]:
    """Labels by image; the rule that was inferred, if one was needed."""
    if not found.labels or not found.images:
        return {}, None
    if stated:
        index = Index(found.labels)
        listed = {path: label for path, text in stated.items() if (label := index.find(text)) is not None}
        return {path: [label] for path, label in listed.items()}, None
    if pairing:
        matches, unfit = pair_by(pairing, found.images, found.labels)
        found.problems += [unfit] if unfit else []
        return matches, None
    matches = match(found.images, found.labels)
    taken = {label.path for labels in matches.values() for label in labels}
    images = [file for file in found.images if file.path not in matches]
    labels = [file for file in found.labels if file.path not in taken]
    if len(pages) == len(found.images) == len(label_pages) == len(found.labels) == 1 and not matches:
        return {found.images[0].path: [found.labels[0]]}, None  # one stack on each side, whatever they are called
    inferred = inference.infer(images, labels, rest=bool(matches))
    if matches and images and labels and not inferred.matches:
        inferred = _explains_all(found, matches)
    found.problems += [inferred.problem] if inferred.problem else []
    return {**matches, **inferred.matches}, inferred.rule


def _explains_all(found: _Both, matches: Matches) -> Inferred:
    """An explanation of all names that agrees with what the usual conventions pair; it may explain a single file more."""
    whole = inference.infer(found.images, found.labels)
    agrees = all(whole.matches.get(path) == labels for path, labels in matches.items())
    complete = len(whole.matches) == min(len(found.images), len(found.labels))
    return whole if agrees and complete else Inferred()


# Words ---------------------------------------------------------------------------------------------


def _words(images: Sequence[File], matches: Matches, rule: Rule | None, pairing: str) -> str:
    """How the names were understood: `IMG_{id}.JPG ↔ IMG_{id}_mask.png, 39 of 39 images`, with an example."""
    if not matches:
        return ""
    templates: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], tuple[File, File]] = {}
    for file in images:
        if file.path in matches:
            label = matches[file.path][0]
            key = _templates(file, label, rule)
            templates[key] += 1
            examples[key] = min(examples.get(key, (file, label)), (file, label))
    if pairing:
        return f"{pairing.replace(':', ' ↔ ', 1) if ':d' not in pairing else pairing}, {len(matches)} of {len(images)} images."
    parts = []
    for (left, right), num in templates.most_common(3):
        image, label = examples[left, right]
        pair = f"{image.place}{image.name} ↔ {label.place}{label.name}"
        parts.append(f"{left} ↔ {right}, {num} of {len(images)} images, for example {pair}")
    more = f"; and {len(templates) - 3} more forms" if len(templates) > 3 else ""
    return f"{'; '.join(parts)}{more}."


def _templates(image: File, label: File, rule: Rule | None) -> tuple[str, str]:
    """The templates of one pair."""
    suffixes = image.name[len(image.stem) :], label.name[len(label.stem) :]
    if image.stem == label.stem:
        return f"{{id}}{suffixes[0]}", f"{{id}}{suffixes[1]}"
    base = names.image_base(image.stem)
    if base == names.label_base(label.stem):
        sides = _around(names.fold(image.stem), base), _around(names.fold(label.stem), base)
        padded = False
    elif rule is not None and rule.image.core(rule.name(image.stem)) is not None:
        sides, padded = (rule.image, rule.label), rule.padded
    else:
        return f"*{suffixes[0]}", f"*{suffixes[1]}"
    return (
        template(image.stem, sides[0], suffixes[0], padded=padded),
        template(label.stem, sides[1], suffixes[1], padded=padded),
    )


def _around(name: str, core: str) -> Affixes:
    head, _, tail = name.partition(core)
    return Affixes(head, tail)
