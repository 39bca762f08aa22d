"""What a run trains on, listed before torch is loaded.

Importable without torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Scan, Severity, scan
from core.dataset.recognise import Recognition, resolve_space
from core.errors import DataMissingError, RunError
from core.labels import LabelSpace, LabelSpaceError


@dataclass(frozen=True)
class Listing:
    """Image pairs by role. Evaluation pairs are those with a label, and are never trained on with it."""

    source: tuple[Pair, ...]
    target: tuple[Pair, ...]
    evaluation: tuple[Pair, ...]
    recognition: Recognition
    warnings: tuple[Problem, ...]
    fingerprint: str  # of the files' names below their folders and of their sizes

    @property
    def space(self) -> LabelSpace:
        return self.recognition.space

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


def list_data(data: DataConfig, *, needs_target: bool = True, label_space: Path | None = None) -> Listing:
    """List the folders of a configuration; nothing is decoded but a few labels, to recognise the classes.

    Args:
        needs_target: a run without adaptation steps does not.
        label_space: a label-space TOML that wins over the configuration's.

    Raises:
        DataMissingError: a folder does not exist.
        RunError: a folder is empty, or the labels cannot be understood.
    """
    if data.source_images is None or data.source_labels is None:
        raise RunError("Choose the source images and the source labels first (data.source_images, data.source_labels).")
    if data.target_images is None and needs_target:
        raise RunError("Choose the target images first (data.target_images).")
    source = _scan("source", data.source_images, data.source_labels)
    target = _scan("target", data.target_images, None) if data.target_images else Scan((), ())
    measured_on = data.evaluation_images or data.target_images
    evaluation = _scan("target", measured_on, data.target_labels).pairs if measured_on and data.target_labels else ()
    labelled = tuple(pair for pair in source.pairs if pair.label is not None)
    if not labelled:
        raise RunError(
            f"None of the {len(source.pairs)} source images in {data.source_images} has a label in {data.source_labels}. "
            "A label has its image's name, with or without a suffix such as _labelIds."
        )
    measured = tuple(pair for pair in evaluation if pair.label is not None)
    labels = [pair.label for pair in labelled if pair.label is not None]
    try:
        name = str(label_space) if label_space else data.label_space
        recognition = resolve_space(name, labels)
    except LabelSpaceError as error:
        raise RunError(str(error)) from error
    roles = (
        ("source", labelled, data.source_images, data.source_labels),
        ("target", target.pairs, data.target_images, None),
        ("evaluation", measured, measured_on, data.target_labels),
    )
    warnings = (*source.problems, *target.problems)
    return Listing(labelled, target.pairs, measured, recognition, warnings, _fingerprint(roles))


def _scan(role: str, images: Path, labels: Path | None) -> Scan:
    found = scan(images, labels)
    if not found.pairs:
        errors = [problem for problem in found.problems if problem.severity is Severity.ERROR]
        kind = DataMissingError if any(problem.code == "folder_missing" for problem in errors) else RunError
        raise kind(errors[0].message if errors else f"There are no {role} images in {images}.")
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
        digest.update(f"{name}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
