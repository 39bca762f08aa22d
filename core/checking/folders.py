"""List the folders of a configuration for the check, and say what is wrong with the choice and the names.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.checking import complaints
from core.checking.inspect_pair import Domain
from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Scan, Severity, scan


@dataclass
class Folders:
    """The scans by domain, and what is wrong with the choice and the names."""

    scans: dict[Domain, Scan] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def pairs(self) -> list[tuple[Domain, Pair]]:
        return [(domain, pair) for domain, found in self.scans.items() for pair in found.pairs]

    def labels(self, domain: Domain) -> list[Path]:
        return [pair.label for pair in self._of(domain) if pair.label is not None]

    def target_labels(self) -> list[Path]:
        """Labels of the target's own images, or of the evaluation images."""
        return [*self.labels(Domain.TARGET), *self.labels(Domain.EVALUATION)]

    def _of(self, domain: Domain) -> Sequence[Pair]:
        return self.scans[domain].pairs if domain in self.scans else ()


def scan_all(data: DataConfig) -> Folders:
    """List the folders by domain. Never raises on bad data."""
    folders = Folders()
    for name, title in (
        ("source_images", "source images"),
        ("source_labels", "source labels"),
        ("target_images", "target images"),
    ):
        if getattr(data, name) is None:
            message = f"The {title} are not chosen; choose their folder (data.{name})."
            folders.problems.append(Problem("folder_not_chosen", Severity.ERROR, message, (), {"role": name}))
    own = data.evaluation_images is None or data.evaluation_images == data.target_images
    pairing = data.target_pairing or data.pairing
    if data.source_images is not None:
        found = scan(data.source_images, data.source_labels, pairing=data.pairing, files=data.source_files)
        _add(folders, Domain.SOURCE, found)
    if data.target_images is not None:
        labels = data.target_labels if own else None
        _add(folders, Domain.TARGET, scan(data.target_images, labels, pairing=pairing, files=data.target_files))
    if not own and data.evaluation_images is not None:
        found = scan(data.evaluation_images, data.target_labels, pairing=pairing, files=data.evaluation_files)
        _add(folders, Domain.EVALUATION, found)
        if data.target_labels is None:
            message = "There are evaluation images but no target labels, so that nothing can be measured on them."
            role = {"role": "evaluation_images"}
            folders.problems.append(
                Problem("nothing_to_measure", Severity.WARNING, message, (data.evaluation_images,), role)
            )
    return folders


def _add(folders: Folders, domain: Domain, found: Scan) -> None:
    folders.scans[domain] = found
    for problem in found.problems:
        if problem.code == "image_without_label" and domain is Domain.TARGET:
            continue  # target labels are optional, for some of the images too
        role = complaints.role(domain, str(problem.details["role"]))
        folders.problems.append(replace(problem, details={**problem.details, "role": role}))


def lossy(folders: Folders, domain: Domain) -> tuple[Path, ...]:
    """JPEGs among the labels, by their suffix."""
    return tuple(sorted(path for path in folders.labels(domain) if path.suffix.lower() in (".jpg", ".jpeg")))
