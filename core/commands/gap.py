"""Measure how much of the gap between a source-only model and an oracle an adaptation closes.

The oracle is trained with target labels. The three runs have equal optimiser steps, seed and augmentation.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.control import RunControl
from core.errors import RunError
from core.events import Event, Finished
from core.runs.create import create_run
from core.runs.folder import RunFolder

MIN_GAP = 5.0  # mIoU; the share of a smaller gap is mostly noise

OnEvent = Callable[[str, Event], None]  # name of the run, event


def measure_gap(
    config: RunConfig, oracle_labels: Path, folder: Path, control: RunControl, on_event: OnEvent
) -> dict[str, Any]:
    """Train the three runs in `folder`, or resume those that are there already.

    Args:
        config: the adapted run's configuration, with target labels to measure on.
        oracle_labels: labels of config.data.target_images, used by the oracle alone.

    Returns:
        The adapted run's result, plus `source_only` (of the run with equal steps), `oracle` and `gap_closed`: the
        teacher's share of the gap, not clamped, or None if the gap is under MIN_GAP. After a stop, the results so far.

    Raises:
        RunError: a run failed, or the folder holds runs with other settings.
    """
    total = config.training.total_steps
    baseline = with_changes(config, {"training.steps": 0, "training.source_steps": total})
    data = {"data.source_images": config.data.target_images, "data.source_labels": oracle_labels}

    result = _train(config, folder / "adapted", control, on_event)
    _begin_from_source_phase(baseline, folder)
    source_only = _train(baseline, folder / "source-only", control, on_event)
    oracle = _train(with_changes(baseline, data), folder / "oracle", control, on_event)

    scores = {"source_only": source_only["source_only"], "oracle": oracle["source_only"]}
    return {**result, **scores, "gap_closed": gap_closed(scores["source_only"], result["teacher"], scores["oracle"])}


def gap_closed(source_only: dict | None, adapted: dict | None, oracle: dict | None) -> float | None:
    """Return (adapted − source-only) / (oracle − source-only) in mIoU, or None if the gap is under MIN_GAP or unknown."""
    before, after, ceiling = (None if scores is None else scores["miou"] for scores in (source_only, adapted, oracle))
    if before is None or after is None or ceiling is None:
        return None
    gap = ceiling - before
    return None if gap < MIN_GAP else round((after - before) / gap, 4)


def _open(config: RunConfig, path: Path) -> RunFolder:
    if not RunFolder.is_run(path):
        return create_run(config, path)
    run = RunFolder(path)
    if run.config().model_copy(update={"data_fingerprint": ""}) != config:
        raise RunError(f"{path} holds a run with other settings. Choose another folder, or delete it.")
    return run


def _begin_from_source_phase(baseline: RunConfig, folder: Path) -> None:
    """Begin the source-only run at the end of the adapted run's source-only phase.

    Both runs are identical up to there: the same draws, and the same rates because their totals are equal.
    """
    if RunFolder.is_run(folder / "source-only"):
        return
    run = _open(baseline, folder / "source-only")
    for ref in RunFolder(folder / "adapted").checkpoints():
        if ref.is_source:
            beside = run.checkpoints_path / f".{ref.path.name}.tmp"
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(ref.path, beside)
            beside.rename(run.checkpoints_path / ref.path.name)


def _train(config: RunConfig, path: Path, control: RunControl, on_event: OnEvent) -> dict[str, Any]:
    from core.training.loop import adapt

    run = _open(config, path)
    for event in adapt(control, run):
        on_event(path.name, event)
        if isinstance(event, Finished):
            return dict(event.result)
    raise AssertionError("the engine's last event is Finished")
