"""`evaluate`, `predict` and `export`: use a trained model."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.output import DONE, FAILED, CommandError, percent, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import move_data
from core.errors import did_you_mean
from core.events import Model

if TYPE_CHECKING:
    from core.evaluation.predictor import Predictor
    from core.labels import LabelSpace
    from core.networks.store import LoadedModel


def _load(arguments: argparse.Namespace) -> LoadedModel:
    from core.networks.store import StoreError, load_model

    try:
        return load_model(arguments.model, Model(arguments.weights), arguments.checkpoint)
    except StoreError as error:
        raise CommandError(str(error)) from error


def _predictor(model: LoadedModel, arguments: argparse.Namespace) -> Predictor:
    """Predict with a model on the device and with the options that were asked for."""
    from core.configuration.choices import Precision
    from core.evaluation.predictor import Predictor
    from core.networks.device import choose_device, resolve_precision, set_float32_policy

    device, reason = choose_device(arguments.device)
    precision = resolve_precision(Precision(arguments.precision), device)
    set_float32_policy(precision, device)
    print(f"on {device} ({reason}), {precision.value}", file=sys.stderr)
    return Predictor(model.segmenter, device, arguments.window, batch_size=arguments.batch, precision=precision)


def evaluate(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.progress import bar
    from core.dataset.folders import scan
    from core.evaluation.metrics import miou_over
    from core.evaluation.predictor import PredictionError
    from core.evaluation.scoring import evaluate

    model = _load(arguments)
    pairs = [pair for pair in scan(arguments.images, arguments.labels).pairs if pair.label is not None]
    if not pairs:
        raise CommandError(f"No image in {arguments.images} has a label in {arguments.labels}.")
    space = _label_space(arguments, model, [pair.label for pair in pairs if pair.label is not None])
    chosen = [name.strip() for name in arguments.classes.split(",")] if arguments.classes else None
    if chosen and (unknown := [name for name in chosen if name not in model.classes]):
        hint = did_you_mean(unknown[0], model.classes)
        parser.error(f"the model has no class {', '.join(unknown)}; its classes are {', '.join(model.classes)}. {hint}")
    predictor = _predictor(model, arguments)
    try:
        with bar("evaluating", "images") as progress:
            scores = evaluate(predictor, pairs, space, progress=progress)
    except PredictionError as error:
        raise CommandError(str(error)) from error
    result = scores.to_json()
    if chosen:
        over = miou_over(scores, chosen)
        result["miou_classes"] = None if math.isnan(over) else over
    if arguments.json:
        print_json(result)
        return DONE
    for name, value in result["per_class"].items():
        print(f"{name:20} {'-' if value is None else f'{value:.1f}'}")
    print(
        f"{'mIoU':20} {percent(result['miou'])}"
        + (f" ({percent(result['miou_classes'])} over the chosen)" if chosen else "")
    )
    print(f"{'pixel accuracy':20} {percent(result['pixel_accuracy'])}")
    return DONE


def _label_space(arguments: argparse.Namespace, model: LoadedModel, labels: Sequence[Path]) -> LabelSpace:
    """How to read the labels: as asked, as the model's run read its own, or as recognised; with the model's classes."""
    from core.dataset.recognise import resolve_space
    from core.labels import Encoding, LabelSpaceError
    from core.runs.folder import LABEL_SPACE_FILE, RunFolder

    name = arguments.label_space
    folders = [
        folder for folder in model.path.parents[:3] if RunFolder.is_run(folder)
    ]  # a checkpoint's, or an export's, run
    of_run = next((file for folder in folders if (file := folder / LABEL_SPACE_FILE).is_file()), None)
    try:
        space = resolve_space(str(of_run) if name == "auto" and of_run else name, labels).space
    except LabelSpaceError as error:
        raise CommandError(str(error)) from error
    if space.num_classes == len(model.classes):
        return replace(space, classes=model.classes, palette=model.palette)
    if space.encoding in (Encoding.IDS, Encoding.PALETTE) and not space.values:
        return model.space  # numbers are class ids, whichever of them occur in these files
    raise CommandError(
        f"The labels were read as {space.num_classes} classes ({', '.join(space.classes)}), the model has "
        f"{len(model.classes)}. Say how to read them with --label-space NAME|TOML."
    )


def predict(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.progress import bar
    from core.evaluation.files import OutputKind, predict_path
    from core.evaluation.predictor import PredictionError

    model = _load(arguments)
    kind, predictor = OutputKind(arguments.kind), _predictor(model, arguments)
    try:
        with bar("predicting", "images") as progress:
            outcome = predict_path(predictor, arguments.input, arguments.output, kind, model.palette, progress=progress)
    except (PredictionError, OSError) as error:
        raise CommandError(str(error)) from error
    for problem in outcome.problems:
        print(f"left out: {problem.message}", file=sys.stderr)
    print(f"{outcome.written} written to {outcome.output}")
    return DONE if outcome.written else FAILED


def export(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.progress import bar
    from core.export.bundle import ExportError, Format, export
    from core.networks.device import choose_device
    from core.networks.origin import origin_of

    try:
        formats = [Format(name.strip()) for name in arguments.format.split(",")]
    except ValueError as error:
        parser.error(f"{error}; formats are {', '.join(Format)}")
    model = _load(arguments)
    origin = origin_of(model.path)
    config, scores = (origin.config, origin.scores()) if origin else (None, None)
    if config is not None and arguments.data_root:
        config = move_data(config, arguments.data_root)
    images = _comparison_images(arguments, config)
    try:
        with bar("exporting", "parts") as progress:
            report = export(
                model,
                arguments.out,
                formats,
                images,
                progress=progress,
                config=config,
                scores=scores,
                device=choose_device(arguments.device)[0],
            )
    except ExportError as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        print_json(report.to_json())
    else:
        print(f"{report.path}: {', '.join(report.files)}")
        for form, parity in report.parity.items():
            print(
                f"  {form.value:12} {parity.equal_pixels:.4%} of the pixels equal, largest difference {parity.largest_difference:.2g}"
            )
    return DONE


def _comparison_images(arguments: argparse.Namespace, config: RunConfig | None) -> list[Path]:
    from core.dataset.folders import scan

    folder = arguments.images or (config.data.target_images if config else None)
    if folder is None:
        raise CommandError("Name a folder of images to compare the exported model on: --images D.")
    images = [pair.image for pair in scan(folder).pairs]
    if not images:
        raise CommandError(
            f"There are no images in {folder} to compare the exported model on. Where they have moved, say so with "
            "--data-root OLD=NEW, or name a folder with --images D."
        )
    return images
