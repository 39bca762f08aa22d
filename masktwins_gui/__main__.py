"""`masktwins`: with a sub-command the command line, else the window."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from core.commands.cli import COMMANDS
from core.commands.cli import main as run_command
from core.errors import did_you_mean, in_words
from core.memory import keep_freed_memory
from core.privacy import report_nothing
from masktwins_gui.display import unreachable
from masktwins_gui.system_libraries import complaint


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command, or open the window, on a project if one is given. Returns the exit code."""
    report_nothing()
    keep_freed_memory()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in COMMANDS and not _demo_with_window(arguments):
        return run_command(arguments)
    if arguments and arguments[0] == "demo":
        parser = argparse.ArgumentParser(prog="masktwins demo")
        parser.add_argument("directory", nargs="?", type=Path)
        chosen = parser.parse_args(arguments[1:])
        return _window(open_demo=True, demo=chosen.directory)
    options = _parser().parse_args(arguments)
    if options.start and options.project is None:
        print("masktwins: --start needs a project: masktwins PROJECT.toml --start", file=sys.stderr)  # noqa: T201
        return 2
    return _window(project=options.project, start=options.start)


def _why_not_a_project(path: Path) -> str:
    """Say why there is nothing to open; a file that cannot be read as a project is the window's to report."""
    try:
        if path.is_dir():
            return f"{path} is a folder. Name the project's TOML file in it."
        path.stat()
    except OSError as error:
        if path.suffix or path.parent != Path():
            return in_words(error) or str(error)
        hint = did_you_mean(path.name, COMMANDS) or f"The sub-commands are {', '.join(COMMANDS)}."
        return f"{path} is neither a sub-command nor a project's file. {hint}"
    return ""


def _demo_with_window(arguments: Sequence[str]) -> bool:
    """`demo` opens the window unless it is headless or asks for help or JSON."""
    return arguments[0] == "demo" and not any(a in ("--headless", "--json", "-h", "--help") for a in arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="masktwins",
        description="Adapt a segmentation model to a new camera without new labels.",
        epilog=f"Sub-commands without a window: {', '.join(COMMANDS)}; each takes --help.",
    )
    parser.add_argument("project", nargs="?", type=Path, metavar="PROJECT.toml", help="a project to open")
    parser.add_argument("--start", action="store_true", help="start the training at once")
    return parser


def _window(
    *, project: Path | None = None, start: bool = False, demo: Path | None = None, open_demo: bool = False
) -> int:
    if project is not None and (problem := _why_not_a_project(project)):
        print(f"masktwins: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    if problem := complaint() or unreachable():
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    if sys.platform == "win32":
        importlib.import_module("torch")  # on Windows torch's libraries must be loaded before Qt's
    from masktwins_gui.app import run

    return run(project, start=start, demo=demo, open_demo=open_demo)


if __name__ == "__main__":
    sys.exit(main())
