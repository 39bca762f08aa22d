"""Name and make a new run's folder, and list the data of an existing run. Importable without torch."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from core.configuration.config import RunConfig
from core.dataset.listing import Listing, list_data
from core.errors import RunError, reason
from core.files import write_atomic
from core.labels import LabelSpaceError, load_space, space_to_toml
from core.runs.folder import LABEL_SPACE_FILE, TARGET_LABEL_SPACE_FILE, RunFolder
from core.runs.lock import HOLDER_FILE, LOCK_FILE

OWN_FILES = (
    "run.toml", "changes.jsonl", "status.json", "metrics.csv", "log.txt", "label_space.toml", "target_label_space.toml",
    "class_counts.npz", "notes.json", LOCK_FILE, HOLDER_FILE,
)  # fmt: skip
LONGEST_NAME = 100  # characters
RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)  # by Windows


def why_not_a_name(name: str) -> str:
    """Say why a run cannot have this name, in one sentence; empty when it can.

    A name must be one folder's name on every system: a project may be copied to another computer.
    """
    if not name.strip():
        return "A run needs a name."
    if any(mark in name for mark in "/\\:"):
        return "A run's name is the name of a folder: leave out / \\ and :."
    if bad := sorted({mark for mark in name if mark in '<>"|?*'}):
        return f"Windows allows no {' '.join(bad)} in the name of a folder: leave it out."
    if not name.isprintable():
        return "The name holds a character that cannot be seen: leave it out."
    if name != name.strip() or name.endswith("."):
        return "A name cannot begin or end with a blank, or end with a full stop."
    if name.startswith("."):
        return "A name that begins with a full stop is hidden: choose another one."
    if RESERVED.match(name):
        return f"Windows reserves the name {name}: choose another one."
    if len(name) > LONGEST_NAME:
        return f"The name has {len(name)} characters; at most {LONGEST_NAME} are possible."
    return ""


def new_run_path(project: Path, name: str = "run") -> Path:
    """First free `<project>/runs/<name>-NN`. Raises RunError for a name that is not a folder's."""
    if why := why_not_a_name(name):
        raise RunError(f"{why} (The name was {name[:LONGEST_NAME]!r}.)")
    number = 1
    while os.path.lexists(path := project / "runs" / f"{name}-{number:02d}"):
        number += 1
    return path


def create_run(config: RunConfig, path: Path, project: Path | None = None) -> RunFolder:
    """List the data and make the run's folder: run.toml with the data's fingerprint, and the label space as resolved.

    Args:
        project: the project's folder, which may move with what lies in it; None: the one that `runs` lies in.

    Raises:
        RunError: the data cannot be used, or the folder cannot be written or holds a run already.
    """
    listing = list_data(config.data, needs_target=config.training.steps > 0)
    run = RunFolder(path)
    run.create(config.model_copy(update={"data_fingerprint": listing.fingerprint}), project)
    try:
        write_spaces(path, listing)
        run.write_status(state="created", step=0, total_steps=config.training.total_steps, reason="")
    except OSError as error:
        discard_unstarted(run)
        raise RunError(f"The run folder {path} cannot be written: {reason(error)}.") from error
    return run


def discard_unstarted(run: RunFolder) -> bool:
    """Delete the folder of a run that failed before it trained a step, so that its name is free again.

    Only files of the program go, and the folder only when it is empty then. Returns whether the run is gone.
    """
    with suppress(OSError):
        if any(ref.step > 0 for ref in run.checkpoints()) or run.metrics():
            return False
        for folder in (run.checkpoints_path, run.previews_path):
            shutil.rmtree(folder, ignore_errors=True)
        for name in OWN_FILES:
            (run.path / name).unlink(missing_ok=True)
        for folder in (run.export_path, run.path):
            folder.rmdir()
    return not RunFolder.is_run(run.path)


def write_spaces(path: Path, listing: Listing) -> None:
    """Keep in a run's folder how the labels of each camera are read. Raises OSError."""
    write_atomic(path / LABEL_SPACE_FILE, space_to_toml(listing.space))
    (path / TARGET_LABEL_SPACE_FILE).unlink(missing_ok=True)
    if listing.evaluation:
        write_atomic(path / TARGET_LABEL_SPACE_FILE, space_to_toml(listing.target_space))


def list_run(run: RunFolder) -> Listing:
    """The data of an existing run, with the label spaces it was made with. Raises RunError."""
    config = run.config()
    source, target = (_stored(run.path / name) for name in (LABEL_SPACE_FILE, TARGET_LABEL_SPACE_FILE))
    needs_target = config.training.steps > 0
    return list_data(config.data, needs_target=needs_target, label_space=source, target_label_space=target)


def _stored(path: Path) -> Path | None:
    """A label space that a run keeps; None where it keeps none."""
    if not path.is_file():
        return None
    try:
        load_space(path)
    except LabelSpaceError as error:
        raise RunError(str(error)) from error
    return path
