"""How well the label-free health follows the true mIoU: `.venv/bin/python tests/studies/ranking.py RUN...`.

Reads metrics.csv of runs that were measured both ways: with target labels, and without. Prints a Markdown table and, as the
last line, the same as one JSON object:

* Spearman's rank correlation of each field of the health, and of the score, with the mIoU of the model it was measured on
  (the teacher, else the student or the source-only model): per run, their mean, and over the points of all runs together;
* the regret: mIoU that the pick of `core.evaluation.choice` loses to the best row of its run, beside that of the last row.

`null` (– in the table): fewer than three points, or a field that never changes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.evaluation.choice import PREFIX, choose_checkpoint, score_of, values_of
from core.runs.folder import RunFolder

TRUTH = ("teacher_miou", "student_miou", "source_miou")  # the first that a row holds
LEAST_POINTS = 3

Row = Mapping[str, str]


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks (N,) from 1 on; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation in -1..1 of the pairs without NaN; NaN where it is not defined."""
    pairs = np.array([first, second], np.float64)
    pairs = pairs[:, ~np.isnan(pairs).any(0)]
    if pairs.shape[1] < LEAST_POINTS:
        return math.nan
    a, b = (ranks(row) - (pairs.shape[1] + 1) / 2 for row in pairs)
    norm = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / norm if norm else math.nan


def truth(row: Row) -> float:
    return next((float(row[name]) for name in TRUTH if row.get(name)), math.nan)


def measured_both_ways(rows: Sequence[Row]) -> list[Row]:
    """Rows with a true mIoU and with health."""
    return [row for row in rows if not math.isnan(truth(row)) and not math.isnan(score_of(values_of(row)))]


def columns_of(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Values by field; the score is computed anew, whatever weights it was written with."""
    values = [values_of(row) for row in rows]
    names = dict.fromkeys(name for found in values for name in found)
    fields = {name: [found.get(name, math.nan) for found in values] for name in names if name != "score"}
    return {"score": [score_of(found) for found in values], **fields}


def correlations(rows: Sequence[Row]) -> dict[str, float]:
    return {name: spearman(values, [truth(row) for row in rows]) for name, values in columns_of(rows).items()}


def regret(rows: Sequence[Row]) -> dict[str, float]:
    """mIoU in percent that a pick loses to the best row."""
    picked = choose_checkpoint(rows)
    assert picked is not None
    best = max(truth(row) for row in rows)
    return {
        "step": int(picked["step"]), "picked": truth(picked), "best": best,
        "regret": best - truth(picked), "regret_of_last": best - truth(rows[-1]),
    }  # fmt: skip


def report(runs: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Correlations by field and run, with their mean and those of all points together, and the regrets by run."""
    per_run = {name: correlations(rows) for name, rows in runs.items()}
    pooled = correlations([row for rows in runs.values() for row in rows])
    fields = {
        field: {
            "runs": {name: found.get(field, math.nan) for name, found in per_run.items()},
            "mean": _mean([found.get(field, math.nan) for found in per_run.values()]),
            "pooled": pooled[field],
        }
        for field in pooled
    }
    return {
        "points": {name: len(rows) for name, rows in runs.items()},
        "spearman": fields,
        "regret": {name: regret(rows) for name, rows in runs.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """The report as two Markdown tables."""
    runs = list(found["points"])
    lines = [f"| field | {' | '.join(runs)} | mean | pooled |", "|---" * (len(runs) + 3) + "|"]
    for field, values in found["spearman"].items():
        cells = [*values["runs"].values(), values["mean"], values["pooled"]]
        lines.append(f"| {field} | {' | '.join(map(_cell, cells))} |")
    lines += [
        "",
        "| run | points | picked step | its mIoU | best mIoU | regret | regret of the last |",
        "|---" * 7 + "|",
    ]
    for run, values in found["regret"].items():
        cells = [_cell(values[name]) for name in ("picked", "best", "regret", "regret_of_last")]
        lines.append(f"| {run} | {found['points'][run]} | {values['step']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", nargs="+", type=Path, help="run folder with metrics.csv")
    runs: dict[str, list[Row]] = {}
    for path in parser.parse_args(arguments).run:
        if rows := measured_both_ways(RunFolder(path).metrics()):
            runs[str(path)] = rows
        else:
            print(
                f"{path / 'metrics.csv'} has no row with both a mIoU and {PREFIX}* values; left out.", file=sys.stderr
            )
    if not runs:
        print("Nothing to compare: name runs that were evaluated with target labels.", file=sys.stderr)
        return 1
    found = report(runs)
    print(table(found), end="\n\n")
    print(json.dumps(_plain(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
