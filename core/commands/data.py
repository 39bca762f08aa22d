"""`check` and `init`: look at the data, and begin a project."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.output import DONE, FAILED, CommandError, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import typed_changes
from core.configuration.sections import DataConfig
from core.configuration.settings import apply_preset, save, with_changes
from core.dataset.listing import Listing, labels_of, list_data
from core.errors import reason

if TYPE_CHECKING:
    from core.checking.report import ClassRow, Report


def _data_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of [data] that the command line names."""
    found = {name: getattr(arguments, name, None) for name in DataConfig.model_fields}
    given = {f"data.{name}": str(value) for name, value in found.items() if value is not None}
    return typed_changes(given)


def check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.checking.check import check
    from core.commands.progress import bar

    config = with_changes(RunConfig(), _data_changes(arguments))
    crop = (arguments.crop, arguments.crop) if arguments.crop else config.training.crop_hw
    with bar("checking", "files") as progress:
        report = check(config.data, crop, progress=progress)
    if arguments.json:
        print_json(report.to_json())
    else:
        _print(report)
        if report.suggestion is not None:
            print(f"Masks for crops of {crop[1]} × {crop[0]}: {report.suggestion.reason}")
        print("No errors." if report.ok else "Fix the errors before training.")
    if arguments.pictures is not None:
        _draw(config.data, report, arguments.pictures)
    return DONE if report.ok else FAILED


def _print(report: Report) -> None:
    for camera, words in report.pairing.items():
        print(f"{camera + ' pairing:':20}{words}")
    print(report.recognition)
    if report.target_recognition not in ("", report.recognition):
        print(f"Target labels: {report.target_recognition}")
    if rows := report.classes():
        _print_classes(rows)
    for problem in report.problems:
        print(f"{problem.severity.value:8}{problem.code}: {problem.message}")
        for path in problem.paths[:5]:
            print(f"          {path}")
        if len(problem.paths) > 5:
            print(f"          … and {len(problem.paths) - 5} more")


def _print_classes(rows: Sequence[ClassRow]) -> None:
    """The class table: how the labels write each class, and its share of the labelled pixels, by camera."""
    has_target = any(row.target_share is not None for row in rows)
    head = ["class", "in the files", "colour", "source", "files"]
    cells = [
        [
            row.name,
            row.written,
            "#{:02x}{:02x}{:02x}".format(*row.colour),
            _percent(row.source_share),
            str(row.source_files),
        ]
        for row in rows
    ]
    if has_target:
        head += ["target", "files"]
        for line, row in zip(cells, rows, strict=True):
            line += [_percent(row.target_share or 0.0), str(row.target_files)]
        if any(row.written_in_target != row.written for row in rows):
            head.append("in the target's files")
            for line, row in zip(cells, rows, strict=True):
                line.append(row.written_in_target)
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    for line in [head, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"


def _draw(data: DataConfig, report: Report, out: Path) -> None:
    """Write one contact sheet per camera."""
    from core.checking.pictures import write_sheets

    try:
        for path in write_sheets(data, report, out):
            print(f"{path} is written.")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {reason(error)}.") from error


def init(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if os.path.lexists(arguments.out):
        raise CommandError(f"{arguments.out} exists already. Choose another name, or delete it.")
    config = with_changes(apply_preset(RunConfig(), arguments.preset), _data_changes(arguments))
    listing = list_data(config.data)
    if config.data.target_labels and not listing.evaluation:
        raise CommandError(
            f"No image in {config.data.evaluation_images or config.data.target_images} has a label in "
            f"{config.data.target_labels}. Correct the folders, or leave --target-labels out."
        )
    config = _with_suggested_masks(config, listing)
    try:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        save(config, arguments.out)
    except OSError as error:
        raise CommandError(f"{arguments.out} cannot be written: {reason(error)}.") from error
    print(f"{arguments.out} is written. Train it with: masktwins adapt {shlex.quote(str(arguments.out))}")
    return DONE


def _with_suggested_masks(config: RunConfig, listing: Listing) -> RunConfig:
    """Block size and ratio by the source labels."""
    from core.checking.suggest import suggest

    print(f"Pairing: {listing.pairing}")
    print(listing.recognition.explanation)
    found = suggest(labels_of(listing.source), listing.space, config.training.crop_hw)
    print(found.reason)
    changes = {"mask.block_size": found.block_size, "mask.block_fraction": 0.0, "mask.ratio": found.ratio}
    return with_changes(config, changes)
