"""The sub-commands of the command line: each imports what it needs when it runs, prints, and returns its exit code."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from core.config import ConfigError, RunConfig
from core.events import Model, RunControl
from core.settings import apply_preset, load, parse_assignment, save, with_changes

DONE, FAILED, INTERRUPTED = 0, 1, 130
SAME_SIGNAL_S = 0.5


class CommandError(RuntimeError):
    """A command that failed; the message is the sentence to print."""


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


# Data -------------------------------------------------------------------------------------------


def _data_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("source_images", "source_labels", "target_images", "target_labels", "evaluation_images")
    found = {name: getattr(arguments, name, None) for name in names}
    return {f"data.{name}": path.resolve() for name, path in found.items() if path is not None}


def check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.data.check import check
    from core.progress import bar

    config = with_changes(RunConfig(), {**_data_changes(arguments), "data.label_space": arguments.label_space})
    crop = (arguments.crop, arguments.crop) if arguments.crop else config.training.crop_hw
    with bar("checking", "files") as progress:
        report = check(config.data, crop, progress=progress)
    if arguments.json:
        _print_json(report.to_json())
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
    from core.data.listing import list_data
    from core.data.suggest import suggest
    from core.events import RunError

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


# Training ---------------------------------------------------------------------------------------


def adapt(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if (arguments.config is None) == (arguments.resume is None):
        parser.error("adapt takes either RUN.toml or --resume DIR")
    changes = _assignments(arguments.changes, parser)
    control = _stoppable_control()
    with _processes() as group:
        run = _run_to_train(arguments, changes, control, group)
        return _train(run, control, group, as_json=arguments.json)


def _processes() -> AbstractContextManager[Any]:
    """The processes that torchrun has started; None, and no torch loaded yet, for the ordinary one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return nullcontext()
    from core.training.distributed import processes

    return processes()


def _run_to_train(arguments: argparse.Namespace, changes: dict[str, Any], control: Any, group: Any) -> Any:
    """The run to resume, or a new one, which the main process makes while the others wait."""
    from core.data.listing import create_run
    from core.runs import RunFolder, new_run_path

    if arguments.resume is not None:
        run = RunFolder(arguments.resume)
        if not RunFolder.is_run(run.path):
            raise CommandError(f"{run.path} is not a run: it has no run.toml.")
        if changes:
            control.change(changes)
        return run
    if group is not None and arguments.out is None:
        raise CommandError("Several processes need to be told where the run is: add --out DIR.")
    config = with_changes(load(arguments.config), changes)
    path = arguments.out or new_run_path(arguments.config.resolve().parent, arguments.config.stem)
    if group is None or group.is_main:
        create_run(config, path)
    if group is not None:
        group.wait()
    return RunFolder(path)


def _train(run: Any, control: Any, group: Any, *, as_json: bool) -> int:
    from core.events import Finished
    from core.progress import TrainingBar
    from core.training.distributed import SOLO
    from core.training.engine import adapt

    group = group or SOLO
    with TrainingBar() as progress:
        for event in adapt(control, run, group):
            if group.is_main:
                progress.show(event)
            if isinstance(event, Finished) and not group.is_main:
                return INTERRUPTED if event.stopped else DONE
            if isinstance(event, Finished):
                return _report_run(event.result, stopped=event.stopped, as_json=as_json)
    raise AssertionError("the engine's last event is Finished")


def _percent(value: float | None) -> str:
    return "unknown: no pixel is labelled" if value is None else f"{value:.1f}"


def _report_run(result: Any, *, stopped: bool, as_json: bool) -> int:
    if as_json:
        _print_json(result)
    else:
        print(f"run {result['run']}")
        for name in ("source_only", "student", "teacher", "oracle"):
            if result.get(name):
                print(
                    f"  {name:12} mIoU {_percent(result[name]['miou'])}  "
                    f"pixel accuracy {_percent(result[name]['pixel_accuracy'])}"
                )
        if result.get("verdict"):
            print(f"  {result['verdict']}")
        if "gap_closed" in result:
            print(f"  gap closed   {result['gap_closed']}")
    if stopped:
        print(f"Stopped with a checkpoint. Go on with: masktwins adapt --resume {result['run']}", file=sys.stderr)
    return INTERRUPTED if stopped else DONE


