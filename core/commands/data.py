"""`check` and `init`: look at the data, and begin a project."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any

from core.commands.output import DONE, FAILED, CommandError, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import typed_changes
from core.configuration.settings import apply_preset, save, with_changes
from core.dataset.listing import Listing, list_data
from core.errors import reason


def _data_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("source_images", "source_labels", "target_images", "target_labels", "evaluation_images")
    found = {name: getattr(arguments, name, None) for name in names}
    return typed_changes({f"data.{name}": str(path) for name, path in found.items() if path is not None})


def check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.checking.check import check
    from core.commands.progress import bar

    space = typed_changes({"data.label_space": arguments.label_space})
    config = with_changes(RunConfig(), {**_data_changes(arguments), **space})
    crop = (arguments.crop, arguments.crop) if arguments.crop else config.training.crop_hw
    with bar("checking", "files") as progress:
        report = check(config.data, crop, progress=progress)
    if arguments.json:
        print_json(report.to_json())
    else:
        print(report.recognition)
        for problem in report.problems:
            print(f"{problem.severity.value:8}{problem.code}: {problem.message}")
            for path in problem.paths[:5]:
                print(f"          {path}")
            if len(problem.paths) > 5:
                print(f"          … and {len(problem.paths) - 5} more")
        if report.suggestion is not None:
            print(f"Masks for crops of {crop[1]} × {crop[0]}: {report.suggestion.reason}")
        print("No errors." if report.ok else "Mend the errors before training.")
    return DONE if report.ok else FAILED


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

    labels = [pair.label for pair in listing.source if pair.label is not None]
    found = suggest(labels, listing.space, config.training.crop_hw)
    print(found.reason)
    changes = {"mask.block_size": found.block_size, "mask.block_fraction": 0.0, "mask.ratio": found.ratio}
    return with_changes(config, changes)
