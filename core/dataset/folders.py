"""Find images and pair them with their labels: names only, nothing is opened, and bad data never raise.

An image and a label belong together when they lie in the same place below their folders and, in this order,

1. have the same name (`a/0001.jpg`, `a/0001.png`);
2. have the same name without the usual marks: `_leftImg8bit`, `_rgb`, `_image`, `image_` … on the image,
   `_gtFine_labelTrainIds`, `_labelIds`, `_mask`, `mask_` … on the label (`core.dataset.names`);
3. as 2, where folders called `images`, `labels`, `masks`, `gtFine` … are left out of the place;
4. as 2, wherever they lie, if the name occurs in one place only on either side (Cityscapes' city folders chosen at
   different depths).

Letters' case and the Unicode form of a name do not matter. Where several labels fit one image, the first of this order
counts: the same name, the order of `names.LABEL_MARKS` (train ids, ids, masks, …, colours, instances), lossless formats
(`names.LABEL_SUFFIX_ORDER`), the alphabet. Where two images have the same name (`a.jpg`, `a.png`), the first of
`names.IMAGE_SUFFIX_ORDER` counts: photographs before formats that might be a label lying beside it. Both are reported.

Importable without torch.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from core.dataset import names

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = names.IMAGE_SUFFIXES
VIDEO_SUFFIXES = names.VIDEO_SUFFIXES


class Severity(StrEnum):
    ERROR = "error"  # blocks training
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """Something wrong with the data: a code for programs, one plain sentence for people, and the files it concerns."""

    code: str
    severity: Severity
    message: str
    paths: tuple[Path, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and, where there is one, its label. `name`: path below the image folder without suffix, with slashes."""

    image: Path
    label: Path | None
    name: str


@dataclass(frozen=True)
class Scan:
    """What folders hold: pairs by name (every image, with or without a label), and what is wrong with them."""

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


class _File(NamedTuple):
    place: str  # folder below the root, "" or "a/b/"
    stem: str
    suffix: str  # lower case
    path: str


@dataclass
class _Listing:
    """The files below one folder."""

    files: list[_File] = field(default_factory=list)  # with an image's suffix
    others: list[_File] = field(default_factory=list)  # with another one
    problems: list[Problem] = field(default_factory=list)


def scan(images: Path, labels: Path | None = None) -> Scan:
    """List the images below a folder, and pair them with the labels below another (or the same) one.

    Never raises on bad data: a missing folder is a problem (an error), and so is one without images. Hidden files and
    system files (`Thumbs.db`, `__MACOSX` …) are passed over.
    """
    image_files, label_files, others, problems = _list_both(images, labels)
    if not image_files and not problems:
        problems.append(_no_images(images, others))
    kept, doubles = _without_doubles(image_files)
    problems += doubles
    matches = _match(kept, label_files) if label_files else {}
    pairs = [_pair(file, matches.get(file.path, ())) for file in kept]
    if labels is not None and image_files and not any(problem.severity is Severity.ERROR for problem in problems):
        problems += _partner_problems(kept, label_files, matches, others, labels)
    pairs.sort(key=lambda pair: (pair.name, pair.image))
    return Scan(tuple(pairs), tuple(problems))


def _pair(file: _File, labels: Sequence[_File]) -> Pair:
    return Pair(Path(file.path), Path(labels[0].path) if labels else None, file.place + file.stem)


# Listing -------------------------------------------------------------------------------------------


def _list_both(images: Path, labels: Path | None) -> tuple[list[_File], list[_File], list[_File], list[Problem]]:
    """Image files, label files, other files in the label folder, problems. The two folders may be one, or nested."""
    if labels is None:
        listing = _list(images, "images")
        return listing.files, [], listing.others, listing.problems
    image_root, label_root = os.path.realpath(images), os.path.realpath(labels)
    if image_root == label_root:
        listing = _list(images, "images")
        image_files, label_files = _split(listing.files)
        return image_files, label_files, listing.others, listing.problems
    in_images, in_labels = _list(images, "images", label_root), _list(labels, "labels", image_root)
    return in_images.files, in_labels.files, in_labels.others, in_images.problems + in_labels.problems


def _split(files: list[_File]) -> tuple[list[_File], list[_File]]:
    """Tell images from labels in one folder by their marks; without marks, by format: JPEG images, PNG labels."""
    marked = [file for file in files if names.is_label_place(file.place) or names.label_rank(file.stem) is not None]
    if not marked:
        photographs = {file.path for file in files if file.suffix in (".jpg", ".jpeg")}
        marked = [file for file in files if photographs and file.path not in photographs]
    chosen = {file.path for file in marked}
    return [file for file in files if file.path not in chosen], marked


