"""Set aside what is damaged in a run folder, so that the run can go on. Importable without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from core.errors import RunError
from core.files import set_aside, write_atomic
from core.runs.folder import RunFolder, parse_status


def repair(run: RunFolder) -> list[str]:
    """Rename damaged ones of status.json, metrics.csv and changes.jsonl to NAME.damaged, keeping the lines that can be read.

    Called by whoever holds the run's lock.

    Returns:
        A sentence about each file that was renamed.

    Raises:
        RunError: a damaged file cannot be renamed.
    """
    checks: tuple[tuple[Path, Callable[[RunFolder], str | None], str], ...] = (
        (run.status_path, _status, "State and scores of the run are taken from its checkpoints."),
        (run.metrics_path, _metrics, "The rows that can be read were kept."),
        (run.changes_path, _changes, "The changes of settings that can be read were kept."),
    )
    return [
        f"{path} was damaged and is now called {name}. {what}"
        for path, check, what in checks
        if (name := _set_aside_if_damaged(run, path, check))
    ]


def _set_aside_if_damaged(run: RunFolder, path: Path, readable_part: Callable[[RunFolder], str | None]) -> str:
    """Return the new name of a damaged file; empty where it is whole or does not exist."""
    if not os.path.lexists(path):
        return ""
    content = "" if not path.is_file() else readable_part(run)
    if content is None:
        return ""
    try:
        aside = set_aside(path)
        if content:
            write_atomic(path, content)
    except OSError as error:
        raise RunError(
            f"{path} is damaged and cannot be replaced: {error.strerror or error}. Delete it and resume the run."
        ) from error
    return aside.name


# What can be read of a damaged file; None where it is whole ----------------------------------------


def _status(run: RunFolder) -> str | None:
    try:
        parse_status(run.status_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return None


def _metrics(run: RunFolder) -> str | None:
    if "step" in run.metrics_columns() and None not in run.parsed_metrics():
        return None
    whole = run.metrics()
    return "\n".join([",".join(whole[0]), *(",".join(row.values()) for row in whole), ""]) if whole else ""


def _changes(run: RunFolder) -> str | None:
    if None not in run.parsed_changes():
        return None
    return "".join(json.dumps({"step": step, "changes": changes}) + "\n" for step, changes in run.changes())
