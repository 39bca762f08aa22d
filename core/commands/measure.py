"""`measure`: what a run would need, from a few real steps."""

from __future__ import annotations

import argparse

from core.commands.output import DONE, INTERRUPTED, print_json
from core.commands.train import stoppable_control
from core.configuration.paths import typed_changes
from core.configuration.settings import load, parse_assignment, with_changes
from core.errors import ConfigError
from core.events import Estimate, Measuring, Preparing

GIB = 2**30


def measure(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.progress import bar
    from core.training.measure import measure as measured

    try:
        changes = typed_changes(dict(parse_assignment(text) for text in arguments.changes))
    except ConfigError as error:
        parser.error(str(error))
    config = with_changes(load(arguments.config), changes)
    found: Estimate | None = None
    with bar("measuring", "steps") as progress:
        for event in measured(stoppable_control(), (config, arguments.config.resolve().parent)):
            match event:
                case Measuring(done=done, total=total):
                    progress(done, total)
                case Estimate():
                    found = event
                case Preparing() | _:
                    pass
    if found is None:
        return INTERRUPTED
    if arguments.json:
        print_json(found.to_json())
    else:
        print(_report(found))
    return DONE


def _report(found: Estimate) -> str:
    """Write the figures, one a line."""
    steps = (("source-only step", found.source_step_seconds), ("adaptation step", found.adapt_step_seconds))
    lines = [f"on {found.device} ({found.device_reason})"]
    lines += [f"  {name:17} {seconds:.3g} s" for name, seconds in steps if seconds is not None]
    lines += [
        f"  {'evaluation':17} {found.evaluation_seconds:.3g} s",
        f"  {'checkpoint':17} {found.checkpoint_seconds:.3g} s, {found.checkpoint_bytes / GIB:.2g} GiB",
        f"  {'in total':17} {found.total_seconds / 60:.1f} min",
        f"  {'memory':17} {found.memory_gib:.1f} of {found.memory_total_gib:.1f} GiB",
        f"  {'disk':17} {found.disk_bytes / GIB:.2g} of {found.disk_free_bytes / GIB:.0f} GiB that are free",
    ]
    return "\n".join(lines)
