"""`adapt` and `demo`: train, report, and stop on a signal with a checkpoint."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from types import FrameType
from typing import Any

from core.commands.output import DONE, INTERRUPTED, CommandError, percent, print_json
from core.configuration.config import RunConfig
from core.configuration.settings import load, parse_assignment, with_changes
from core.control import RunControl
from core.errors import ConfigError

SAME_SIGNAL_S = 0.5


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
    from core.runs.create import create_run, new_run_path
    from core.runs.folder import RunFolder

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
    from core.commands.progress import TrainingBar
    from core.events import Finished
    from core.training.distributed import SOLO
    from core.training.loop import adapt

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


def _report_run(result: Any, *, stopped: bool, as_json: bool) -> int:
    if as_json:
        print_json(result)
    else:
        print(f"run {result['run']}")
        for name in ("source_only", "student", "teacher", "oracle"):
            if result.get(name):
                print(
                    f"  {name:12} mIoU {percent(result[name]['miou'])}  "
                    f"pixel accuracy {percent(result[name]['pixel_accuracy'])}"
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
    from core.commands.demo import make_project, run_headless
    from core.commands.progress import TrainingBar, bar

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
