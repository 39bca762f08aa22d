"""Decide which checkpoint of a run is the best, and whether adaptation helped. Importable without torch.

The best checkpoint is the one whose teacher has the highest mIoU on labelled target images or, where none is labelled, the
highest label-free score. The source-only model takes part. The engine (`core.training.record`) decides by this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.evaluation.health import Health

PREFIX = "health_"  # of the columns in metrics.csv
COLLAPSED = 1.0  # taken off a collapsed model's score: more than any other difference
CLEAR = 0.02  # difference of two scores from which on the better one is named

TERMS: Mapping[str, str] = {  # factors of the score, and what they are in words
    "stability": "predictions that outlive mirroring, brightness and scale",
    "mutual_information": "sure predictions spread over the classes",
}


def score_of(values: Mapping[str, float]) -> float:
    """Rank a model by the fields of its health; higher is better, at most 1, NaN where nothing is known.

    stability × mutual information − 1 if collapsed.

    * Stability asks for the same scene under changes that leave the scene alone. It alone would like a model that predicts
      one class everywhere.
    * Mutual information rewards sure predictions only as far as they are spread over the classes, and does not reward that.

    Confidence, entropy, the twins' disagreement and the agreement of student and teacher do not count: the losses improve
    them by themselves, also where they reinforce mistakes. Drift from the labels' class shares and variety do not count
    either: two cameras may well see other shares. The README tells how this score, the ones that were tried before it, and
    each field alone follow the true mIoU; `packaging/ranking.py` shows it for any run with target labels.

    A term that is not known (NaN or absent) is left out.
    """
    known = [values[name] for name in TERMS if not math.isnan(values.get(name, math.nan))]
    return math.prod(known) - COLLAPSED * bool(values.get("collapsed", 0)) if known else math.nan


def score(health: Health) -> float:
    """`score_of` the fields of a health."""
    return score_of(asdict(health))


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far."""

    checkpoint: str  # name of its folder
    worth: float


def worth(miou: float, health_score: float) -> float:
    """Rank a model: its mIoU on the labelled target images in percent, or where that is NaN its label-free score."""
    return health_score if math.isnan(miou) else miou


def is_better(worth: float, best: float | None) -> bool:
    """Return whether a model of this worth replaces the best one (None: there is none yet). Of equal ones the first stays."""
    return not math.isnan(worth) and (best is None or worth > best)


def choose_checkpoint(rows: Sequence[Mapping[str, str]]) -> Mapping[str, str] | None:
    """Choose among the rows of metrics.csv the one with the best label-free score; of equal ones the first.

    Rows without health are skipped; None if all are. The row at the end of the source-only steps takes part: it stands
    for the checkpoint source-N. Which checkpoints are still on disk is for the caller to know.
    """
    best, best_score = None, None
    for row in rows:
        found = score_of(values_of(row))
        if is_better(found, best_score):
            best, best_score = row, found
    return best


def best_checkpoints(rows: Sequence[Mapping[str, str]], names: Mapping[int, str]) -> dict[str, str]:
    """Name the best of the checkpoints that are still on disk: by "miou" of the teacher, and by "health" without labels.

    Args:
        rows: of metrics.csv.
        names: of the checkpoints on disk, by step, source-only steps included.
    """
    kept = [row for row in rows if row.get("step", "").isdecimal() and int(row["step"]) in names]
    found = {}
    if (row := choose_checkpoint(kept)) is not None:
        found["health"] = names[int(row["step"])]
    scored = [(float(cell), row) for row in kept if (cell := row.get("teacher_miou") or row.get("source_miou"))]
    if known := [(miou, int(row["step"])) for miou, row in scored if not math.isnan(miou)]:
        found["miou"] = names[max(known)[1]]  # of equal ones the latest
    return found


def values_of(row: Mapping[str, str]) -> dict[str, float]:
    """Return the fields of the health in a row of metrics.csv, by name without prefix; empty cells are left out."""
    return {name.removeprefix(PREFIX): float(cell) for name, cell in row.items() if name.startswith(PREFIX) and cell}


def early_warning(source: Health) -> str:
    """Say in words, before adapting, that the source-only model has collapsed on the new camera; empty if it has not."""
    if not source.collapsed:
        return ""
    return (
        f"On the new camera the source-only model predicts {_classes(source)}. Adapting spreads what a model knows: a class it "
        "has not learned by now may never come. If the adapted model lacks it too, train longer before adapting "
        "(source-only steps), or start from pretrained weights."
    )


def verdict(source: Health, adapted: Health) -> str:
    """Say in words whether the source-only or the adapted model looks better on the new camera, and by what.

    Both measured on the same images with the same masks.
    """
    if adapted.collapsed and not source.collapsed:
        return (
            f"The source-only model looks better: the adapted one has collapsed and predicts {_classes(adapted)}. "
            "Take the source-only model, or adapt again with a lower learning rate or a higher confidence threshold."
        )
    if adapted.collapsed:
        return (
            f"Neither model is of use on the new camera yet: before and after adapting it predicts {_classes(adapted)}. "
            "Train longer before adapting (source-only steps), or start from pretrained weights."
        )
    gain = _gain(source, adapted)
    if math.isnan(gain):
        return "Whether adaptation helped cannot be told: too little was measured."
    if abs(gain) < CLEAR:
        return f"Without labels no clear difference shows between the adapted and the source-only model ({gain:+.3f})."
    if gain > 0:
        return (
            f"The adapted model looks better than the source-only one ({gain:+.3f}): {_reason(source, adapted, gain)}."
        )
    return (
        f"The source-only model looks better than the adapted one ({gain:+.3f}): {_reason(source, adapted, gain)}. "
        "Label a few target images and measure both before you take the adapted one."
    )


def _gain(source: Health, adapted: Health) -> float:
    """Return the difference of the two scores over the terms that are known of both; NaN where none is."""
    values = asdict(source), asdict(adapted)
    common = [name for name in TERMS if not any(math.isnan(v[name]) for v in values)]
    before, after = (score_of({name: v[name] for name in (*common, "collapsed")}) for v in values)
    return after - before


def _classes(health: Health) -> str:
    missing = f", {health.missing_classes} of the expected classes hardly at all" if health.missing_classes else ""
    return f"effectively {health.classes_seen:.1f} classes{missing}"


def _reason(source: Health, adapted: Health, gain: float) -> str:
    """Return the term that moved the score most in the gain's direction, with its values."""
    if source.collapsed and not adapted.collapsed:
        return f"the source-only model predicts {_classes(source)}"

    values = {name: (getattr(source, name), getattr(adapted, name)) for name in TERMS}
    known = {name: pair for name, pair in values.items() if not any(map(math.isnan, pair))}
    name = max(known, key=lambda name: math.copysign(1, gain) * (known[name][1] - known[name][0]))
    before, after = known[name]
    return f"{TERMS[name]}: {before:.0%} before, {after:.0%} after"
