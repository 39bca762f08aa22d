"""The files of an export with their parity figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme
from masktwins_gui.models.tables import TableModel
from masktwins_gui.plain_text import plain_tip


@dataclass(frozen=True)
class ExportRow:
    """One file that was written, loaded again and found to say the same as the network.

    `largest_difference`: of a logit. `equal_pixels`: smallest share of pixels with the same class, 0..1.
    """

    name: str
    num_bytes: int
    largest_difference: float
    equal_pixels: float
    samples: tuple[str, ...]


class ExportsModel(TableModel[ExportRow]):
    """Rows of (tick, file, size, figures); only verified files get here."""

    def headers(self) -> Sequence[str]:
        return "", self.tr("File"), self.tr("Size"), self.tr("Loaded again and compared")

    def cell(self, row: ExportRow, column: int, role: int) -> Any:
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return ("✓", row.name, _size(row.num_bytes), self._figures(row))[column]
            case Qt.ItemDataRole.ForegroundRole if column == 0:
                return QColor(theme.colours().good)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip("\n".join(row.samples))
        return None

    def _figures(self, row: ExportRow) -> str:
        return self.tr(
            "{0:.3%} of the pixels get the same class; logits differ by {1:.1e} at most ({2} images)"
        ).format(row.equal_pixels, row.largest_difference, len(row.samples))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} kB"
