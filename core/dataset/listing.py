"""What a run trains on, listed before torch is loaded.

Importable without torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Scan, Severity, scan
from core.dataset.pages import file_of
from core.dataset.recognise import Recognition
from core.dataset.spaces import Spaces, resolve_spaces
from core.dataset.unknown import jpeg_words, words
from core.errors import DataMissingError, RunError
from core.labels import LabelSpace, LabelSpaceError


@dataclass(frozen=True)
class Listing:
    """Image pairs by role. Evaluation pairs are those with a label, and are never trained on with it."""

    source: tuple[Pair, ...]
    target: tuple[Pair, ...]
    evaluation: tuple[Pair, ...]
    recognition: Recognition  # of the source labels
    target_recognition: Recognition  # of the target labels: the same classes
    warnings: tuple[Problem, ...]
    pairing: str  # how the source's names were understood, in words
    fingerprint: str  # of the files' names below their folders and of their sizes

    @property
    def space(self) -> LabelSpace:
        """How the source labels are read: the model's classes."""
        return self.recognition.space

    @property
    def target_space(self) -> LabelSpace:
        """How the target labels are read: the same classes."""
        return self.target_recognition.space

    def matches(self, stored: str, was_at: Callable[[Path], Path] = lambda path: path) -> bool:
        """Whether a fingerprint that was stored earlier is of these files.

        Args:
            stored: the present kind, or the first one, which was over absolute paths; "" says nothing and matches.
            was_at: where a file lay when the first kind was made, if it has moved since.
        """
        if stored in ("", self.fingerprint):
            return True
        roles = (self.source, self.target, self.evaluation)
        files = [path for pairs in roles for pair in pairs for path in (pair.image, pair.label) if path is not None]
        return stored == _hash((str(was_at(path)), path) for path in files)


def list_data(
    data: DataConfig,
    *,
    needs_target: bool = True,
    label_space: Path | None = None,
    target_label_space: Path | None = None,
) -> Listing:
    """List the folders of a configuration; nothing is decoded but a few labels, to recognise the classes.

    Args:
        needs_target: a run without adaptation steps does not.
        label_space: the label space of an existing run, which wins over the configuration's. Labels that do not fit it are
            warned of, where a new run is refused.
        target_label_space: the same for the target labels.

    Raises:
        DataMissingError: a folder does not exist.
        RunError: a folder is empty, or the labels cannot be understood.
    """
    if data.source_images is None or data.source_labels is None:
        raise RunError("Choose the source images and the source labels first (data.source_images, data.source_labels).")
    if data.target_images is None and needs_target:
        raise RunError("Choose the target images first (data.target_images).")
    scans = scan_roles(data)
    source, target = _usable(scans, "source", data.source_images), Scan((), ())
    if data.target_images is not None:
        target = _usable(scans, "target", data.target_images)
    measured_on = data.evaluation_images or data.target_images
    evaluation: tuple[Pair, ...] = ()
    if measured_on is not None and data.target_labels is not None:
        evaluation = _usable(scans, "evaluation", measured_on).pairs
    labelled = tuple(pair for pair in source.pairs if pair.label is not None)
    if not labelled:
        errors = [problem.message for problem in source.problems if problem.severity is Severity.ERROR]
        raise RunError(
            errors[0]
            if errors
            else f"None of the {len(source.pairs)} source images in {data.source_images} has a label in {data.source_labels}. "
            "A label has its image's name, with or without a suffix such as _labelIds."
        )
    measured = tuple(pair for pair in evaluation if pair.label is not None)
    try:
        spaces = resolve_spaces(data, labels_of(labelled), labels_of(measured), label_space, target_label_space)
    except LabelSpaceError as error:
        raise RunError(str(error)) from error
    doubts = _doubts(data, spaces, labelled, measured, refuse=label_space is None)
    roles = (
        ("source", labelled, data.source_images, data.source_labels),
        ("target", target.pairs, data.target_images, None),
        ("evaluation", measured, measured_on, data.target_labels),
    )
    warnings = (*source.problems, *target.problems, *doubts)
    return Listing(
        labelled, target.pairs, measured, spaces.source, spaces.target, warnings, source.pairing, _fingerprint(roles)
    )


def scan_roles(data: DataConfig) -> dict[str, Scan]:
    """List the folders that are chosen, by role: source, target and evaluation. Never raises on bad data."""
    scans: dict[str, Scan] = {}
    if data.source_images is not None:
        scans["source"] = scan(data.source_images, data.source_labels, pairing=data.pairing, files=data.source_files)
    if data.target_images is not None:
        scans["target"] = scan(data.target_images, files=data.target_files)
    images = data.evaluation_images or data.target_images
    if images is not None and data.target_labels is not None:
        files = data.evaluation_files or (data.target_files if data.evaluation_images is None else "")
        pairing = data.target_pairing or data.pairing
        scans["evaluation"] = scan(images, data.target_labels, pairing=pairing, files=files)
    return scans


def labels_of(pairs: Iterable[Pair]) -> list[Path]:
    """The labels there are."""
    return [pair.label for pair in pairs if pair.label is not None]


def _usable(scans: Mapping[str, Scan], role: str, images: Path) -> Scan:
    found = scans[role]
    if not found.pairs:
        errors = [problem for problem in found.problems if problem.severity is Severity.ERROR]
        kind = DataMissingError if any(problem.code == "folder_missing" for problem in errors) else RunError
        raise kind(errors[0].message if errors else f"There are no {role} images in {images}.")
    return found


def _doubts(
    data: DataConfig, spaces: Spaces, source: Sequence[Pair], target: Sequence[Pair], *, refuse: bool
) -> list[Problem]:
    """Unknown values and JPEGs among the labels: warnings, or a RunError where they are to be refused."""
    found: list[Problem] = []
    for role, recognition, pairs in (("source", spaces.source, source), ("target", spaces.target, target)):
        jpegs = [path for path in labels_of(pairs) if path.suffix.lower() in (".jpg", ".jpeg")]
        text = ""
        is_error = False
        if recognition.unknown:
            text, is_error = words(recognition.unknown), recognition.unknown_share > data.allow_unknown
            text += " To train all the same, raise data.allow_unknown." if is_error else ""
        if jpegs and not recognition.space.radius:
            text, is_error = jpeg_words(jpegs), True
        if is_error and refuse:
            raise RunError(f"The {role} labels: {text}")
        if text:
            found.append(Problem("label_values", Severity.WARNING, f"The {role} labels: {text}", tuple(jpegs)))
    return found


def _fingerprint(roles: Iterable[tuple[str, Sequence[Pair], Path | None, Path | None]]) -> str:
    """Hash a listing: role, path below the role's folder, and size of each file; no contents, for speed."""

    def entries() -> Iterator[tuple[str, Path]]:
        for role, pairs, images, labels in roles:
            for pair in pairs:
                yield f"{role}/images/{_below(pair.image, images)}", pair.image
                if pair.label is not None:
                    yield f"{role}/labels/{_below(pair.label, labels)}", pair.label

    return _hash(entries())


def _below(path: Path, folder: Path | None) -> str:
    """The path below the folder, with slashes; string work, since 100,000 files shall take a second."""
    return str(path)[len(str(folder)) :].replace(os.sep, "/").lstrip("/")


def _hash(entries: Iterable[tuple[str, Path]]) -> str:
    """Short hash of (name, file): names and sizes."""
    digest = hashlib.sha256()
    for name, path in entries:
        digest.update(f"{name}\0{file_of(path).stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
