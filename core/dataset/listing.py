"""What a run trains on, listed before torch is loaded; and the making of its folder.

Importable without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Scan, Severity, scan
from core.dataset.recognise import Recognition, resolve_space
from core.errors import RunError
from core.labels import LabelSpace, LabelSpaceError


@dataclass(frozen=True)
class Listing:
    """Image pairs by role. Evaluation pairs are those with a label, and are never trained on with it."""

    source: tuple[Pair, ...]
    target: tuple[Pair, ...]
    evaluation: tuple[Pair, ...]
    recognition: Recognition
    warnings: tuple[Problem, ...]
    fingerprint: str

    @property
    def space(self) -> LabelSpace:
        return self.recognition.space


def list_data(data: DataConfig, *, needs_target: bool = True, label_space: Path | None = None) -> Listing:
    """List the folders of a configuration; nothing is decoded but a few labels, to recognise the classes.

    Args:
        needs_target: a run without adaptation steps does not.
        label_space: a label-space TOML that wins over the configuration's.

    Raises:
        RunError: a folder is missing or empty, or the labels cannot be understood.
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
    files = [*_files(labelled), *_files(target.pairs), *_files(measured)]
    return Listing(
        labelled, target.pairs, measured, recognition, (*source.problems, *target.problems), fingerprint(files)
    )


def _scan(role: str, images: Path, labels: Path | None) -> Scan:
    found = scan(images, labels)
    if not found.pairs:
        errors = [problem.message for problem in found.problems if problem.severity is Severity.ERROR]
        raise RunError(errors[0] if errors else f"There are no {role} images in {images}.")
    return found


def _files(pairs: Sequence[Pair]) -> list[Path]:
    return [path for pair in pairs for path in (pair.image, pair.label) if path is not None]


def fingerprint(paths: Iterable[Path], root: Callable[[Path], str] = str) -> str:
    """Short hash of a listing: names and sizes, no contents, so that 100,000 files take a second."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{root(path)}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
