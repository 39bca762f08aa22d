"""Turn what the check found in files into problems: one per code and role, with one plain sentence and all the files.

Importable without torch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.checking.inspect_pair import Domain, Finding
from core.checking.orientation import TurnTally
from core.checking.statistics import ClassTally
from core.dataset.folders import Problem, Severity
from core.dataset.unknown import ALLOWED_SHARE, UnknownValues, jpeg_words
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
    "label_unknown_values": ("labels", "hold values outside the classes", Severity.ERROR),  # a warning for few pixels
    "label_all_ignored": ("labels", "hold no class at all", Severity.WARNING),
}
_REMEDIES = {
    "image_unreadable": "Copy them again, or take them out.",
    "label_unreadable": "Copy them again, or take them out.",
    "label_encoding": "Save them like the others.",
    "size_mismatch": "Each label needs its image's size (and orientation).",
    "label_all_ignored": "They teach nothing.",
}


@dataclass(frozen=True, slots=True)
class _Fault:
    """One file with one fault."""

    path: Path
    reason: str


def role(domain: Domain, kind: str) -> str:
    """The configuration's field for a domain's "images" or "labels"."""
    if kind == "labels":
        return "source_labels" if domain is Domain.SOURCE else "target_labels"
    return _IMAGE_ROLES[domain]


@dataclass
class Complaints:
    """Collects what is wrong with files; of flawless ones no more is kept than a digest of the source's.

    The source's findings come first: what the target shares with it is seen as the target's come.
    """

    crop_hw: tuple[int, int]
    allow_unknown: float = ALLOWED_SHARE  # share of the labels' pixels
    unknown: dict[str, UnknownValues] = field(
        default_factory=dict
    )  # by role, for the roles whose labels are understood
    turns: TurnTally = field(default_factory=TurnTally)
    _groups: dict[tuple[str, str], list[_Fault]] = field(default_factory=lambda: defaultdict(list))
    _small: dict[Domain, list[tuple[Path, tuple[int, int]]]] = field(default_factory=lambda: defaultdict(list))
    _source: dict[bytes, Path] = field(default_factory=dict)  # by the digest of the image's bytes
    _same: dict[Domain, list[tuple[Path, Path]]] = field(default_factory=lambda: defaultdict(list))
    _num_read: Counter[Domain] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        for code, reason in finding.codes.items():
            kind = _WORDS[code][0]
            path = finding.pair.image if kind == "images" else finding.pair.label
            assert path is not None
            self._groups[code, role(finding.domain, kind)].append(_Fault(path, reason))
        in_role = role(finding.domain, "labels")
        if finding.pair.label is not None:
            self.turns.add(in_role, finding.pair.label, finding.turns)
            if in_role in self.unknown:
                self.unknown[in_role].add(finding.pair.label, finding.pixels, finding.unknown)
        if finding.measure is not None:
            self._add_image(finding.domain, finding.pair.image, finding.measure.hw, finding.digest)

    def _add_image(self, domain: Domain, image: Path, hw: tuple[int, int], digest: bytes) -> None:
        self._num_read[domain] += 1
        if domain is not Domain.EVALUATION and (hw[0] < self.crop_hw[0] or hw[1] < self.crop_hw[1]):
            self._small[domain].append((image, hw))
        if domain is Domain.SOURCE:
            self._source[digest] = image
        elif digest in self._source:
            self._same[domain].append((self._source[digest], image))

    def problems(self) -> list[Problem]:
        """All problems of the files themselves."""
        order = list(_WORDS)
        keys = sorted(self._groups, key=lambda key: (order.index(key[0]), key[1]))
        found = [self._problem(code, in_role, self._groups[code, in_role]) for code, in_role in keys]
        found += self.turns.problems()
        for domain in (Domain.SOURCE, Domain.TARGET):
            found += _small_images(self._small[domain], domain, self.crop_hw)
        for domain in (Domain.TARGET, Domain.EVALUATION):
            found += _overlap(self._same[domain], self._num_read[domain], domain)
        return found

    def _problem(self, code: str, in_role: str, found: Sequence[_Fault]) -> Problem:
        _, words, severity = _WORDS[code]
        reasons = {str(fault.path): fault.reason for fault in found}
        first = found[0].path
        example = f"{first.name}: {found[0].reason.removeprefix(str(first)).strip().rstrip('.')}"
        details: dict[str, object] = {"role": in_role, "reasons": reasons}
        message = f"{_files(len(found), in_role)} {words} ({example}). {_REMEDIES.get(code, '')}"
        if code == "label_unknown_values":
            unknown = self.unknown[in_role]
            severity = Severity.ERROR if unknown.share > self.allow_unknown else Severity.WARNING
            details |= {"values": sorted(unknown.shares()), "shares": unknown.shares()}
            message = f"{_files(len(found), in_role)} {words}. {unknown.words()}"
        return Problem(code, severity, message, tuple(fault.path for fault in found), details)


def _files(num: int, in_role: str) -> str:
    """ "1 file of the source labels", "3 files of the target images"."""
    return f"{num} file{'' if num == 1 else 's'} of the {in_role.replace('_', ' ')}:"


def _small_images(
    small: Sequence[tuple[Path, tuple[int, int]]], domain: Domain, crop_hw: tuple[int, int]
) -> list[Problem]:
    if not small:
        return []
    in_role = role(domain, "images")
    heights, widths = zip(*(hw for _, hw in small), strict=True)
    message = (
        f"{_files(len(small), in_role)} smaller than the crop of {crop_hw[1]} × {crop_hw[0]} pixels, down to "
        f"{min(widths)} × {min(heights)}. Lower training.crop_size, or much of each crop is padding."
    )
    details = {"role": in_role, "smallest": [min(heights), min(widths)], "crop": list(crop_hw)}
    paths = tuple(image for image, _ in small)
    return [Problem("image_smaller_than_crop", Severity.WARNING, message, paths, details)]


def _overlap(same: Sequence[tuple[Path, Path]], num_read: int, domain: Domain) -> list[Problem]:
    """The same bytes among the source's images and among the `num_read` of another domain: (source's, other's)."""
    if not same:
        return []
    in_role = role(domain, "images")
    severity = Severity.ERROR if len(same) >= OVERLAP_ERROR_SHARE * num_read else Severity.WARNING
    message = (
        f"{_files(len(same), in_role)} the very same as source images, such as {same[0][1].name} and {same[0][0].name}. "
        "The two cameras' folders must not share images."
    )
    details = {"role": in_role, "pairs": [[str(a), str(b)] for a, b in same]}
    return [Problem("overlap", severity, message, tuple(path for pair in same for path in pair), details)]


def lossy_labels(domain: Domain, paths: tuple[Path, ...], *, is_read: bool) -> Problem:
    """JPEG labels, by their suffix. `is_read`: the label space reads each value as the nearest class."""
    in_role = role(domain, "labels")
    if is_read:
        message = (
            f"{_files(len(paths), in_role)} JPEGs, such as {paths[0].name}; each value is read as the nearest class."
        )
        return Problem("label_lossy", Severity.WARNING, message, paths, {"role": in_role})
    return Problem(
        "label_lossy", Severity.ERROR, f"The {in_role.replace('_', ' ')}: {jpeg_words(paths)}", paths, {"role": in_role}
    )


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
