"""The run's log.txt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class _RunLog(logging.FileHandler):
    """Write to log.txt where that is possible: a full disk or a folder that is gone must not end a run."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the file is opened here, at the first record
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing: there is no better place to report it."""


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Append what `core` logs to the file as well, until the context is left."""
    handler = _RunLog(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("core")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # what the system has not yet written
            handler.close()
