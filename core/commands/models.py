"""`predict` and `export`: use a trained model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.output import DONE, FAILED, CommandError, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import move_data
from core.events import Model

if TYPE_CHECKING:
    from core.evaluation.predictor import Predictor
    from core.networks.origin import Origin
    from core.networks.store import LoadedModel


def load(arguments: argparse.Namespace) -> LoadedModel:
    from core.networks.store import StoreError, load_model

    try:
        return load_model(arguments.model, Model(arguments.weights), arguments.checkpoint)
    except StoreError as error:
        raise CommandError(str(error)) from error


def predictor(model: LoadedModel, arguments: argparse.Namespace) -> Predictor:
    """Predict with a model on the device and with the options that were asked for."""
    from core.configuration.choices import Precision
    from core.evaluation.predictor import Predictor
    from core.networks.device import choose_device, resolve_precision, set_float32_policy

    device, reason = choose_device(arguments.device)
    precision = resolve_precision(Precision(arguments.precision), device)
    set_float32_policy(precision, device)
    print(f"on {device} ({reason}), {precision.value}", file=sys.stderr)
    return Predictor(model.segmenter, device, arguments.window, batch_size=arguments.batch, precision=precision)


def predict(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.progress import bar
    from core.evaluation.files import OutputKind, predict_path
    from core.evaluation.predictor import PredictionError

    model = load(arguments)
    kind, ready = OutputKind(arguments.kind), predictor(model, arguments)
    try:
        with bar("predicting", "images") as progress:
            outcome = predict_path(ready, arguments.input, arguments.output, kind, model.palette, progress=progress)
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
    model = load(arguments)
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
                before=_source_only(origin),
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


def _source_only(origin: Origin | None) -> LoadedModel | None:
    """Load the run's source-only model, which the card's pictures compare with; None where there is none."""
    from core.networks.store import StoreError, load_model

    weights = origin.source_weights() if origin else None
    try:
        return load_model(weights) if weights else None
    except StoreError as error:
        raise CommandError(str(error)) from error


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
