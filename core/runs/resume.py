"""What may be changed in a run before it goes on: its settings, its length, the place of its data.

Importable without torch.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.configuration import settings
from core.configuration.paths import DataRoot, move_data, paths_of
from core.dataset.listing import list_data
from core.errors import RunError, reason
from core.files import read_text
from core.runs.create import list_run, write_spaces
from core.runs.folder import CheckpointRef, RunFolder


def prepare_resume(
    run: RunFolder, changes: Mapping[str, Any], *, more_steps: int = 0, data_roots: Sequence[DataRoot] = ()
) -> None:
    """Record in the run's folder the changes to apply when it resumes.

    Args:
        changes: settings by dotted path. Any of them while nothing has been trained; then those that may change at any
            time, from the newest checkpoint on.
        more_steps: steps to add at the end, adaptation steps unless the run has none. The learning rate follows the
            schedule of the new length from there on, so it rises again; the warm-up stays as long as it was.
        data_roots: where the data lie now.

    Raises:
        RunError: a setting that may not change, a finished run, or a run that another process trains.
        ConfigError: a value out of its range, or data roots that fit no path.
    """
    try:
        with run.lock():
            if data_roots:
                _move(run, data_roots)
            if more_steps:
                _extend(run, more_steps)
            if changes:
                _change(run, changes)
    except OSError as error:
        raise RunError(f"The run {run.path} cannot be written: {reason(error)}.") from error


def _move(run: RunFolder, roots: Sequence[DataRoot]) -> None:
    config = run.config()
    moved = move_data(config, roots)

    def was_at(path: Path) -> Path:
        for root in reversed(roots):
            path = root.move_back(path)
        return path

    project = _project_of(run)
    settings.save(moved, run.config_path, project)
    try:
        listing = list_run(run)
    except BaseException:
        settings.save(config, run.config_path, project)
        raise
    if listing.matches(config.data_fingerprint, was_at):
        found = moved.model_copy(update={"data_fingerprint": listing.fingerprint})
        settings.save(found, run.config_path, project)


def _extend(run: RunFolder, steps: int) -> None:
    config = run.config()
    training = config.training
    name = "steps" if training.steps else "source_steps"
    changes = {f"training.{name}": getattr(training, name) + steps, "training.warmup_steps": training.warmup}
    longer = settings.with_changes(config, changes)
    settings.save(longer, run.config_path, _project_of(run))
    values: dict[str, Any] = {"total_steps": longer.training.total_steps}
    if run.status().get("state") == "finished":
        values["state"] = "stopped"
    run.write_status(**values)


def _change(run: RunFolder, changes: Mapping[str, Any]) -> None:
    earned = [ref for ref in run.checkpoints() if ref.step > 0]
    if not earned:
        _change_all(run, changes)
        return
    newest = earned[-1]
    if run.status().get("state") == "finished":
        raise RunError(
            f"{run.path} has finished, so that {', '.join(changes)} would change nothing. Add steps with --more-steps N, "
            "or start a new run."
        )
    if fixed := [path for path in changes if not settings.is_live(path)]:
        raise RunError(_why_fixed(fixed, newest))
    settings.with_changes(run.config_at(newest.step), changes)
    run.append_change(newest.step, changes)


def _change_all(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Nothing has been trained yet: the run begins with other settings."""
    before = run.config()
    config = settings.with_changes(before, changes)
    if config.data != before.data:
        listing = list_data(config.data, needs_target=config.training.steps > 0)
        config = config.model_copy(update={"data_fingerprint": listing.fingerprint})
        write_spaces(run.path, listing)
    settings.save(config, run.config_path, _project_of(run))
    run.write_status(total_steps=config.training.total_steps)
    for ref in run.checkpoints():
        shutil.rmtree(ref.path)  # of step 0, made when the first step failed: it holds the weights of other settings


def _why_fixed(fixed: Sequence[str], newest: CheckpointRef) -> str:
    verb = "cannot change" if len(fixed) == 1 else "cannot change either"
    words = f"{' and '.join(fixed)} {verb} once a run has been trained (its newest checkpoint is {newest.path.name})."
    if {"training.steps", "training.source_steps"} & set(fixed):
        return f"{words} Train longer with --more-steps N."
    if any(path.startswith("data.") for path in fixed):
        return f"{words} Where the data have moved, say so with --data-root OLD=NEW; else start a new run."
    return f"{words} Leave it out, or start a new run with it."


def _project_of(run: RunFolder) -> Path:
    """The project's folder as run.toml was written for: as far up as its relative paths lead."""
    written = paths_of(settings.parse(tomllib.loads(read_text(run.config_path)))).values()
    ups = [_leading_ups(path) for path in written if not path.is_absolute()]
    base = run.config_path.resolve().parent
    folders = [run.project, *(base.parents[up - 1] for up in ups if 0 < up <= len(base.parents))]
    return min(folders, key=lambda folder: len(folder.resolve().parts))


def _leading_ups(path: Path) -> int:
    return next((i for i, part in enumerate(path.parts) if part != ".."), len(path.parts))
