"""A run's label and note: what a user calls it, and what they want to remember. Importable without torch.

They live in a small file of their own. The run's folder keeps its name, so that no path to it ever breaks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import RunError
from core.files import write_atomic

NOTES_FILE = "notes.json"
FORMAT_VERSION = 1
LONGEST_LABEL = 80  # characters
LONGEST_NOTE = 4000


@dataclass(frozen=True)
class Notes:
    """Both are plain text, and empty until a user writes something."""

    label: str = ""
    note: str = ""


def read_notes(run: Path) -> Notes:
    """Read a run's label and note; a file that is missing or cannot be read has none."""
    try:
        stored = json.loads((run / NOTES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Notes()
    if not isinstance(stored, dict):
        return Notes()
    return Notes(_label(str(stored.get("label", ""))), str(stored.get("note", ""))[:LONGEST_NOTE])


def write_notes(run: Path, notes: Notes) -> None:
    """Write a run's label and note.

    Raises:
        RunError: the text is too long, or the file cannot be written.
    """
    if len(notes.label) > LONGEST_LABEL:
        raise RunError(f"The name has {len(notes.label)} characters. Use at most {LONGEST_LABEL}.")
    if len(notes.note) > LONGEST_NOTE:
        raise RunError(f"The note has {len(notes.note)} characters. Use at most {LONGEST_NOTE}.")
    stored = {"format_version": FORMAT_VERSION, **asdict(Notes(_label(notes.label), notes.note))}
    try:
        write_atomic(run / NOTES_FILE, json.dumps(stored, ensure_ascii=False, indent=1))
    except OSError as error:
        raise RunError(
            f"{run / NOTES_FILE} could not be written: {error.strerror or error}. Check that the folder is writable."
        ) from error


def _label(text: str) -> str:
    """One line, without blanks around it."""
    return " ".join(text.split())[:LONGEST_LABEL]
