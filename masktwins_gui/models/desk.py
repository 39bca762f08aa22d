"""What is known of models A and B on the images of the compare desk: facts by image, their sums, and the order of a list."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.dataset.folders import Pair
from core.evaluation.boundary import boundary_iou
from core.evaluation.compare import Outcome, Ranked, Totals, outcomes, total
from core.evaluation.scores import mean_of_known, scores_of
from core.events import Scores
from masktwins_gui.models.services import Classes, ImageFacts


class Table(StrEnum):
    """Which pixels a matrix counts, by two classes."""

    CHANGES = "changes"  # A's class, B's class
    CONFUSION_A = "confusion_a"  # the label, A's class
    CONFUSION_B = "confusion_b"
    DIFFERENCE = "difference"  # B's confusion minus A's


class Order(StrEnum):
    """What the list of images is sorted by."""

    NAME = "name"
    CHANGE = "change"
    DISAGREEMENT = "disagreement"
    CONFIDENCE = "confidence"
    ENTROPY = "entropy"
    GAIN = "gain"


@dataclass(frozen=True)
class Cell:
    """One cell of a matrix."""

    table: Table
    row: int
    column: int


class DeskModel(QObject):
    """Facts of one pair of models. GUI thread only."""

    changed = Signal()  # facts were added, or all are gone

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.facts: dict[Path, ImageFacts] = {}
        self.classes = Classes()

    def clear(self) -> None:
        """Forget everything: it was about another pair of models."""
        self.facts.clear()
        self.changed.emit()

    def add(self, facts: Iterable[ImageFacts], *, quietly: bool = False) -> None:
        """Keep facts; the newest of an image counts. `quietly`: more follow at once."""
        self.facts.update((fact.image, fact) for fact in facts)
        if not quietly:
            self.changed.emit()

    def set_classes(self, classes: Classes) -> None:
        self.classes = classes

    def totals(self, pairs: Sequence[Pair] | None = None) -> Totals:
        """Sum over the images of a list, or over all that are known."""
        chosen = self.facts.values() if pairs is None else [f for p in pairs if (f := self.facts.get(p.image))]
        return total((fact.comparison for fact in chosen), len(self.classes.names))

    def value(self, pair: Pair, order: Order) -> float | None:
        """What an image is sorted by, 0..1; None where it is not known."""
        fact = self.facts.get(pair.image)
        return None if fact is None or order is Order.NAME else getattr(fact.comparison, order.value)

    def pixels(self, pair: Pair, cell: Cell) -> int:
        """Pixels of an image in a cell."""
        fact = self.facts.get(pair.image)
        if fact is None:
            return 0
        found, size = fact.comparison, len(self.classes.names)
        a, b = found.confusion_a, found.confusion_b
        match cell.table:
            case Table.CHANGES:
                return found.changes.cell(cell.row, cell.column, size)
            case Table.CONFUSION_A:
                return a.cell(cell.row, cell.column, size) if a else 0
            case Table.CONFUSION_B:
                return b.cell(cell.row, cell.column, size) if b else 0
            case Table.DIFFERENCE:
                return abs(b.cell(cell.row, cell.column, size) - a.cell(cell.row, cell.column, size)) if a and b else 0

    def sorted(self, pairs: Sequence[Pair], order: Order, cell: Cell | None = None) -> list[Pair]:
        """Sort images: by name upwards; confidence and gain upwards, as the worst are looked for; all else downwards.

        With a cell only the images with pixels in it, those with most of them first. Images without facts come last.
        """
        by_name = sorted(pairs, key=lambda pair: pair.name)
        if cell is not None:
            counts = {pair.image: self.pixels(pair, cell) for pair in by_name}
            return sorted((p for p in by_name if counts[p.image]), key=lambda p: -counts[p.image])
        if order is Order.NAME:
            return by_name
        sign = 1 if order in (Order.CONFIDENCE, Order.GAIN) else -1

        def rank(pair: Pair) -> float:
            value = self.value(pair, order)
            return math.inf if value is None else sign * value

        return sorted(by_name, key=rank)


def change_and_confidence(desk: DeskModel, pairs: Sequence[Pair]) -> tuple[list[Pair], np.ndarray]:
    """The images whose change and confidence are known, and both as positions (N, 2), 0..1."""
    found = [(p, desk.value(p, Order.CHANGE), desk.value(p, Order.CONFIDENCE)) for p in pairs]
    known = [(pair, change, sure) for pair, change, sure in found if change is not None and sure is not None]
    return [pair for pair, _, _ in known], np.array([point[1:] for point in known], float).reshape(-1, 2)


def with_features(desk: DeskModel, pairs: Sequence[Pair]) -> tuple[list[Pair], list[np.ndarray], list[np.ndarray]]:
    """The images whose features are known by both encoders, and these."""
    known: list[Pair] = []
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for pair in pairs:
        fact = desk.facts.get(pair.image)
        found = fact.comparison if fact else None
        if found and found.features_a is not None and found.features_b is not None:
            known.append(pair)
            first.append(found.features_a)
            second.append(found.features_b)
    return known, first, second


def matrix_of(totals: Totals, table: Table) -> np.ndarray:
    """The (C, C) int64 matrix of a table."""
    match table:
        case Table.CHANGES:
            return totals.changes
        case Table.CONFUSION_A:
            return totals.confusion_a
        case Table.CONFUSION_B:
            return totals.confusion_b
        case Table.DIFFERENCE:
            return totals.confusion_b - totals.confusion_a


def iou_scores(totals: Totals, names: Sequence[str]) -> tuple[Scores, Scores]:
    """Scores of A and of B against the labels."""
    return scores_of(totals.confusion_a, names), scores_of(totals.confusion_b, names)


def boundary_scores(totals: Totals, names: Sequence[str]) -> tuple[Scores, Scores]:
    """Boundary IoU of A and of B in place of the IoU; the pixel accuracy is not known."""
    first, second = ((100 * boundary_iou(counts)).tolist() for counts in (totals.boundary_a, totals.boundary_b))
    return _scores(first, names), _scores(second, names)


def _scores(values: list[float], names: Sequence[str]) -> Scores:
    return Scores(mean_of_known(values), math.nan, dict(zip(names, values, strict=True)), ())


def as_csv(totals: Totals, names: Sequence[str]) -> str:
    """Figures by class with their difference, in percent, where there are labels; then every matrix, in pixels."""
    out = io.StringIO()
    writer = csv.writer(out)
    tables = [Table.CHANGES]
    if totals.labelled:
        tables = list(Table)
        sides = (*iou_scores(totals, names), *boundary_scores(totals, names))
        figures = ("iou_a", "iou_b", "iou_difference", "boundary_iou_a", "boundary_iou_b", "boundary_iou_difference")
        writer.writerow(["class", *figures])
        writer.writerows([name, *_figures([side.per_class[name] for side in sides])] for name in names)
        writer.writerow(["mean", *_figures([side.miou for side in sides])])
        writer.writerow([])
    for table in tables:
        writer.writerow([table.value, *names])
        rows = matrix_of(totals, table).tolist()
        writer.writerows([name, *row] for name, row in zip(names, rows, strict=True))
        writer.writerow([])
    return out.getvalue()


def _figures(values: list[float]) -> list[str]:
    """A, B and B − A of two metrics; empty where one is not known."""
    a, b, edge_a, edge_b = values
    cells = (a, b, b - a, edge_a, edge_b, edge_b - edge_a)
    return ["" if math.isnan(value) else f"{value:.4f}" for value in cells]


def mask_of(cell: Cell, first: Ranked, second: Ranked, label: np.ndarray | None) -> np.ndarray | None:
    """The pixels of an image (H, W) bool that a cell counts; None where that needs a label and there is none."""
    a, b = first.ids, second.ids
    if cell.table is Table.CHANGES:
        return (a == cell.row) & (b == cell.column)
    if label is None or label.shape != a.shape:
        return None
    in_a, in_b = (label == cell.row) & (a == cell.column), (label == cell.row) & (b == cell.column)
    match cell.table:
        case Table.CONFUSION_A:
            return in_a
        case Table.CONFUSION_B:
            return in_b
    return in_a ^ in_b


def outcome_masks(first: Ranked, second: Ranked, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (H, W) bool that B fixed, that it broke, and that both have wrong."""
    found = outcomes(first.ids, second.ids, label)
    return found == Outcome.FIXED, found == Outcome.BROKEN, found == Outcome.BOTH_WRONG
