"""The dataset report: everything wrong with the data at once, and the statistics, behind `masktwins check`.

Problems by code; errors block training, warnings do not. One problem per code and role holds all its files; `details["role"]`
is the configuration's field: source_images, source_labels, target_images, target_labels, evaluation_images, label_space.

    errors    folder_not_chosen, folder_missing, folder_unreadable, not_a_folder, video_file, no_images, no_labels, no_pairs
              label_space            the classes cannot be recognised, or the label space is unusable
              image_unreadable, label_unreadable   not an image, empty, cut short, damaged, no permission
              size_mismatch          image and label differ in size
              label_encoding         colours where the labels are numbers
              label_lossy            JPEG labels; a warning where the label space reads them by the nearest class
              label_orientation      labels drawn on unturned images; a warning where they are turned otherwise
              one_hot_labels, pairing_ambiguous, pairing_unusable, stack_mismatch, list_unreadable, nothing_chosen
    warnings  image_without_label, label_without_image, not_an_image, several_labels, duplicate_image   (by name, see folders)
              label_all_ignored      no pixel has a class
              label_inverted         two classes that are probably exchanged between the cameras
              class_never_seen       no source label holds it
              image_smaller_than_crop
              nothing_to_measure     evaluation images without target labels
    either    label_unknown_values   ids or colours outside the classes: an error above data.allow_unknown
              list_without_file      entries of a list that name no image: an error where none does
              overlap                the same bytes in the source and in the target: an error from OVERLAP_ERROR_SHARE on

Target labels that belong to the target's own images are fine: they are read for measuring alone.

Importable without torch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.checking import complaints
from core.checking.folders import Folders, lossy, scan_all
from core.checking.inspect_pair import Domain, Finding, inspect
from core.checking.orientation import NUM_LOOKED_AT
from core.checking.polarity import inverted
from core.checking.report import Report
from core.checking.statistics import ClassTally, DomainTally, Statistics, gap
from core.checking.suggest import suggest
from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem, Severity
from core.dataset.spaces import Spaces, resolve_spaces
from core.dataset.unknown import UnknownValues
from core.labels import LabelSpace, LabelSpaceError
from core.loading.prefetch import Prefetcher

Progress = Callable[[int, int], None]
MAX_THREADS = 8  # more do not help: the disk is the limit then


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
    folders = scan_all(data)
    spaces, unusable = _recognise(data, folders)
    space = spaces.source.space if spaces else None
    totals = _Totals.of(folders, crop_hw, data.allow_unknown, spaces)
    pairs = folders.pairs()
    complete = True
    for done, finding in enumerate(_inspect_all(_Work.of(pairs, spaces), cancelled, threads), 1):
        if finding is None:
            complete = False
            break
        totals.add(finding)  # and nothing else is kept of it: there may be a hundred thousand
        if progress is not None:
            progress(done, len(pairs))
    problems = folders.problems + _lossy(folders, spaces) + unusable + totals.complaints.problems()
    statistics = _statistics(totals, space)
    if space and complete and totals.classes.pixels.any():
        problems += complaints.of_classes(totals.classes, space)
        exchanged = inverted(statistics.class_shares, statistics.target_class_shares, space)
        problems += [exchanged] if exchanged else []
    has_target = bool(folders.target_labels())
    return Report(
        problems=_sorted(problems),
        space=space,
        recognition=spaces.source.explanation if spaces else "",
        statistics=statistics,
        complete=complete,
        suggestion=suggest(folders.labels(Domain.SOURCE), space, crop_hw) if space and complete else None,
        target_space=spaces.target.space if spaces and has_target else None,
        target_recognition=spaces.target.explanation if spaces and has_target else "",
        pairing={domain.value: found.pairing for domain, found in folders.scans.items() if found.pairing},
    )


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """Errors first; within them the order of the work: folders, names, files."""
    return tuple(sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR))


def _recognise(data: DataConfig, folders: Folders) -> tuple[Spaces | None, list[Problem]]:
    """The label spaces; without any source label, a stated one is still loaded."""
    labels = folders.labels(Domain.SOURCE)
    if not labels and (data.source_label_space or data.label_space) == "auto":
        return None, []  # the missing labels are a problem already
    try:
        return resolve_spaces(data, labels, folders.target_labels()), []
    except LabelSpaceError as error:
        return None, [Problem("label_space", Severity.ERROR, str(error), (), {"role": "label_space"})]


def _lossy(folders: Folders, spaces: Spaces | None) -> list[Problem]:
    """JPEGs among the labels."""
    return [
        complaints.lossy_labels(domain, found, is_read=bool(spaces and _space(spaces, domain).radius))
        for domain in Domain
        if (found := lossy(folders, domain))
    ]


def _space(spaces: Spaces, domain: Domain) -> LabelSpace:
    return (spaces.source if domain is Domain.SOURCE else spaces.target).space


# Files ---------------------------------------------------------------------------------------------


class _Work(NamedTuple):
    """One pair to look at."""

    domain: Domain
    pair: Pair
    space: LabelSpace | None
    compare_turns: bool

    @staticmethod
    def of(pairs: Sequence[tuple[Domain, Pair]], spaces: Spaces | None) -> Iterator[_Work]:
        """All pairs; of each domain's, some are evenly chosen whose label is compared with its image."""
        labelled = Counter(domain for domain, pair in pairs if pair.label is not None)
        every = {domain: max(1, num // NUM_LOOKED_AT) for domain, num in labelled.items()}
        seen: Counter[Domain] = Counter()
        for domain, pair in pairs:
            space = _space(spaces, domain) if spaces else None
            is_compared = pair.label is not None and seen[domain] % every[domain] == 0
            seen[domain] += pair.label is not None
            yield _Work(domain, pair, space, is_compared)


def _inspect_all(work: Iterator[_Work], cancelled: Callable[[], bool] | None, threads: int) -> Iterator[Finding | None]:
    """Yield the findings in the order of the pairs, and None when cancelled."""
    threads = threads or min(MAX_THREADS, os.cpu_count() or 1)

    def look(one: _Work) -> Finding:
        return inspect(one.domain, one.pair, one.space, compare_turns=one.compare_turns)

    with Prefetcher(look, work, threads, ahead=4 * threads) as findings:
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
    complaints: complaints.Complaints
    classes: ClassTally = field(default_factory=ClassTally)
    target_classes: ClassTally = field(default_factory=ClassTally)

    @staticmethod
    def of(folders: Folders, crop_hw: tuple[int, int], allow_unknown: float, spaces: Spaces | None) -> _Totals:
        tallies = {
            domain: DomainTally(len(found.pairs), len(folders.labels(domain)))
            for domain, found in folders.scans.items()
        }
        unknown = {}
        if spaces:
            unknown = {
                "source_labels": UnknownValues(spaces.source.space),
                "target_labels": UnknownValues(spaces.target.space),
            }
            for space in (spaces.source.space, spaces.target.space):
                _ = space.table  # cached here, before several threads ask for it at once
        return _Totals(tallies, complaints.Complaints(crop_hw, allow_unknown, unknown))

    def add(self, finding: Finding) -> None:
        self.complaints.add(finding)
        if finding.measure is not None:
            self.tallies[finding.domain].add(finding.measure)
        if finding.counts is not None:
            (self.classes if finding.domain is Domain.SOURCE else self.target_classes).add(finding.counts)


def _statistics(totals: _Totals, space: LabelSpace | None) -> Statistics:
    domains = {domain.value: tally.result() for domain, tally in totals.tallies.items()}
    classes = totals.classes
    both = "source" in domains and "target" in domains
    has_target = bool(totals.target_classes.pixels.any())
    return Statistics(
        domains=domains,
        gap=gap(domains["source"], domains["target"]) if both else None,
        class_shares=classes.shares(space) if space else {},
        class_images=classes.occurrences(space) if space else {},
        target_class_shares=totals.target_classes.shares(space) if has_target and space else {},
        target_class_images=totals.target_classes.occurrences(space) if has_target and space else {},
        ignored_share=classes.ignored_share,
    )
