"""What is wrong with the partners of images and labels. Importable without torch."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from core.dataset import names
from core.dataset.matching import Matches
from core.dataset.names import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from core.dataset.problems import Problem, Severity, count, problem
from core.dataset.walking import File

_CONVERTIBLE = {
    ".json": "COCO or LabelMe annotations",
    ".xml": "CVAT annotations",
    ".npy": "arrays",
    ".npz": "arrays",
}


def problems(
    images: list[File], labels: list[File], matches: Matches, others: list[File], root: Path, *, chosen: bool
) -> list[Problem]:
    """What is wrong with the partners. `chosen`: of the images some were chosen, so that labels may be without one."""
    if not labels:
        message = f"There are no label images in {root}.{_convertible(others, root)}"
        return [problem("no_labels", Severity.ERROR, message, [root], role="labels")]
    if not matches:
        message = (
            f"None of the {len(images)} images has a label among the {len(labels)} in {root}. A label has its image's "
            f"name, with or without a mark such as _labelIds; here {images[0].place}{images[0].name} stands against "
            f"{labels[0].place}{labels[0].name}. Say how they belong together: --pair 'IMAGE:LABEL' (data.pairing), such as "
            "'{id}.jpg:{id}_mask.png'."
        )
        return [problem("no_pairs", Severity.ERROR, message, [root], role="labels")]
    used = {label.path for found in matches.values() for label in found}
    alone = [image for image in images if image.path not in matches]
    widowed = sorted(label.path for label in labels if label.path not in used)
    found = [_several_labels(matches), _stand_ins(alone, others, root)]
    if alone:
        message = f"{count(len(alone), 'image')} {_have(len(alone))} no label, such as {alone[0].place}{alone[0].stem}."
        paths = sorted(Path(image.path) for image in alone)
        found.append(problem("image_without_label", Severity.WARNING, message, paths, role="images"))
    if widowed and not chosen:
        message = f"{count(len(widowed), 'label')} {_have(len(widowed))} no image, such as {Path(widowed[0]).name}."
        found.append(problem("label_without_image", Severity.WARNING, message, map(Path, widowed), role="labels"))
    return [one for one in found if one]


def _several_labels(matches: Matches) -> Problem | None:
    several = [found for found in matches.values() if len(found) > 1]
    if not several:
        return None
    first = min(several, key=lambda found: found[0].path)
    message = (
        f"{count(len(several), 'image')} {_have(len(several))} several labels, such as "
        f"{' and '.join(Path(label.path).name for label in first)}; {Path(first[0].path).name} is used."
    )
    paths = sorted(Path(label.path) for found in several for label in found)
    return problem("several_labels", Severity.WARNING, message, paths, role="labels")


def _stand_ins(alone: list[File], others: list[File], root: Path) -> Problem | None:
    """Files that are no images, but are named as a missing label would be."""
    missing = {names.image_base(image.stem) for image in alone}
    found = sorted(Path(file.path) for file in others if names.label_base(file.stem) in missing)
    if not found:
        return None
    message = (
        f"{count(len(found), 'file')} {_stand(len(found))} where a label is missing, but {_are(len(found))} no image, "
        f"such as {found[0].name}; labels are images ({', '.join(sorted(IMAGE_SUFFIXES))}).{_convertible(others, root)}"
    )
    return problem("not_an_image", Severity.WARNING, message, found, role="labels")


def _convertible(others: Sequence[File], root: Path) -> str:
    """Name the files that `masktwins convert` may turn into label images, and the command; "" for none."""
    suffixes = Counter(file.suffix for file in others if file.suffix in _CONVERTIBLE or file.suffix in VIDEO_SUFFIXES)
    if not suffixes:
        return ""
    suffix, num = suffixes.most_common(1)[0]
    what = _CONVERTIBLE.get(suffix, "video")
    return (
        f" It holds {count(num, f'{suffix} file')} ({what}): write images and a label space from them with "
        f"masktwins convert {shlex.quote(str(root))} OUT, and choose what that makes."
    )


def no_images(root: Path, others: list[File]) -> Problem:
    videos = sum(file.suffix in VIDEO_SUFFIXES for file in others)
    hint = f" It holds {count(videos, 'video')}: take frames of them into a folder first." if videos else ""
    hint += _convertible([file for file in others if file.suffix not in VIDEO_SUFFIXES or videos], root)
    message = f"There are no images in {root} ({', '.join(sorted(IMAGE_SUFFIXES))} are read).{hint}"
    return problem("no_images", Severity.ERROR, message, [root], role="images")


def _have(num: int) -> str:
    return "has" if num == 1 else "have"


def _are(num: int) -> str:
    return "is" if num == 1 else "are"


def _stand(num: int) -> str:
    return "stands" if num == 1 else "stand"


def unequal_stacks(found: Sequence[tuple[File, File]], pages: dict[str, int], label_pages: dict[str, int]) -> Problem:
    """Stacks of images whose labels have another number of pages."""
    image, label = found[0]
    message = (
        f"{count(len(found), 'stack')} {_have(len(found))} a label with another number of pages, such as {image.name} "
        f"({pages.get(image.path, 1)}) and {label.name} ({label_pages.get(label.path, 1)}). These labels are not used."
    )
    paths = [Path(one.path) for _, one in found]
    return problem("stack_mismatch", Severity.ERROR, message, paths, role="labels")
