"""How a command fails: every error becomes one sentence on stderr, and with `--json` an object on stdout.

What the system refuses is put into words by `core.errors.in_words`. Of an error that nobody foresaw the traceback goes into
a file, which the sentence names.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from core.commands.output import FAILED, print_json
from core.errors import did_you_mean, in_words

USAGE = 2
LONGEST_REASON = 300  # characters of an unforeseen error's own message


class UsageError(SystemExit):
    """Invalid usage of the command line: an exit like argparse's own, which `failed` reports."""

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(USAGE)
        self.message, self.usage = message, usage


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError and suggests the closest match."""

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message, re.DOTALL):
            hint = did_you_mean(match[1], re.findall(r"[\w-]+", match[2]))
            message = f"{message}. {hint}".strip()
        raise UsageError(f"{self.prog}: error: {message}", self.format_usage())


def failed(error: BaseException, *, as_json: bool) -> int:
    """Report an error and return the exit code."""
    if isinstance(error, UsageError):
        with suppress(OSError):
            print(f"{error.usage}{error.message}", file=sys.stderr)
        sentence, code = error.message, USAGE
    else:
        sentence, code = sentence_of(error), FAILED
        with suppress(OSError):  # the terminal may be what fails
            print(f"masktwins: {sentence}", file=sys.stderr)
    if as_json:
        with suppress(OSError):
            print_json({"error": sentence})
    return code


def sentence_of(error: BaseException) -> str:
    """Say what failed: the program's own words, the system's in words, or where the traceback of the rest is."""
    if is_foreseen(error):
        return str(error)
    return in_words(error) or unforeseen(error)


def is_foreseen(error: BaseException) -> bool:
    """Whether the message is a sentence of this program."""
    return type(error).__module__.startswith("core.")


def unforeseen(error: BaseException, log: Path | None = None) -> str:
    """Write the traceback into a file, of the run where there is one, and return the sentence that names it."""
    reason = (str(error).strip().splitlines() or [""])[0][:LONGEST_REASON]
    what = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    details = "".join(traceback.format_exception(error))
    place = _write_details(details, log)
    where = (
        f"The details are in {place}; please report them." if place else "The details could not be written anywhere."
    )
    return f"This is a fault in the program: {what}. {where}"


def _write_details(details: str, log: Path | None) -> Path | None:
    if log is not None:
        with suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
            return log
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="masktwins-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
        return Path(name)
    return None


def prepare_output() -> None:
    """Make stdout and stderr take every name of a file; where one is closed, what is written goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for as long as we run
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Let what is still to be written to a broken stdout go nowhere: else the interpreter complains at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