def _list(root: Path, role: str, leave_out: str = "") -> _Listing:
    listing = _Listing()
    if not root.is_dir():
        listing.problems.append(_no_folder(root, role))
        return listing
    refused: list[Path] = []
    for place, entry in _walk(str(root), leave_out, refused):
        stem, dot, suffix = entry.name.rpartition(".")
        if not dot:
            stem, suffix = suffix, ""
        file = _File(place, stem, f".{suffix.lower()}" if dot else "", entry.path)
        (listing.files if file.suffix in IMAGE_SUFFIXES else listing.others).append(file)
    if refused:
        message = f"{_count(len(refused), 'folder')} in {root} may not be read; correct the permissions."
        listing.problems.append(_problem("folder_unreadable", Severity.ERROR, message, refused, role=role))
    return listing


def _walk(root: str, leave_out: str, refused: list[Path]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (place, entry) of every file; links to folders are followed, but no folder is visited twice by links."""
    linked: set[str] = set()
    _add_with_ancestors(os.path.realpath(root), linked)
    waiting = [(root, "")]
    while waiting:
        folder, place = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            refused.append(Path(folder))
            continue
        for entry in entries:
            if names.is_system_name(entry.name):
                continue
            if not _is_folder(entry):
                yield place, entry
            elif _is_new(entry, leave_out, linked):
                waiting.append((entry.path, f"{place}{entry.name}/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 - speed
        return False  # spares following the link: a third of the time where folders are made of links
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_new(entry: os.DirEntry[str], leave_out: str, linked: set[str]) -> bool:
    """Whether a folder is to be visited. `linked`: what links have shown and the root, and all the folders above them."""
    if not leave_out and not entry.is_symlink():
        return True
    real = os.path.realpath(entry.path)
    if real == leave_out:
        return False
    if entry.is_symlink():
        if real in linked:
            return False  # a link up its own tree, or to what another link has shown
        _add_with_ancestors(real, linked)
    return True


def _add_with_ancestors(folder: str, linked: set[str]) -> None:
    while folder not in linked:  # whose ancestors are all there already
        linked.add(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120 - speed


# Matching ------------------------------------------------------------------------------------------


def _without_doubles(files: list[_File]) -> tuple[list[_File], list[Problem]]:
    """Keep one image per name."""
    by_name: dict[tuple[str, str], list[_File]] = defaultdict(list)
    for file in files:
        by_name[file.place, file.stem].append(file)
    if len(by_name) == len(files):
        return files, []
    groups = [sorted(group, key=_image_order) for group in by_name.values()]
    doubles = sorted((group for group in groups if len(group) > 1), key=lambda group: group[0].path)
    paths = [Path(file.path) for group in doubles for file in group]
    example = doubles[0]
    message = (
        f"{_count(len(doubles), 'name')} {'stands' if len(doubles) == 1 else 'stand'} for more than one image, "
        f"such as {' and '.join(Path(file.path).name for file in example)}; "
        f"only {Path(example[0].path).name} is used."
    )
    kept = [group[0] for group in groups]
    return kept, [_problem("duplicate_image", Severity.WARNING, message, paths, role="images")]


def _image_order(file: _File) -> tuple[int, str]:
    return names.IMAGE_SUFFIX_ORDER.index(file.suffix), file.path


def _label_order(file: _File) -> tuple[int, int, str]:
    rank = names.label_rank(file.stem)
    return -1 if rank is None else rank, names.LABEL_SUFFIX_ORDER.index(file.suffix), file.path


Matches = dict[str, list[_File]]  # by the image's path, best label first


def _match(images: list[_File], labels: list[_File]) -> Matches:
    """Find each image's labels by the rules of the module."""
    matches: Matches = {}
    taken: set[str] = set()
    by_stem: dict[tuple[str, str], list[_File]] = defaultdict(list)
    for label in labels:
        by_stem[names.fold(label.place), names.fold(label.stem)].append(label)
    for image in images:
        if found := by_stem.get((names.fold(image.place), names.fold(image.stem))):
            exact = [label for label in found if label.stem == image.stem and label.place == image.place]
            matches[image.path] = sorted(exact or found, key=_label_order)
            taken.update(label.path for label in matches[image.path])
    _match_by_base(images, [label for label in labels if label.path not in taken], matches)
    return matches


def _match_by_base(images: list[_File], labels: list[_File], matches: Matches) -> None:
    """Rules 2 to 4: rule 2 also adds to what rule 1 has found, the others serve images still without a label."""
    places = (names.fold, names.plain_place, _anywhere)
    for rule, place in enumerate(places):
        if not labels:
            return
        open_images = [image for image in images if rule == 0 or image.path not in matches]
        groups: dict[tuple[str, str], list[_File]] = defaultdict(list)
        for label in labels:
            groups[place(label.place), names.label_base(label.stem)].append(label)
        owners: dict[tuple[str, str], set[str]] = defaultdict(set)
        single: set[tuple[str, str]] = set()
        if place is _anywhere:
            for image in images:
                owners["", names.image_base(image.stem)].add(image.place)
            # Counted once per name: a hundred thousand folders may each hold a file of the same name.
            single = {key for key, found in groups.items() if len({label.place for label in found}) == 1}
        taken: set[str] = set()
        for image in open_images:
            key = place(image.place), names.image_base(image.stem)
            found = groups.get(key, [])
            if found and (place is not _anywhere or (key in single and len(owners[key]) == 1)):
                matches.setdefault(image.path, []).extend(sorted(found, key=_label_order))
                taken.update(label.path for label in found)
        labels = [label for label in labels if label.path not in taken]


def _anywhere(_: str) -> str:
    return ""


# Problems ------------------------------------------------------------------------------------------


def _partner_problems(
    images: list[_File], labels: list[_File], matches: Matches, others: list[_File], root: Path
) -> list[Problem]:
    if not labels:
        message = f"There are no label images in {root}."
        return [_problem("no_labels", Severity.ERROR, message, [root], role="labels")]
    if not matches:
        message = (
            f"None of the {len(images)} images has a label among the {len(labels)} in {root}. A label has its image's "
            f"name, with or without a mark such as _labelIds; here {images[0].stem!r} stands against {labels[0].stem!r}."
        )
        return [_problem("no_pairs", Severity.ERROR, message, [root], role="labels")]
    used = {label.path for found in matches.values() for label in found}
    alone = [image for image in images if image.path not in matches]
    widowed = sorted(label.path for label in labels if label.path not in used)
    problems = [_several_labels(matches), _stand_ins(alone, others)]
    if alone:
        message = (
            f"{_count(len(alone), 'image')} {_have(len(alone))} no label, such as {alone[0].place}{alone[0].stem}."
        )
        paths = sorted(Path(image.path) for image in alone)
        problems.append(_problem("image_without_label", Severity.WARNING, message, paths, role="images"))
    if widowed:
        message = f"{_count(len(widowed), 'label')} {_have(len(widowed))} no image, such as {Path(widowed[0]).name}."
        problems.append(_problem("label_without_image", Severity.WARNING, message, map(Path, widowed), role="labels"))
    return [problem for problem in problems if problem]


def _several_labels(matches: Matches) -> Problem | None:
    several = [found for found in matches.values() if len(found) > 1]
    if not several:
        return None
    first = min(several, key=lambda found: found[0].path)
    message = (
        f"{_count(len(several), 'image')} {_have(len(several))} several labels, such as "
        f"{' and '.join(Path(label.path).name for label in first)}; {Path(first[0].path).name} is used."
    )
    paths = sorted(Path(label.path) for found in several for label in found)
    return _problem("several_labels", Severity.WARNING, message, paths, role="labels")


def _stand_ins(alone: list[_File], others: list[_File]) -> Problem | None:
    """Files that are no images, but are named as a missing label would be."""
    missing = {names.image_base(image.stem) for image in alone}
    found = sorted(Path(file.path) for file in others if names.label_base(file.stem) in missing)
    if not found:
        return None
    message = (
        f"{_count(len(found), 'file')} {_stand(len(found))} where a label is missing, but {_are(len(found))} no image, "
        f"such as {found[0].name}; labels are images ({', '.join(sorted(IMAGE_SUFFIXES))})."
    )
    return _problem("not_an_image", Severity.WARNING, message, found, role="labels")


def _no_folder(root: Path, role: str) -> Problem:
    if root.suffix.lower() in VIDEO_SUFFIXES and root.is_file():
        message = f"{root} is a video; take frames of it into a folder first, and choose that folder."
        return _problem("video_file", Severity.ERROR, message, [root], role=role)
    if root.exists():
        return _problem(
            "not_a_folder", Severity.ERROR, f"{root} is a file; choose the folder it lies in.", [root], role=role
        )
    message = f"The folder {root} does not exist; choose another one, or reconnect its drive."
    return _problem("folder_missing", Severity.ERROR, message, [root], role=role)


def _no_images(root: Path, others: list[_File]) -> Problem:
    videos = sum(file.suffix in VIDEO_SUFFIXES for file in others)
    hint = f" It holds {_count(videos, 'video')}: take frames of them into a folder first." if videos else ""
    message = f"There are no images in {root} ({', '.join(sorted(IMAGE_SUFFIXES))} are read).{hint}"
    return _problem("no_images", Severity.ERROR, message, [root], role="images")


def _problem(code: str, severity: Severity, message: str, paths: Any, *, role: str) -> Problem:
    logger.debug("%s: %s", code, message)
    return Problem(code, severity, message, tuple(paths), {"role": role})


def _count(num: int, noun: str) -> str:
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"


def _have(num: int) -> str:
    return "has" if num == 1 else "have"


def _are(num: int) -> str:
    return "is" if num == 1 else "are"


def _stand(num: int) -> str:
    return "stands" if num == 1 else "stand"