def _assignments(texts: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    try:
        changes = dict(parse_assignment(text) for text in texts)
        with_changes(RunConfig(), {path: value for path, value in changes.items() if path.startswith("data.")})
    except ConfigError as error:
        parser.error(str(error))
    return changes


def _stoppable_control() -> Any:
    """A RunControl that the first Ctrl-C (or SIGTERM) stops with a checkpoint; a second Ctrl-C ends the process at once.

    torchrun passes on to its processes what they were sent themselves: a signal that comes again right after the first is
    the same one, and of SIGTERM (a cluster's end of time) every further one is.
    """

    control = RunControl()
    stopped_at = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_at
        if control.stopping:
            if number == signal.SIGINT and time.monotonic() - stopped_at > SAME_SIGNAL_S:
                os._exit(INTERRUPTED)
            return
        stopped_at = time.monotonic()
        control.stop()
        print("\nStopping with a checkpoint; press Ctrl-C again to end at once.", file=sys.stderr)

    for name in ("SIGINT", "SIGTERM"):
        with suppress(ValueError):  # not the main thread
            signal.signal(getattr(signal, name), stop)
    return control


def demo(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.demonstration import make_project, run_headless
    from core.progress import TrainingBar, bar

    if not arguments.headless:
        raise CommandError(
            f"The demo's window is opened by the masktwins program: masktwins demo {arguments.directory}"
        )
    with bar("making the demo", "images") as progress:
        project = make_project(arguments.directory, seed=arguments.seed, steps=arguments.steps, progress=progress)
    control = _stoppable_control()
    with TrainingBar() as progress:
        result = run_headless(project, control, lambda name, event: progress.show(event, name))
    return _report_run(result, stopped=control.stopping, as_json=arguments.json)


# Models -----------------------------------------------------------------------------------------


def _load(arguments: argparse.Namespace) -> Any:
    from core.networks.store import StoreError, load_model

    try:
        return load_model(arguments.model, Model(arguments.weights), arguments.checkpoint)
    except StoreError as error:
        raise CommandError(str(error)) from error


def _predictor(model: Any) -> Any:
    from core.evaluation.predictor import Predictor
    from core.training.device import choose_device

    return Predictor(model.segmenter, device=choose_device()[0])


def evaluate(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.data.folders import scan
    from core.evaluation.metrics import miou_over
    from core.evaluation.predict import evaluate
    from core.progress import bar

    model = _load(arguments)
    pairs = [pair for pair in scan(arguments.images, arguments.labels).pairs if pair.label is not None]
    if not pairs:
        raise CommandError(f"No image in {arguments.images} has a label in {arguments.labels}.")
    space = _label_space(arguments, model, [pair.label for pair in pairs if pair.label is not None])
    chosen = [name.strip() for name in arguments.classes.split(",")] if arguments.classes else None
    if chosen and (unknown := [name for name in chosen if name not in model.classes]):
        parser.error(f"the model has no class {', '.join(unknown)}; its classes are {', '.join(model.classes)}")
    with bar("evaluating", "images") as progress:
        scores = evaluate(_predictor(model), pairs, space, progress=progress)
    result = scores.to_json()
    if chosen:
        over = miou_over(scores, chosen)
        result["miou_classes"] = None if math.isnan(over) else over
    if arguments.json:
        _print_json(result)
        return DONE
    for name, value in result["per_class"].items():
        print(f"{name:20} {'-' if value is None else f'{value:.1f}'}")
    print(
        f"{'mIoU':20} {_percent(result['miou'])}"
        + (f" ({_percent(result['miou_classes'])} over the chosen)" if chosen else "")
    )
    print(f"{'pixel accuracy':20} {_percent(result['pixel_accuracy'])}")
    return DONE


def _label_space(arguments: argparse.Namespace, model: Any, labels: Sequence[Path]) -> Any:
    """How to read the labels: as asked, as the model's run read its own, or as recognised; with the model's classes."""
    from core.data.listing import LABEL_SPACE_FILE
    from core.data.recognise import resolve_space
    from core.labels import Encoding, LabelSpaceError

    name = arguments.label_space
    of_run = next((f for p in model.path.parents if (f := p / LABEL_SPACE_FILE).is_file()), None)
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
    from core.evaluation.predict import OutputKind, predict_path
    from core.evaluation.predictor import PredictionError
    from core.progress import bar

    model = _load(arguments)
    kind = OutputKind(arguments.kind)
    try:
        with bar("predicting", "images") as progress:
            outcome = predict_path(
                _predictor(model), arguments.input, arguments.output, kind, model.palette, progress=progress
            )
    except (PredictionError, OSError) as error:
        raise CommandError(str(error)) from error
    for problem in outcome.problems:
        print(f"left out: {problem.message}", file=sys.stderr)
    print(f"{outcome.written} written to {outcome.output}")
    return DONE if outcome.written else FAILED


def export(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.export.bundle import ExportError, Format, export
    from core.progress import bar
    from core.runs import RunFolder

    try:
        formats = [Format(name.strip()) for name in arguments.format.split(",")]
    except ValueError as error:
        parser.error(f"{error}; formats are {', '.join(Format)}")
    model = _load(arguments)
    config = RunFolder(arguments.model).config() if RunFolder.is_run(arguments.model) else None
    images = _comparison_images(arguments, config)
    try:
        with bar("exporting", "parts") as progress:
            report = export(model, arguments.out, formats, images, progress=progress, config=config)
    except ExportError as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        _print_json(report.to_json())
    else:
        print(f"{report.path}: {', '.join(report.files)}")
        for form, parity in report.parity.items():
            print(
                f"  {form.value:12} {parity.equal_pixels:.4%} of the pixels equal, largest difference {parity.largest_difference:.2g}"
            )
    return DONE


def _comparison_images(arguments: argparse.Namespace, config: RunConfig | None) -> list[Path]:
    from core.data.folders import scan

    folder = arguments.images or (config.data.target_images if config else None)
    if folder is None:
        raise CommandError("Name a folder of images to compare the exported model on: --images D.")
    images = [pair.image for pair in scan(folder).pairs]
    if not images:
        raise CommandError(f"There are no images in {folder} to compare the exported model on.")
    return images


# The installation -------------------------------------------------------------------------------


def bench(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.bench import run_bench

    result = run_bench(arguments.steps, arguments.device, lambda name: print(name, file=sys.stderr), arguments.only)
    if arguments.json:
        _print_json(result)
        return DONE
    print(
        f"{result['device']}: {result['device_reason']}, torch {result['torch']}, {result['threads']} threads, "
        f"matrices multiply at {result['gemm_gflops']:.0f} GFLOP/s in fp32, {result['gemm_gflops_bf16']:.0f} in bf16"
    )
    for row in result["configurations"]:
        print(
            f"{row['name']:44}{row['seconds_per_step']:8.3f} s/step{row['images_per_second']:7.1f} images/s"
            f"{row['memory_gib']:6.1f} GiB  step/plain {row['step_to_plain']:.2f}  loaded/cached {row['loaded_to_cached']:.2f}"
        )
        for variant, ratio in row["variant_to_step"].items():
            print(f"    {variant}: ×{ratio:.2f}")
        print("    " + "  ".join(f"{part} {seconds:.3f}" for part, seconds in row["parts"].items()))
        print("    " + "  ".join(f"{operator} {share:.0%}" for operator, share in row["operators"].items()))
    return DONE


def doctor(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.doctor import examine

    findings = examine()
    if arguments.json:
        _print_json({"ok": all(f.ok for f in findings), "findings": [f.to_json() for f in findings]})
    else:
        for finding in findings:
            print(f"{'ok ' if finding.ok else 'NO '} {finding.name:30}{finding.value}")
            if finding.remedy:
                print(f"{'':34}→ {finding.remedy}")
    return DONE if all(finding.ok for finding in findings) else FAILED
