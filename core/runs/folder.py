"""The run folder: names, status, lock, metrics and changes on disk. Importable without torch.

Every replacement of a file is atomic (written beside, flushed to the disk, renamed), and nothing is pickled.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import RunError, reason
from core.files import now, read_json, read_text, write_atomic

LOG = logging.getLogger(__name__)

LABEL_SPACE_FILE = "label_space.toml"
TARGET_LABEL_SPACE_FILE = "target_label_space.toml"
MOST_ROWS = 1 << 30  # bytes of a file of rows, which grows as long as a run trains
CHECKPOINT_NAME = re.compile(r"^(source|step)-(\d{6,})$")


@dataclass(frozen=True)
class CheckpointRef:
    """A finished checkpoint folder. `step` counts all steps, source-only ones included."""

    path: Path
    step: int
    is_source: bool


class RunFolder:
    """Names and files of one run. Creating the object touches nothing on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unwritten: dict[str, Any] = {}  # of the status, since the disk was full
        self.config_path = path / "run.toml"
        self.changes_path = path / "changes.jsonl"
        self.status_path = path / "status.json"
        self.metrics_path = path / "metrics.csv"
        self.log_path = path / "log.txt"
        self.checkpoints_path = path / "checkpoints"
        self.previews_path = path / "previews"
        self.export_path = path / "export"

    @staticmethod
    def is_run(path: Path) -> bool:
        return (path / "run.toml").is_file()

    @property
    def project(self) -> Path:
        """The project's folder, which moves with its runs; of a run that does not lie in `runs`, its own folder."""
        folder = Path(os.path.abspath(self.path))  # noqa: PTH100 - keeps links
        return folder.parent.parent if folder.parent.name == "runs" else folder

    def create(self, config: RunConfig, project: Path | None = None) -> None:
        """Make the folder and write run.toml, with paths in the project's folder relative to it.

        Raises:
            RunError: the folder cannot be written, or holds a run already.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.config_path.exists():
                raise RunError(f"{self.path} already holds a run. Choose another name, or resume it.")
            for folder in (self.checkpoints_path, self.previews_path, self.export_path):
                folder.mkdir(exist_ok=True)
            settings.save(config, self.config_path, project or self.project)
        except OSError as error:
            raise RunError(f"The run folder {self.path} cannot be written: {reason(error)}.") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run against a second writer; the system lets go of the lock when the process dies."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is being trained by another process. Stop that one first.") from None
        try:
            yield
        finally:
            lock.release()

    # Configuration and its changes -------------------------------------------------------------

    def config(self) -> RunConfig:
        return settings.load(self.config_path)

    def append_change(self, step: int, changes: Mapping[str, Any]) -> None:
        torn = self.changes_path.exists() and not self.changes_path.read_bytes().endswith(b"\n")
        with self.changes_path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps({"step": step, "changes": dict(changes)}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def changes(self) -> list[tuple[int, dict[str, Any]]]:
        """(step, changes) in the order they were made; a torn line is left out.

        So are those of a stretch that was lost, and that a resumed run took another course before: a change is followed
        in the file by one of an earlier step.
        """
        rows: list[tuple[int, dict[str, Any]]] = []
        for line in self._lines(self.changes_path):
            try:
                row = json.loads(line)
                step, changes = int(row["step"]), dict(row["changes"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue
            rows = [*(earlier for earlier in rows if earlier[0] <= step), (step, changes)]
        return rows

    def config_at(self, step: int) -> RunConfig:
        """run.toml folded with every change made before or at `step`."""
        config = self.config()
        for changed_at, changes in self.changes():
            if changed_at <= step:
                config = settings.with_changes(config, changes)
        return config

    # Status ------------------------------------------------------------------------------------

    def write_status(self, **values: Any) -> None:
        """Merge values into status.json: state, step, total_steps, device, versions, reason, result …"""
        self._unwritten |= values
        write_atomic(self.status_path, json.dumps({**self.status(), "updated": now()}, indent=1))
        self._unwritten = {}

    def note_status(self, **values: Any) -> None:
        """`write_status` while a run trains: what a full disk refuses is logged, kept, and written with the next one."""
        try:
            self.write_status(**values)
        except OSError as error:
            LOG.warning("%s could not be written: %s", self.status_path, error)

    def status(self) -> dict[str, Any]:
        try:
            value = read_json(self.status_path)
        except (OSError, ValueError):
            value = {}
        return {**(value if isinstance(value, dict) else {}), **self._unwritten}

    # Checkpoints -------------------------------------------------------------------------------

    def checkpoint_path(self, step: int, *, source: bool = False) -> Path:
        return self.checkpoints_path / f"{'source' if source else 'step'}-{step:06d}"

    def checkpoints(self) -> list[CheckpointRef]:
        """Finished checkpoints by rising step; folders being written, or torn, have other names."""
        found = []
        source_steps = self.config().training.source_steps
        for path in self.checkpoints_path.iterdir() if self.checkpoints_path.is_dir() else ():
            if (match := CHECKPOINT_NAME.match(path.name)) and (path / "state.json").is_file():
                is_source = match[1] == "source"
                found.append(CheckpointRef(path, int(match[2]) + (0 if is_source else source_steps), is_source))
        return sorted(found, key=lambda ref: (ref.step, not ref.is_source))

    # Metrics -----------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, str]]:
        """Rows of metrics.csv as text by column; a torn last row is left out."""
        try:
            rows = list(csv.DictReader(self._lines(self.metrics_path)))
        except csv.Error:  # no file of ours
            return []
        return [row for row in rows if None not in row and None not in row.values()]

    def open_metrics(self, columns: Iterable[str], last_step: int, *, judged_again: bool = False) -> MetricsWriter:
        """Open metrics.csv for appending, with every row after `last_step` removed.

        Args:
            judged_again: the measurement at `last_step` is made again, so that its row without losses is removed too.
        """
        names = list(columns)
        kept = [
            row
            for row in self.metrics()
            if int(row["step"]) < last_step
            or (int(row["step"]) == last_step and (row.get("total") or not judged_again))
        ]
        lines = [",".join(names)] + [",".join(row.get(name, "") for name in names) for row in kept]
        write_atomic(self.metrics_path, "\n".join(lines) + "\n")
        return MetricsWriter(self.metrics_path, names)

    @staticmethod
    def _lines(path: Path) -> list[str]:
        try:
            text = read_text(path, MOST_ROWS, errors="replace")
        except OSError:
            return []
        return [line for line in text.split("\n")[:-1] if line]  # what follows the last newline is torn


class FollowedRun(RunFolder):
    """A run as seen by a process that trains along but is not the one that writes: all writing does nothing."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def append_change(self, step: int, changes: Mapping[str, Any]) -> None:
        """Left to the main process."""

    def write_status(self, **values: Any) -> None:
        """Left to the main process."""

    def note_status(self, **values: Any) -> None:
        """Left to the main process."""

    def open_metrics(self, columns: Iterable[str], last_step: int, *, judged_again: bool = False) -> MetricsWriter:
        return MetricsWriter(Path(os.devnull), list(columns))


class MetricsWriter:
    """Appends rows to metrics.csv, each flushed at once."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._columns = columns
        self._file = path.open("a", encoding="utf-8", newline="")

    def append(self, row: Mapping[str, Any]) -> None:
        cells = [row.get(name, "") for name in self._columns]
        self._file.write(",".join(f"{c:.8g}" if isinstance(c, float) else str(c) for c in cells) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
