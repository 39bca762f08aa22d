"""`evaluate`: score a model against labels."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.models import load, predictor
from core.commands.output import DONE, FAILED, CommandError, percent, print_json
from core.errors import did_you_mean

if TYPE_CHECKING:
    from core.dataset.folders import Pair
    from core.events import Scores
    from core.labels import LabelSpace


def evaluate(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the scores. Fails where nothing could be measured, or too many pixels have an unknown value."""
    from core.commands.progress import bar
    from core.dataset.listing import labels_of
    from core.evaluation.predictor import PredictionError
    from core.evaluation.scores import miou_over
    from core.evaluation.scoring import evaluate

    pairs = _pairs(arguments)
    model = load(arguments)
    space = _label_space(arguments, model, labels_of(pairs))
    chosen = [name.strip() for name in arguments.classes.split(",")] if arguments.classes else None
    if chosen and (unknown := [name for name in chosen if name not in model.classes]):
        hint = did_you_mean(unknown[0], model.classes)
        parser.error(f"the model has no class {', '.join(unknown)}; its classes are {', '.join(model.classes)}. {hint}")
    ready = predictor(model, arguments)
    try:
        with bar("evaluating", "images") as progress:
            scores = evaluate(ready, pairs, space, progress=progress)
    except PredictionError as error:
        raise CommandError(str(error)) from error
    result = scores.to_json()
    if chosen:
        over = miou_over(scores, chosen)
        result["miou_classes"] = None if math.isnan(over) else over
    if arguments.json:
        print_json(result)
    else:
        _print(result, chosen)
    return _verdict(scores, model.classes, arguments.allow_unknown)


def _pairs(arguments: argparse.Namespace) -> list[Pair]:
    """The images that have a label. Raises CommandError."""
    from core.dataset.folders import Severity, scan

    found = scan(arguments.images, arguments.labels, pairing=arguments.pairing, files=arguments.files)
    pairs = [pair for pair in found.pairs if pair.label is not None]
    if errors := [problem.message for problem in found.problems if problem.severity is Severity.ERROR]:
        raise CommandError(errors[0])
    if not pairs:
        raise CommandError(f"No image in {arguments.images} has a label in {arguments.labels}.")
    print(f"pairing: {found.pairing}", file=sys.stderr)
    return pairs


def _print(result: dict[str, Any], chosen: Sequence[str] | None) -> None:
    for name, value in result["per_class"].items():
        print(f"{name:20} {'-' if value is None else f'{value:.1f}'}")
    over = f" ({percent(result['miou_classes'])} over the chosen)" if chosen else ""
    print(f"{'mIoU':20} {percent(result['miou'])}{over}")
    print(f"{'pixel accuracy':20} {percent(result['pixel_accuracy'])}")


def _verdict(scores: Scores, classes: Sequence[str], allowed: float) -> int:
    """The exit code, with the reasons on stderr."""
    from core.dataset.unknown import words
    from core.evaluation.scoring import likely_exchanged

    share = sum(scores.unknown.values())
    if scores.unknown:
        remedy = " To accept this, give --allow-unknown SHARE." if share > allowed else ""
        print(f"masktwins: {words(scores.unknown)}{remedy}", file=sys.stderr)
    if math.isnan(scores.miou):
        print("masktwins: Nothing was measured: no pixel of the labels has a class of the model.", file=sys.stderr)
    if found := likely_exchanged(scores, classes):
        print(f"masktwins: {found}", file=sys.stderr)
    return FAILED if share > allowed or math.isnan(scores.miou) else DONE


def _label_space(arguments: argparse.Namespace, model: Any, labels: Sequence[Path]) -> LabelSpace:
    """How to read the labels, with the model's classes.

    As asked; else as a `label_space.toml` beside the labels says; else as the model's run read its labels; else as recognised.
    """
    from core.dataset.recognise import AUTO, own_file, resolve_space
    from core.labels import LabelSpaceError

    name = arguments.label_space
    if name == AUTO and own_file(labels) is None and (of_run := _of_run(model.path, arguments.labels)):
        name = str(of_run)
    try:
        return _with_classes(resolve_space(name, labels).space, model)
    except LabelSpaceError as error:
        raise CommandError(str(error)) from error


def _of_run(model: Path, labels: Path) -> Path | None:
    """The label space that the model's run keeps: the target's, unless these are the source's labels."""
    from core.configuration.settings import load as load_config
    from core.errors import ConfigError
    from core.runs.folder import LABEL_SPACE_FILE, TARGET_LABEL_SPACE_FILE, RunFolder

    folders = model.parents[:3]  # a checkpoint lies in its run, and so does an export
    run = next((folder for folder in folders if RunFolder.is_run(folder)), None)
    if run is None or not (run / LABEL_SPACE_FILE).is_file():
        return None
    target = run / TARGET_LABEL_SPACE_FILE
    try:
        source_labels = load_config(run / "run.toml").data.source_labels
    except ConfigError:
        source_labels = None
    is_source = source_labels is not None and source_labels.resolve() == labels.resolve()
    return target if target.is_file() and not is_source else run / LABEL_SPACE_FILE


def _with_classes(space: LabelSpace, model: Any) -> LabelSpace:
    """The space with the model's classes: by their names, else by their order where the number is the same."""
    from core.dataset.spaces import align, have_common_names
    from core.labels import Encoding

    if have_common_names(space, model.space):
        return replace(align(space, model.space)[0], uncounted=space.uncounted & set(model.classes))
    if space.num_classes == len(model.classes):
        uncounted = frozenset(
            new for old, new in zip(space.classes, model.classes, strict=True) if old in space.uncounted
        )
        return replace(space, classes=model.classes, palette=model.palette, uncounted=uncounted)
    if space.encoding in (Encoding.IDS, Encoding.PALETTE) and space.is_positional:
        return model.space  # numbers are class ids, whichever of them occur in these files
    raise CommandError(
        f"The labels were read as {space.num_classes} classes ({', '.join(space.classes)}), the model has "
        f"{len(model.classes)}. Say how to read them with --label-space NAME|TOML."
    )
