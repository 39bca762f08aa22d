"""A project's file: saved with a backup of what it was, and never over what another program has written.

Importable without torch.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import ConfigError
from core.files import read_text, write_atomic


@dataclass(frozen=True)
class Stamp:
    """What a file on disk was like: equal stamps, equal contents."""

    modified_ns: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Stamp a file; None where there is none, or it cannot be read."""
        with suppress(OSError, UnicodeDecodeError):
            modified_ns = path.stat().st_mtime_ns
            return cls(modified_ns, hashlib.sha256(read_text(path).encode()).hexdigest())
        return None

    def still_holds(self, path: Path) -> bool:
        """Whether the file has the contents it had; one that is gone or unreadable has not."""
        with suppress(OSError):
            if path.stat().st_mtime_ns == self.modified_ns:
                return True
        now = Stamp.of(path)
        return now is not None and now.digest == self.digest


def backup_of(path: Path) -> Path:
    """Where the version before the last save is kept."""
    return path.with_name(f"{path.name}.bak")


def save_project(config: RunConfig, path: Path) -> None:
    """Save a project atomically, and keep the version before it as NAME.toml.bak. Raises OSError.

    A file that cannot be read as a project does not replace the backup: that may be the last good version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(ConfigError):
        if path.exists() and settings.load(path) != config:
            write_atomic(backup_of(path), read_text(path))
    settings.save(config, path)
