"""The dataset report: everything wrong with the data at once, and the statistics, behind `masktwins check`.

Problems by code; errors block training, warnings do not. One problem per code and role holds all its files; `details["role"]`
is the configuration's field: source_images, source_labels, target_images, target_labels, evaluation_images, label_space.

    errors    folder_not_chosen, folder_missing, folder_unreadable, not_a_folder, video_file, no_images, no_labels, no_pairs
              label_space            the classes cannot be recognised, or the label space is unusable
              image_unreadable, label_unreadable   not an image, empty, cut short, damaged, no permission
              size_mismatch          image and label differ in size
              label_encoding         colours where the labels are numbers
              label_unknown_values   ids or colours outside the classes
    warnings  image_without_label, label_without_image, not_an_image, several_labels, duplicate_image   (by name, see folders)
              label_all_ignored      no pixel has a class
              label_lossy            JPEG labels
              class_never_seen       no source label holds it
              image_smaller_than_crop
              nothing_to_measure     evaluation images without target labels
    either    overlap                the same bytes in the source and in the target: an error from OVERLAP_ERROR_SHARE on

Target labels that belong to the target's own images are fine: they are read for measuring alone.

Importable without torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from core.checking import complaints
from core.checking.inspect_pair import Domain, Finding, Tables, inspect
from core.checking.statistics import ClassTally, DomainTally, Statistics, gap
from core.checking.suggest import Suggestion, suggest
from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Scan, Severity, scan
from core.dataset.recognise import Recognition, resolve_space
from core.labels import LabelSpace, LabelSpaceError
from core.loading.prefetch import Prefetcher

Progress = Callable[[int, int], None]
MAX_THREADS = 8  # more do not help: the disk is the limit then


@dataclass(frozen=True)
class Report:
    """What the check found. `complete` is False when it was cancelled: then nothing can be said of the files not read."""

    problems: tuple[Problem, ...]
    space: LabelSpace | None
    recognition: str
    statistics: Statistics
    complete: bool = True
    suggestion: Suggestion | None = None  # of the masks; None without classes

    @property
    def ok(self) -> bool:
        """Whether training may start: all was looked at, and there is no error."""
        return self.complete and not any(problem.severity is Severity.ERROR for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The report in plain JSON types; numbers that do not exist are null."""
        space = self.space and {
            "name": self.space.name,
            "encoding": self.space.encoding.value,
            "classes": list(self.space.classes),
            "palette": [list(colour) for colour in self.space.palette],
        }
        problems = [
            {
                "code": problem.code,
                "severity": problem.severity.value,
                "message": problem.message,
                "count": len(problem.paths),
                "paths": [str(path) for path in problem.paths],
                "details": dict(problem.details),
            }
            for problem in self.problems
        ]
        return _plain(
            {
                "ok": self.ok,
                "complete": self.complete,
                "problems": problems,
                "space": space,
                "recognition": self.recognition,
                "statistics": asdict(self.statistics),
                "suggestion": self.suggestion and asdict(self.suggestion),
            }
        )


@dataclass
class _Folders:
    """The scans by domain, and what is wrong with the choice and the names."""

    scans: dict[Domain, Scan] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def pairs(self) -> list[tuple[Domain, Pair]]:
        return [(domain, pair) for domain, found in self.scans.items() for pair in found.pairs]

    def labels(self, domain: Domain) -> list[Path]:
        return [pair.label for pair in self._of(domain) if pair.label is not None]

    def _of(self, domain: Domain) -> Sequence[Pair]:
        return self.scans[domain].pairs if domain in self.scans else ()


def check(
    data: DataConfig,
    crop_hw: tuple[int, int],
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    threads: int = 0,
) -> Report:
    """Read all images and labels of a configuration once, and report every problem and the statistics.

    Args:
        crop_hw: (height, width) of the training crops in pixels.
        progress: called with (images done, images in all), from the thread that called.
        cancelled: asked before each image; True ends the check with what is known so far.
        threads: threads that read; 0: one per processor, 8 at most. The report does not depend on it.
    """
    folders = _scan_all(data)
    recognition, unusable = _recognise(data, folders.labels(Domain.SOURCE))
    space = recognition.space if recognition else None
    tables = Tables.of(space) if space else None
    totals = _Totals.of(folders, crop_hw)
    pairs = folders.pairs()
    complete = True
    for done, finding in enumerate(_inspect_all(pairs, tables, cancelled, threads), 1):
        if finding is None:
            complete = False
            break
        totals.add(finding)  # and nothing else is kept of it: there may be a hundred thousand
        if progress is not None:
            progress(done, len(pairs))
    problems = folders.problems + unusable + totals.complaints.problems(space)
    if space and complete and totals.classes.pixels.any():
        problems += complaints.of_classes(totals.classes, space)
    return Report(
        problems=_sorted(problems),
        space=space,
        recognition=recognition.explanation if recognition else "",
        statistics=_statistics(totals, space),
        complete=complete,
        suggestion=suggest(folders.labels(Domain.SOURCE), space, crop_hw) if space and complete else None,
    )


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """Errors first; within them the order of the work: folders, names, files."""
    return tuple(sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR))


