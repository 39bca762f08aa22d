"""The run folder: names, status, lock, metrics and changes on disk. Importable without torch.

Every replacement of a file is atomic (written beside, flushed to the disk, renamed), and nothing is pickled.

The columns of metrics.csv are `METRICS` in `core.training.record`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import RunError, reason
from core.files import now, read_text, write_atomic
from core.runs.lock import hold, is_held

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
    """Give the names and files of one run. Creating the object touches nothing on disk."""

    is_writer = True  # whether this process may write to it

    def __init__(self, path: Path) -> None:
        self.path = path
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
        """Return the project's folder, which moves with its runs; for a run outside of `runs`, its own folder."""
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
    def lock(self) -> Iterator[str]:
        """Hold the run against a second writer; the system releases it when the process dies.

        Yields:
            A sentence where the protection is weaker than usual; empty otherwise.

        Raises:
            RunError: another process holds the run, or the folder cannot be written.
        """
        with hold(self.path) as note:
            yield note

    def is_held(self) -> bool:
        """Return whether a process trains the run."""
        return is_held(self.path)

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
        """Return (step, changes) in the order they were made, without lines that cannot be used.

        Changes of a stretch that was lost in a crash, and that a resumed run took another course in, are left out too: in the
        file, a change of an earlier step follows them.
        """
        rows: list[tuple[int, dict[str, Any]]] = []
        for step, changes in filter(None, self.parsed_changes()):
            rows = [*(earlier for earlier in rows if earlier[0] <= step), (step, changes)]
        return rows

    def parsed_changes(self) -> list[tuple[int, dict[str, Any]] | None]:
        """Parse every complete line of changes.jsonl; None for one that is damaged or does not fit the configuration."""
        lines, config = _lines(self.changes_path), None
        rows: list[tuple[int, dict[str, Any]] | None] = []
        for line in lines:
            try:
                row = json.loads(line)
                step, changes = int(row["step"]), dict(row["changes"])
                config = config or self.config()
                settings.with_changes(config, changes)
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # ConfigError is a ValueError
                rows.append(None)
            else:
                rows.append((step, changes))
        return rows

    def config_at(self, step: int) -> RunConfig:
        """Return run.toml with every change made before or at `step` applied."""
        config = self.config()
        for changed_at, changes in self.changes():
            if changed_at <= step:
                config = settings.with_changes(config, changes)
        return config

    # Status ------------------------------------------------------------------------------------

    def write_status(self, **values: Any) -> None:
        """Merge values into status.json: state, step, total_steps, device, versions, reason, result … Raises OSError."""
        write_atomic(self.status_path, json.dumps({**self.status(), **values, "updated": now()}, indent=1))

    def status(self) -> dict[str, Any]:
        """Return the content of status.json; empty where it does not exist or is damaged. Known values have their types."""
        try:
            return parse_status(read_text(self.status_path))
        except (OSError, ValueError):
            return {}

    # Checkpoints -------------------------------------------------------------------------------

    def checkpoint_path(self, step: int, *, source: bool = False) -> Path:
        return self.checkpoints_path / f"{'source' if source else 'step'}-{step:06d}"

    def checkpoints(self) -> list[CheckpointRef]:
        """Return the finished checkpoints by rising step; folders being written, or torn, have other names."""
        found = []
        source_steps = self.config().training.source_steps
        for path in self.checkpoints_path.iterdir() if self.checkpoints_path.is_dir() else ():
            if (match := CHECKPOINT_NAME.match(path.name)) and (path / "state.json").is_file():
                is_source = match[1] == "source"
                found.append(CheckpointRef(path, int(match[2]) + (0 if is_source else source_steps), is_source))
        return sorted(found, key=lambda ref: (ref.step, not ref.is_source))

    # Metrics -----------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, str]]:
        """Return the rows of metrics.csv as text by column. A torn last row and rows that are damaged are left out."""
        return [row for row in self.parsed_metrics() if row is not None]

    def parsed_metrics(self) -> list[dict[str, str] | None]:
        """Parse every complete line below the header of metrics.csv; None for one that is damaged."""
        columns = self.metrics_columns()
        rows = [line.split(",") for line in _lines(self.metrics_path)[1:]]
        return [dict(zip(columns, row, strict=True)) if _is_row(columns, row) else None for row in rows]

    def metrics_columns(self) -> list[str]:
        return next(iter(_lines(self.metrics_path)), "").split(",")

    def open_metrics(self, columns: Iterable[str], last_step: int, *, judged_again: bool = False) -> MetricsWriter:
        """Open metrics.csv for appending, with every row after `last_step` removed. Raises OSError.

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


class FollowedRun(RunFolder):
    """Read a run in a process that trains along with the one that writes. All writing does nothing."""

    is_writer = False

    @contextmanager
    def lock(self) -> Iterator[str]:
        yield ""

    def append_change(self, step: int, changes: Mapping[str, Any]) -> None:
        """Do nothing: the main process writes."""

    def write_status(self, **values: Any) -> None:
        """Do nothing: the main process writes."""

    def open_metrics(self, columns: Iterable[str], last_step: int, *, judged_again: bool = False) -> MetricsWriter:
        return MetricsWriter(Path(os.devnull), list(columns))


class MetricsWriter:
    """Append rows to metrics.csv. Each is passed to the system at once; `sync` makes them survive a power cut."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._columns = columns
        self._file = path.open("a", encoding="utf-8", newline="")

    def append(self, row: Mapping[str, Any]) -> None:
        cells = [row.get(name, "") for name in self._columns]
        self._file.write(",".join(f"{c:.8g}" if isinstance(c, float) else str(c) for c in cells) + "\n")
        self._file.flush()

    def sync(self) -> None:
        self._file.flush()
        if self._file.name != os.devnull:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


# Reading what may be damaged ---------------------------------------------------------------------

_TYPES: dict[str, type | tuple[type, ...]] = {  # of what other parts of the program rely on
    "state": str, "step": int, "total_steps": int, "reason": str, "updated": str, "scores": dict, "health": dict,
    "result": dict, "best_checkpoint": (str, type(None)), "last_checkpoint": str,
}  # fmt: skip


def parse_status(text: str) -> dict[str, Any]:
    """Parse a status.json. Raises ValueError where it is not one."""
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - a value of the file, not of an argument
    for name, kind in _TYPES.items():
        if name in values and not isinstance(values[name], kind):
            raise ValueError(f"{name} is {values[name]!r:.40}")
    return values


def _lines(path: Path) -> list[str]:
    """Return the complete lines of a text file; what follows the last end of line is torn. Empty where it cannot be read."""
    try:
        text = read_text(path, MOST_ROWS, errors="replace")
    except OSError:
        return []
    lines = (line.removesuffix("\r") for line in text.split("\n")[:-1])  # a spreadsheet may have saved the file
    return [line for line in lines if line]


def _is_row(columns: list[str], row: list[str]) -> bool:
    cells = dict(zip(columns, row, strict=False))
    return len(row) == len(columns) and cells.get("step", "").isdecimal() and len(cells["step"]) < 16
