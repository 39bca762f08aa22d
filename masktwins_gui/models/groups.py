"""Images of the compare desk in groups, with the figures of each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from core.dataset.folders import Pair
from masktwins_gui import theme
from masktwins_gui.models.desk import DeskModel, iou_scores
from masktwins_gui.models.tables import NUMBER, TableModel

DARK, DUSK = 0.25, 0.4  # mean brightness below which an image is dark, and below which it is dim


class GroupBy(StrEnum):
    BRIGHTNESS = "brightness"
    FOLDER = "folder"


@dataclass(frozen=True)
class Group:
    """Images that belong together. Figures in percent, NaN where they are not known."""

    name: str
    images: frozenset[Path]
    change: float
    miou_a: float
    miou_b: float


class GroupsModel(TableModel[Group]):
    """One row per group: name, number of images, change, mean IoU of A and of B, and the difference."""

    def show(self, desk: DeskModel, pairs: Sequence[Pair], by: GroupBy) -> None:
        """Group the images of a list; images without facts belong to no brightness."""
        members: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            if (name := self._name(desk, pair, by)) is not None:
                members[name].append(pair)
        order = [self.tr("dark"), self.tr("dusk"), self.tr("day")] if by is GroupBy.BRIGHTNESS else sorted(members)
        self.set_rows([_group(desk, name, members[name]) for name in order if name in members])

    def _name(self, desk: DeskModel, pair: Pair, by: GroupBy) -> str | None:
        if by is GroupBy.FOLDER:
            return pair.name.rpartition("/")[0] or "."
        fact = desk.facts.get(pair.image)
        if fact is None:
            return None
        if fact.brightness < DARK:
            return self.tr("dark")
        return self.tr("dusk") if fact.brightness < DUSK else self.tr("day")

    def headers(self) -> Sequence[str]:
        return "", "n", self.tr("Change"), "A", "B", "B − A"

    def cell(self, row: Group, column: int, role: int) -> Any:
        gain = row.miou_b - row.miou_a
        match role:
            case Qt.ItemDataRole.DisplayRole:
                figures = (_figure(row.change), _figure(row.miou_a), _figure(row.miou_b), _figure(gain, sign=True))
                return (row.name, len(row.images), *figures)[column]
            case Qt.ItemDataRole.ForegroundRole if column == 5 and abs(gain) >= 0.05:
                return QColor(theme.colours().good if gain > 0 else theme.colours().bad)
            case Qt.ItemDataRole.TextAlignmentRole if column:
                return NUMBER
        return None


def _group(desk: DeskModel, name: str, pairs: Sequence[Pair]) -> Group:
    totals = desk.totals(pairs)
    pixels = totals.changes.sum()
    change = 100 * (1 - np.trace(totals.changes) / pixels) if pixels else math.nan
    a, b = iou_scores(totals, desk.classes.names) if totals.labelled else (None, None)
    miou_a, miou_b = (math.nan, math.nan) if a is None or b is None else (a.miou, b.miou)
    return Group(name, frozenset(pair.image for pair in pairs), float(change), miou_a, miou_b)


def _figure(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.1f}" if sign else f"{value:.1f}"