# Folders -------------------------------------------------------------------------------------------


def _scan_all(data: DataConfig) -> _Folders:
    folders = _Folders()
    for name, title in (
        ("source_images", "source images"),
        ("source_labels", "source labels"),
        ("target_images", "target images"),
    ):
        if getattr(data, name) is None:
            message = f"The {title} are not chosen; choose their folder (data.{name})."
            folders.problems.append(Problem("folder_not_chosen", Severity.ERROR, message, (), {"role": name}))
    own = data.evaluation_images is None or data.evaluation_images == data.target_images
    if data.source_images is not None:
        _add(folders, Domain.SOURCE, data.source_images, data.source_labels)
    if data.target_images is not None:
        _add(folders, Domain.TARGET, data.target_images, data.target_labels if own else None)
    if not own and data.evaluation_images is not None:
        _add(folders, Domain.EVALUATION, data.evaluation_images, data.target_labels)
        if data.target_labels is None:
            message = "There are evaluation images but no target labels, so that nothing can be measured on them."
            role = {"role": "evaluation_images"}
            folders.problems.append(
                Problem("nothing_to_measure", Severity.WARNING, message, (data.evaluation_images,), role)
            )
    return folders


def _add(folders: _Folders, domain: Domain, images: Path, labels: Path | None) -> None:
    found = scan(images, labels)
    folders.scans[domain] = found
    for problem in found.problems:
        if problem.code == "image_without_label" and domain is Domain.TARGET:
            continue  # target labels are optional, for some of the images too
        role = complaints.role(domain, str(problem.details["role"]))
        folders.problems.append(replace(problem, details={**problem.details, "role": role}))
    lossy = tuple(sorted(p.label for p in found.pairs if p.label and p.label.suffix.lower() in (".jpg", ".jpeg")))
    if lossy:
        folders.problems.append(complaints.lossy_labels(domain, lossy))


def _recognise(data: DataConfig, labels: list[Path]) -> tuple[Recognition | None, list[Problem]]:
    """The label space, from the source's labels; without any, a stated one is still loaded."""
    if not labels and data.label_space == "auto":
        return None, []  # the missing labels are a problem already
    try:
        return resolve_space(data.label_space, labels), []
    except LabelSpaceError as error:
        return None, [Problem("label_space", Severity.ERROR, str(error), (), {"role": "label_space"})]


# Files ---------------------------------------------------------------------------------------------


def _inspect_all(
    pairs: Sequence[tuple[Domain, Pair]], tables: Tables | None, cancelled: Callable[[], bool] | None, threads: int
) -> Iterator[Finding | None]:
    """Yield the findings in the order of the pairs, and None when cancelled."""
    threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
    with Prefetcher(lambda pair: inspect(*pair, tables), pairs, threads, ahead=4 * threads) as findings:
        for finding in findings:
            if cancelled is not None and cancelled():
                yield None
                return
            yield finding


# Statistics ----------------------------------------------------------------------------------------


@dataclass
class _Totals:
    """What remains of the findings."""

    tallies: dict[Domain, DomainTally]
    classes: ClassTally
    complaints: complaints.Complaints

    @staticmethod
    def of(folders: _Folders, crop_hw: tuple[int, int]) -> _Totals:
        tallies = {
            domain: DomainTally(len(found.pairs), len(folders.labels(domain)))
            for domain, found in folders.scans.items()
        }
        return _Totals(tallies, ClassTally(), complaints.Complaints(crop_hw))

    def add(self, finding: Finding) -> None:
        self.complaints.add(finding)
        if finding.measure is not None:
            self.tallies[finding.domain].add(finding.measure)
        if finding.counts is not None and finding.domain is Domain.SOURCE:
            self.classes.add(finding.counts)


def _statistics(totals: _Totals, space: LabelSpace | None) -> Statistics:
    domains = {domain.value: tally.result() for domain, tally in totals.tallies.items()}
    classes = totals.classes
    both = "source" in domains and "target" in domains
    return Statistics(
        domains=domains,
        gap=gap(domains["source"], domains["target"]) if both else None,
        class_shares=classes.shares(space) if space else {},
        class_images=classes.occurrences(space) if space else {},
        ignored_share=classes.ignored_share,
    )


def _plain(value: Any) -> Any:
    """Copy nested data with strings for keys, lists for tuples, null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
