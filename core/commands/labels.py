"""`labels` and `convert`: make other people's labels usable."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.commands.output import DONE, FAILED, CommandError, print_json
from core.errors import reason
from core.labels import LabelSpaceError


def labels(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write a draft of a label space."""
    from core.dataset.class_names import NamesError, find_names, read_names
    from core.dataset.drafts import draft

    out: Path | None = arguments.output
    if out is not None and out.exists():
        raise CommandError(f"{out} exists already. Choose another name, or delete it.")
    files = _label_files(arguments)
    try:
        names = read_names(arguments.names) if arguments.names else find_names(arguments.directory)
        text = draft(files, names, arguments.directory.resolve().name)
    except (LabelSpaceError, NamesError) as error:
        raise CommandError(str(error)) from error
    if out is None:
        print(text)
        return DONE
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {reason(error)}.") from error
    print(f"{out} is written, from {len(files)} files. Edit it: names, colours, merge, ignore, counts.")
    return DONE


def _label_files(arguments: argparse.Namespace) -> list[Path]:
    from core.dataset.folders import Severity, scan

    found = scan(arguments.directory, files=arguments.files)
    if errors := [problem.message for problem in found.problems if problem.severity is Severity.ERROR]:
        raise CommandError(errors[0])
    return [pair.image for pair in found.pairs]


def convert(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write image folders and a label space from other formats."""
    from core.commands.progress import bar
    from core.conversion.convert import ConversionError, Options, convert

    options = Options(
        as_stored=arguments.as_stored,
        every=arguments.every,
        min_change=arguments.min_change,
        intensity=arguments.intensity,
        images=arguments.images,
    )
    try:
        with bar("converting", "files") as progress:
            report = convert(arguments.input, arguments.output, options, progress=progress)
    except ConversionError as error:
        raise CommandError(str(error)) from error
    for line in report.left_out:
        print(f"left out: {line}", file=sys.stderr)
    if arguments.json:
        print_json(report.to_json())
    else:
        print("\n".join(report.lines()))
    return DONE if report.num_written else FAILED
