"""Turn what the check found in files into problems: one per code and role, with one plain sentence and all the files.

Importable without torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from core.data.folders import Problem, Severity
from core.data.inspect_pair import Domain, Finding, value_word
from core.data.statistics import ClassTally
from core.labels import LabelSpace

OVERLAP_ERROR_SHARE = (
    0.1  # a stray common image is a warning; from this share of the images on, the folders are mixed up
)

_IMAGE_ROLES = {
    Domain.SOURCE: "source_images",
    Domain.TARGET: "target_images",
    Domain.EVALUATION: "evaluation_images",
}

_WORDS: dict[str, tuple[str, str, Severity]] = {  # code: role, what is said after the number of files, severity
    "image_unreadable": ("images", "cannot be read", Severity.ERROR),
    "label_unreadable": ("labels", "cannot be read", Severity.ERROR),
    "label_encoding": ("labels", "differ in kind from the others: colours where numbers are expected", Severity.ERROR),
    "size_mismatch": ("labels", "differ in size from their images", Severity.ERROR),
    "label_unknown_values": ("labels", "hold values outside the classes", Severity.ERROR),
    "label_all_ignored": ("labels", "hold no class at all", Severity.WARNING),
}
_REMEDIES = {
    "image_unreadable": "Copy them again, or take them out.",
    "label_unreadable": "Copy them again, or take them out.",
    "label_encoding": "Save them like the others.",
    "size_mismatch": "Each label needs its image's size (and orientation).",
    "label_unknown_values": "Add the values to the classes or to the ignored ones, in a label_space.toml.",
    "label_all_ignored": "They teach nothing.",
}


def role(domain: Domain, kind: str) -> str:
    """The configuration's field for a domain's "images" or "labels"."""
    if kind == "labels":
        return "source_labels" if domain is Domain.SOURCE else "target_labels"
    return _IMAGE_ROLES[domain]


def of_findings(findings: Sequence[Finding], space: LabelSpace | None, crop_hw: tuple[int, int]) -> list[Problem]:
    """All problems of the files themselves."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        for code in finding.codes:
            groups[code, role(finding.domain, _WORDS[code][0])].append(finding)
    order = list(_WORDS)
    keys = sorted(groups, key=lambda key: (order.index(key[0]), key[1]))
    problems = [_problem(code, in_role, groups[code, in_role], space) for code, in_role in keys]
    for domain in (Domain.SOURCE, Domain.TARGET):
        problems += _small_images([finding for finding in findings if finding.domain is domain], domain, crop_hw)
    for domain in (Domain.TARGET, Domain.EVALUATION):
        problems += _overlap(findings, domain)
    return problems


def _problem(code: str, in_role: str, found: Sequence[Finding], space: LabelSpace | None) -> Problem:
    kind, words, severity = _WORDS[code]
    path: Callable[[Finding], Path] = _image if kind == "images" else _label
    reasons = {str(path(finding)): finding.codes[code] for finding in found}
    first = path(found[0])
    example = f"{first.name}: {found[0].codes[code].removeprefix(str(first)).strip().rstrip('.')}"
    details = {"role": in_role, "reasons": reasons}
    if space and code == "label_unknown_values":
        details["values"] = sorted({value_word(value, space) for finding in found for value in finding.unknown[:100]})
    message = f"{_files(len(found), in_role)} {words} ({example}). {_REMEDIES[code]}"
    return Problem(code, severity, message, tuple(path(finding) for finding in found), details)


def _image(finding: Finding) -> Path:
    return finding.pair.image


def _label(finding: Finding) -> Path:
    assert finding.pair.label is not None
    return finding.pair.label


def _files(num: int, in_role: str) -> str:
    """ "1 file of the source labels", "3 files of the target images"."""
    return f"{num} file{'' if num == 1 else 's'} of the {in_role.replace('_', ' ')}:"


def _small_images(findings: Sequence[Finding], domain: Domain, crop_hw: tuple[int, int]) -> list[Problem]:
    small = [f for f in findings if f.measure and (f.measure.hw[0] < crop_hw[0] or f.measure.hw[1] < crop_hw[1])]
    if not small:
        return []
    in_role = role(domain, "images")
    heights, widths = zip(*(f.measure.hw for f in small if f.measure), strict=True)
    message = (
        f"{_files(len(small), in_role)} smaller than the crop of {crop_hw[1]} × {crop_hw[0]} pixels, down to "
        f"{min(widths)} × {min(heights)}. Lower training.crop_size, or much of each crop is padding."
    )
    details = {"role": in_role, "smallest": [min(heights), min(widths)], "crop": list(crop_hw)}
    paths = tuple(finding.pair.image for finding in small)
    return [Problem("image_smaller_than_crop", Severity.WARNING, message, paths, details)]


def _overlap(findings: Sequence[Finding], domain: Domain) -> list[Problem]:
    """The same bytes among the source's images and among another domain's."""
    source = {f.digest: f.pair.image for f in findings if f.domain is Domain.SOURCE and f.measure}
    others = [f for f in findings if f.domain is domain and f.measure]
    same = [(source[f.digest], f.pair.image) for f in others if f.digest in source]
    if not same:
        return []
    in_role = role(domain, "images")
    severity = Severity.ERROR if len(same) >= OVERLAP_ERROR_SHARE * len(others) else Severity.WARNING
    message = (
        f"{_files(len(same), in_role)} the very same as source images, such as {same[0][1].name} and {same[0][0].name}. "
        "The two cameras' folders must not share images."
    )
    details = {"role": in_role, "pairs": [[str(a), str(b)] for a, b in same]}
    return [Problem("overlap", severity, message, tuple(path for pair in same for path in pair), details)]


def lossy_labels(domain: Domain, paths: tuple[Path, ...]) -> Problem:
    """JPEG labels, by their suffix."""
    in_role = role(domain, "labels")
    message = (
        f"{_files(len(paths), in_role)} JPEGs, such as {paths[0].name}. JPEG changes values at every edge; "
        "save labels as PNG from their origin."
    )
    return Problem("label_lossy", Severity.WARNING, message, paths, {"role": in_role})


def of_classes(classes: ClassTally, space: LabelSpace) -> list[Problem]:
    """Classes that no source label holds. Call it when all labels have been read."""
    never = [name for name, num in classes.occurrences(space).items() if not num]
    if not never:
        return []
    shown = ", ".join(never[:8]) + (" …" if len(never) > 8 else "")
    message = (
        f"{len(never)} of the {space.num_classes} classes {'occurs' if len(never) == 1 else 'occur'} in no source label: "
        f"{shown}. The model cannot learn {'it' if len(never) == 1 else 'them'}."
    )
    return [Problem("class_never_seen", Severity.WARNING, message, (), {"role": "source_labels", "classes": never})]
