"""The models that a run offers, as entries of a list."""

from __future__ import annotations

from collections.abc import Mapping

from core.events import Model
from core.runs.folder import CHECKPOINT_NAME
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import ModelChoice, ModelKind


def choices(run: RunInfo, words: Mapping[str, str]) -> list[ModelChoice]:
    """List every model of a run: source-only first, then the newest, the best ones, and each checkpoint, newest first.

    Where the source-only model was the best, its title says so. A checkpoint that was kept as the best one comes before the
    newest.

    Args:
        words: translated "source", "starting", "teacher", "student", "last", "miou", "health" (the best by each), and
            "step {0}".
    """
    found = []
    best = {by: CHECKPOINT_NAME.match(name) for by, name in run.best_by.items()}
    source_is_best = [words[by] for by in ("miou", "health") if (match := best.get(by)) and match[1] == "source"]
    if run.has_source:
        newest = f"source-{run.source_steps:06d}"
        title = ", ".join([words["source"], *source_is_best])
        found.append(ModelChoice(run.path, Model.SOURCE, "last", title, newest=newest))
    if run.config.network.weights not in ("imagenet", "none"):  # of a file, which can be looked at by themselves
        found.append(ModelChoice(run.path, Model.TEACHER, "last", words["starting"], ModelKind.STARTING))
    if not run.checkpoints:
        return found
    newest = run.checkpoints[-1][0]
    steps = [total - run.source_steps for _, total in reversed(run.checkpoints)]
    names = [("last", f"{words['last']} ({words['step {0}'].format(steps[0])})")]
    for by in ("miou", "health"):
        if (match := best.get(by)) and match[1] == "step":
            step = int(match[2])
            names.append((f"step-{step:06d}", f"{words[by]} ({words['step {0}'].format(step)})"))
    names += [(str(step), words["step {0}"].format(step)) for step in steps[1:]]
    chosen = CHECKPOINT_NAME.match(run.chosen)
    kept = {run.chosen, str(int(chosen[2]))} if chosen and chosen[1] == "step" else set()
    names.sort(key=lambda entry: entry[0] not in kept)  # what the user kept comes first, and is taken by default
    for checkpoint, title in names:
        stands_for = newest if checkpoint == "last" else ""
        found += [
            ModelChoice(run.path, which, checkpoint, f"{words[which.value]}, {title}", newest=stands_for)
            for which in (Model.TEACHER, Model.STUDENT)
        ]
    return found
