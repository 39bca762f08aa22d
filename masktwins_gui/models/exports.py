"""The files of an export: what is being done with each, and its parity figures once it has been verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme
from masktwins_gui.models.tables import TableModel
from masktwins_gui.plain_text import plain_tip


class FileState(StrEnum):
    """How far a file is; only a verified one is ticked."""

    WAITING = "waiting"
    WRITING = "writing"
    COMPARING = "comparing"
    COMPARED = "compared"
    VERIFIED = "verified"


@dataclass(frozen=True)
class ExportRow:
    """One file of a bundle. The figures are those of a verified one.

    `largest_difference`: of a logit. `equal_pixels`: smallest share of pixels with the same class, 0..1.
    """

    name: str
    num_bytes: int = 0
    largest_difference: float = 0.0
    equal_pixels: float = 0.0
    samples: tuple[str, ...] = ()
    state: FileState = FileState.VERIFIED


def rows_at(formats: Sequence[str], steps_done: int) -> list[ExportRow]:
    """The rows while a bundle is made: each format is written in one step and compared in the next."""
    rows = []
    for index, name in enumerate(formats):
        done = steps_done - 2 * index
        states = (FileState.WRITING, FileState.COMPARING, FileState.COMPARED)
        state = FileState.WAITING if done < 0 else states[min(done, 2)]
        rows.append(ExportRow(f"model.{name}", state=state))
    return rows


class ExportsModel(TableModel[ExportRow]):
    """Rows of (tick, file, size, figures)."""

    def headers(self) -> Sequence[str]:
        return "", self.tr("File"), self.tr("Size"), self.tr("Loaded again and compared")

    def cell(self, row: ExportRow, column: int, role: int) -> Any:
        verified = row.state is FileState.VERIFIED
        match role:
            case Qt.ItemDataRole.DisplayRole:
                size = _size(row.num_bytes) if verified else ""
                return ("✓" if verified else "", row.name, size, self._figures(row))[column]
            case Qt.ItemDataRole.AccessibleTextRole if column == 0:
                return self.tr("verified") if verified else self.tr("not verified yet")
            case Qt.ItemDataRole.ForegroundRole if column == 0:
                return QColor(theme.colours().good)
            case Qt.ItemDataRole.ToolTipRole if row.samples:
                return plain_tip("\n".join(row.samples))
        return None

    def _figures(self, row: ExportRow) -> str:
        match row.state:
            case FileState.WAITING:
                return self.tr("Waiting")
            case FileState.WRITING:
                return self.tr("Writing …")
            case FileState.COMPARING:
                return self.tr("Written; loaded again and being compared …")
            case FileState.COMPARED:
                return self.tr("Compared; the bundle is being finished …")
        return self.tr(
            "{0:.3%} of the pixels get the same class; logits differ by {1:.1e} at most ({2} images)"
        ).format(row.equal_pixels, row.largest_difference, len(row.samples))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} kB"
