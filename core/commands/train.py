"""`adapt` and `demo`: train, report, and stop on a signal with a checkpoint."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from core.commands.failures import is_foreseen, unforeseen
from core.commands.output import DONE, INTERRUPTED, CommandError, percent, print_json
from core.configuration.config import RunConfig
from core.configuration.paths import move_data, typed, typed_changes
from core.configuration.projects import backup_of
from core.configuration.settings import get, load, parse_assignment, with_changes
from core.control import RunControl
from core.errors import ConfigError, DataMissingError, RunError, in_words
from core.runs.create import create_run, discard_unstarted, new_run_path, why_not_a_name
from core.runs.folder import RunFolder
from core.runs.resume import prepare_resume

if TYPE_CHECKING:
    from core.training.distributed import Group

SAME_SIGNAL_S = 0.5


def adapt(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if (arguments.config is None) == (arguments.resume is None):
        parser.error("adapt takes either RUN.toml or --resume DIR")
    if arguments.more_steps and arguments.resume is None:
        parser.error("--more-steps needs --resume DIR; a new run's length is --set training.steps=N")
    changes = _assignments(arguments.changes, parser)
    control = stoppable_control()
    try:
        with _processes() as group:
            return _make_and_train(arguments, changes, control, group)
    except DataMissingError as error:
        raise CommandError(f"{error} Where the data have moved, say so with --data-root OLD=NEW.") from error


def _make_and_train(
    arguments: argparse.Namespace, changes: dict[str, Any], control: RunControl, group: Group | None
) -> int:
    run = _run_to_train(arguments, changes, group)
    try:
        return _train(run, control, group, as_json=arguments.json)
    except RunError:
        if arguments.resume is None and (group is None or group.is_main):
            discard_unstarted(run)  # so that the same command can be given again
        raise
    except Exception as error:
        if is_foreseen(error) or in_words(error) or isinstance(error, BrokenPipeError):
            raise
        raise CommandError(unforeseen(error, run.log_path)) from error


def _processes() -> AbstractContextManager[Group | None]:
    """The processes that torchrun has started; None, and no torch loaded yet, for the ordinary one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return nullcontext()
    from core.training.distributed import processes

    return processes()


def _run_to_train(arguments: argparse.Namespace, changes: dict[str, Any], group: Group | None) -> RunFolder:
    """The run to resume, or a new one, which the main process makes while the others wait."""
    if group is not None and arguments.resume is None and arguments.out is None:
        raise CommandError("Several processes need to be told where the run is: add --out DIR.")
    run = None
    if group is None or group.is_main:
        run = _to_resume(arguments, changes) if arguments.resume is not None else _new_run(arguments, changes)
    if group is not None:
        group.wait()
    return run or RunFolder(arguments.resume or arguments.out)


def _to_resume(arguments: argparse.Namespace, changes: dict[str, Any]) -> RunFolder:
    run = RunFolder(arguments.resume)
    if not RunFolder.is_run(run.path):
        raise CommandError(f"{run.path} is not a run: it has no run.toml.")
    if changes or arguments.more_steps or arguments.data_root:
        prepare_resume(run, changes, more_steps=arguments.more_steps, data_roots=arguments.data_root)
    return run


def _new_run(arguments: argparse.Namespace, changes: dict[str, Any]) -> RunFolder:
    config = with_changes(move_data(_load(arguments.config), arguments.data_root), changes)
    place = typed(arguments.config).parent
    project = RunFolder(place).project if RunFolder.is_run(place) else place
    stem = arguments.config.stem
    path = arguments.out or new_run_path(project, "run" if why_not_a_name(stem) else stem)
    return create_run(config, path, project)


def _load(path: Path) -> RunConfig:
    try:
        return load(path)
    except ConfigError as error:
        if backup_of(path).is_file():
            raise ConfigError(f"{error} The version before its last save is kept in {backup_of(path)}.") from None
        raise


def _train(run: RunFolder, control: RunControl, group: Group | None, *, as_json: bool) -> int:
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


def _report_run(result: Mapping[str, Any], *, stopped: bool, as_json: bool) -> int:
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
        changes = typed_changes(dict(parse_assignment(text) for text in texts))
        for path in changes:
            get(RunConfig(), path)
    except ConfigError as error:
        parser.error(str(error))
    return changes


def stoppable_control() -> RunControl:
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
    control = stoppable_control()
    with TrainingBar() as progress:
        result = run_headless(project, control, lambda name, event: progress.show(event, name))
    return _report_run(result, stopped=control.stopping, as_json=arguments.json)
