"""From a run's folder to a session that is ready for its next step."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from core.dataset.listing import Listing
from core.errors import RunError
from core.events import Event, Preparing, Warned
from core.loading.counting import class_counts
from core.networks.store import StoreError
from core.runs.create import list_run
from core.runs.folder import CheckpointRef, RunFolder
from core.training.checkpoint import CheckpointError
from core.training.distributed import Group
from core.training.interruption import InterruptedByStop, Stopping
from core.training.record import RunRecord
from core.training.session import Session


def prepare(record: RunRecord, group: Group, stopping: Stopping) -> Generator[Event, None, Session | None]:
    """List the images, build the network and load the newest checkpoint that can be read; yields what is being done.

    Returns:
        The session; None where a stop came before it was built.

    Raises:
        RunError: the run cannot be trained.
    """
    run = record.run
    yield Preparing("listing the images")
    listing = list_run(run)
    config = run.config()
    if not listing.matches(config.data_fingerprint):
        yield Warned(
            "data_changed",
            "The images are not those the run was started with; it continues with the images that exist now.",
        )
    for problem in listing.warnings:
        yield Warned(problem.code, problem.message, problem.paths[0] if problem.paths else None)
    counts = None
    if config.data.rare_class_sampling:
        yield Preparing(f"counting the classes in {len(listing.source)} source labels")
        counts, warnings = _class_counts(run, listing, stopping)
        yield from warnings
    if group.any(stopping())[0]:
        return None
    session = yield from _newest_session(record, listing, group, stopping, counts)
    if session.network.matched:
        yield Preparing(session.network.matched)
    return session


def _class_counts(run: RunFolder, listing: Listing, stopping: Stopping) -> tuple[np.ndarray | None, list[Event]]:
    """Count the classes of the source labels; None if a stop came first."""
    warnings: list[Event] = []

    def look(done: int, total: int) -> None:
        if stopping():
            raise InterruptedByStop

    cache = run.path / "class_counts.npz"
    try:
        counts = class_counts(listing.source, listing.space, cache, look, warnings.append, keep=run.is_writer)
    except InterruptedByStop:
        return None, warnings
    return counts, warnings


def _newest_session(
    record: RunRecord, listing: Listing, group: Group, stopping: Stopping, counts: np.ndarray | None
) -> Generator[Event, None, Session]:
    """Build the session of the newest checkpoint that can be read; the damaged ones after it are set aside."""
    run = record.run
    # Processes that train together wait for each other: a single one cannot leave.
    waits_to_the_end = group.share.world > 1
    options = {"counts": counts, "stopping": (lambda: False) if waits_to_the_end else stopping}
    damaged: list[tuple[CheckpointRef, str]] = []
    for ref in reversed(run.checkpoints()):
        yield Preparing(f"loading checkpoint {ref.path.name}")
        try:
            session = Session(run.config_at(ref.step - 1), listing, ref, group, **options)
        except (CheckpointError, StoreError) as error:
            damaged.append((ref, str(error)))
            continue
        for bad, reason in damaged:
            yield record.set_aside(bad, reason)
        return session
    if damaged:
        raise RunError(
            f"None of the run's {len(damaged)} checkpoints can be read. The newest: {damaged[0][1]} To train from the "
            f"beginning, delete {run.checkpoints_path}."
        )
    yield Preparing("building the network")
    return Session(run.config_at(-1), listing, None, group, **options)
