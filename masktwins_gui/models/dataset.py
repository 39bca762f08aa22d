"""What the project's folders hold, as scanned and checked; shared by the pages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.checking.suggest import Suggestion
from core.configuration.sections import DataConfig
from core.dataset.folders import Pair, Problem
from core.dataset.listing import labels_of, scan_roles
from core.dataset.spaces import resolve_spaces
from core.labels import LabelSpace, LabelSpaceError
from masktwins_gui.models.label_document import LabelDocument

log = logging.getLogger(__name__)


def listed_from(data: DataConfig) -> tuple[Any, ...]:
    """What the listing and the check depend on; the other settings of [data] say how crops are drawn."""
    return (
        data.source_images, data.source_labels, data.target_images, data.target_labels, data.evaluation_images,
        data.label_space, data.source_label_space, data.target_label_space, data.pairing, data.target_pairing,
        data.source_files, data.target_files, data.evaluation_files, data.allow_unknown,
    )  # fmt: skip


@dataclass(frozen=True)
class Holdings:
    """Pairs by role, found without decoding images; the label space where the labels could be understood."""

    pairs: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)  # source, target, evaluation
    problems: tuple[Problem, ...] = ()
    space: LabelSpace | None = None  # of the source labels
    recognition: str = ""
    target_space: LabelSpace | None = None  # how the target labels are read: the same classes
    missing: frozenset[Path] = frozenset()  # folders that are chosen and do not exist
    document: LabelDocument | None = None  # the space as it is edited


def take_stock(data: DataConfig) -> Holdings:
    """List the folders and recognise the label space. Never raises on bad data."""
    pairs: dict[str, tuple[Pair, ...]] = {}
    problems: list[Problem] = []
    for role, found in scan_roles(data).items():
        pairs[role] = tuple(p for p in found.pairs if role != "evaluation" or p.label is not None)
        problems += found.problems
    space, target_space, recognition = None, None, ""
    if labels := labels_of(pairs.get("source", ())):
        try:
            spaces = resolve_spaces(data, labels, labels_of(pairs.get("evaluation", ())))
            space, target_space, recognition = spaces.source.space, spaces.target.space, spaces.source.explanation
        except LabelSpaceError as error:
            recognition = str(error)
    chosen = (data.source_images, data.source_labels, data.target_images, data.target_labels, data.evaluation_images)
    missing = frozenset(folder for folder in chosen if folder is not None and not folder.is_dir())
    document = None if space is None else _document(data, space)
    return Holdings(pairs, tuple(problems), space, recognition, target_space, missing, document)


def space_setting(data: DataConfig) -> str:
    """The setting that says how the source labels are read."""
    return "data.source_label_space" if data.source_label_space else "data.label_space"


def _document(data: DataConfig, space: LabelSpace) -> LabelDocument:
    """The label space's own file, where merged classes keep their rows, or one made from the space."""
    stated = data.source_label_space or data.label_space
    if stated.endswith(".toml"):
        try:
            return LabelDocument.read(Path(stated))
        except (OSError, ValueError) as error:
            log.info("%s is edited without its merged classes: %s", stated, error)
    return LabelDocument.of(space)


class DatasetModel(QObject):
    """The newest Holdings and the newest report of the check."""

    changed = Signal()  # the folders have been listed
    checked = Signal()
    device_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.holdings = Holdings()
        self.report: Any = None  # core.checking.check.Report of these very folders, or None
        self.num_errors = 0
        self.device = ""  # what this computer trains on, such as "cuda"; empty until it is known
        self.suggestions: dict[tuple[int, int], Suggestion] = {}  # of the masks, by (height, width) of the crops

    def set_holdings(self, holdings: Holdings) -> None:
        self.holdings, self.report, self.num_errors = holdings, None, 0
        self.suggestions.clear()
        self.changed.emit()

    def set_report(self, report: Any, crop_hw: tuple[int, int]) -> None:
        """`crop_hw`: the crops that the check was made for."""
        self.report = report
        if report.suggestion is not None:
            self.suggestions[crop_hw] = report.suggestion
        self.num_errors = sum(problem.severity == "error" for problem in report.problems)
        self.checked.emit()

    def set_device(self, device: str) -> None:
        self.device = device
        self.device_changed.emit()

    def pairs(self, role: str) -> tuple[Pair, ...]:
        return tuple(self.holdings.pairs.get(role, ()))

    @property
    def to_look_at(self) -> tuple[Pair, ...]:
        """Target images for the eyes: the labelled ones where there are any."""
        return self.pairs("evaluation") or self.pairs("target")

    @property
    def complete(self) -> bool:
        """Labelled source images and target images are there."""
        return any(pair.label for pair in self.pairs("source")) and bool(self.pairs("target"))
