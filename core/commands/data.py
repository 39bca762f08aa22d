"""`check` and `init`: look at the data, and begin a project."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from core.commands.output import DONE, FAILED, CommandError, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import typed_changes
from core.configuration.settings import apply_preset, save, with_changes
from core.errors import RunError


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
    if arguments.out.exists():
        raise CommandError(f"{arguments.out} exists already. Choose another name, or delete it.")
    config = with_changes(apply_preset(RunConfig(), arguments.preset), _data_changes(arguments))
    config = _with_suggested_masks(config)
    try:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        save(config, arguments.out)
    except OSError as error:
        raise CommandError(f"{arguments.out} cannot be written: {error.strerror or error}.") from error
    print(f"{arguments.out} is written. Train it with: masktwins adapt {arguments.out}")
    return DONE


def _with_suggested_masks(config: RunConfig) -> RunConfig:
    """Block size and ratio by the source labels; unchanged where these cannot be listed yet."""
    from core.checking.suggest import suggest
    from core.dataset.listing import list_data

    try:
        listing = list_data(config.data, needs_target=False)
    except RunError as error:
        print(f"The masks are the preset's: {error}", file=sys.stderr)
        return config
    labels = [pair.label for pair in listing.source if pair.label is not None]
    found = suggest(labels, listing.space, config.training.crop_hw)
    print(found.reason)
    changes = {"mask.block_size": found.block_size, "mask.block_fraction": 0.0, "mask.ratio": found.ratio}
    return with_changes(config, changes)
