"""What the sub-commands share: exit codes, the error that is one sentence, and how results are printed."""

from __future__ import annotations

import json
from typing import Any

DONE, FAILED, INTERRUPTED = 0, 1, 130


class CommandError(RuntimeError):
    """A command that failed; the message is the sentence to print."""


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def percent(value: float | None) -> str:
    return "unknown: no pixel is labelled" if value is None else f"{value:.1f}"
