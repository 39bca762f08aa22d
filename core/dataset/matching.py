"""Match images with labels by fixed rules for names: the usual conventions. What they leave is for `core.dataset.inference`.

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

from collections import defaultdict
from pathlib import Path

from core.dataset import names
from core.dataset.problems import Problem, Severity, count, problem
from core.dataset.walking import File

Matches = dict[str, list[File]]  # by the image's path, best label first


def without_doubles(files: list[File]) -> tuple[list[File], list[Problem]]:
    """Keep one image per name."""
    by_name: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        by_name[file.place, file.stem].append(file)
    if len(by_name) == len(files):
        return files, []
    groups = [sorted(group, key=_image_order) for group in by_name.values()]
    doubles = sorted((group for group in groups if len(group) > 1), key=lambda group: group[0].path)
    paths = [Path(file.path) for group in doubles for file in group]
    example = doubles[0]
    message = (
        f"{count(len(doubles), 'name')} {'stands' if len(doubles) == 1 else 'stand'} for more than one image, "
        f"such as {' and '.join(Path(file.path).name for file in example)}; "
        f"only {Path(example[0].path).name} is used."
    )
    kept = [group[0] for group in groups]
    return kept, [problem("duplicate_image", Severity.WARNING, message, paths, role="images")]


def _image_order(file: File) -> tuple[int, str]:
    return names.IMAGE_SUFFIX_ORDER.index(file.suffix), file.path


def _label_order(file: File) -> tuple[int, int, str]:
    rank = names.label_rank(file.stem)
    return -1 if rank is None else rank, names.LABEL_SUFFIX_ORDER.index(file.suffix), file.path


def match(images: list[File], labels: list[File]) -> Matches:
    """Find each image's labels by the rules of the module."""
    matches: Matches = {}
    taken: set[str] = set()
    by_stem: dict[tuple[str, str], list[File]] = defaultdict(list)
    for label in labels:
        by_stem[names.fold(label.place), names.fold(label.stem)].append(label)
    for image in images:
        if found := by_stem.get((names.fold(image.place), names.fold(image.stem))):
            exact = [label for label in found if label.stem == image.stem and label.place == image.place]
            matches[image.path] = sorted(exact or found, key=_label_order)
            taken.update(label.path for label in matches[image.path])
    _match_by_base(images, [label for label in labels if label.path not in taken], matches)
    return matches


def _match_by_base(images: list[File], labels: list[File], matches: Matches) -> None:
    """Rules 2 to 4: rule 2 also adds to what rule 1 has found, the others serve images still without a label."""
    places = (names.fold, names.plain_place, _anywhere)
    for rule, place in enumerate(places):
        if not labels:
            return
        open_images = [image for image in images if rule == 0 or image.path not in matches]
        groups: dict[tuple[str, str], list[File]] = defaultdict(list)
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
