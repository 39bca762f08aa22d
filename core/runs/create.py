"""Make a new run's folder from a configuration, and list the data of an existing run. Importable without torch."""

from __future__ import annotations

from pathlib import Path

from core.configuration.config import RunConfig
from core.dataset.listing import Listing, list_data
from core.errors import RunError
from core.files import write_atomic
from core.labels import LabelSpaceError, load_space, space_to_toml
from core.runs.folder import LABEL_SPACE_FILE, RunFolder


def new_run_path(project: Path, stem: str = "run") -> Path:
    """First free `<project>/runs/<stem>-NN`."""
    number = 1
    while (path := project / "runs" / f"{stem}-{number:02d}").exists():
        number += 1
    return path


def create_run(config: RunConfig, path: Path) -> RunFolder:
    """List the data and make the run's folder: run.toml with the data's fingerprint, and the label space as resolved.

    Raises:
        RunError: the data cannot be used, or the folder cannot be written or holds a run already.
    """
    listing = list_data(config.data, needs_target=config.training.steps > 0)
    run = RunFolder(path)
    run.create(config.model_copy(update={"data_fingerprint": listing.fingerprint}))
    write_atomic(path / LABEL_SPACE_FILE, space_to_toml(listing.recognition.space))
    run.write_status(state="created", step=0, total_steps=config.training.total_steps, reason="")
    return run


def list_run(run: RunFolder) -> Listing:
    """The data of an existing run, with the label space it was made with. Raises RunError."""
    stored = run.path / LABEL_SPACE_FILE
    try:
        if stored.is_file():
            load_space(stored)
    except LabelSpaceError as error:
        raise RunError(str(error)) from error
    config = run.config()
    wanted = stored if stored.is_file() else None
    return list_data(config.data, needs_target=config.training.steps > 0, label_space=wanted)
