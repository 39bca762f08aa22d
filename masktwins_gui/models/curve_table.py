"""Curves as a CSV table, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from masktwins_gui.models.curves import Series, TrainingTime

Table = tuple[str, np.ndarray]  # label; (N, 4): step, seconds, value, smoothed


def snapshot(label: str, series: Series, time: TrainingTime) -> Table:
    """Copy a curve, so that it may grow while another thread writes it."""
    return label, np.stack([series.x, time.at(series.x), series.y, series.smooth], axis=1)


def to_csv(tables: Sequence[Table]) -> str:
    """Write curves as rows of (curve, step, seconds trained, value, smoothed), one row per point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("curve", "step", "seconds", "value", "smoothed"))
    for label, table in tables:
        writer.writerows((label, f"{step:.0f}", *(f"{v:.6g}" for v in rest)) for step, *rest in table)
    return text.getvalue()
