"""The models that a run offers, as entries of a list."""

from __future__ import annotations

from core.events import Model
from core.runs.folder import CHECKPOINT_NAME
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import ModelChoice


def choices(run: RunInfo, words: dict[str, str]) -> list[ModelChoice]:
    """Every model of a run: source-only first, then the newest, the best, and each checkpoint, newest first.

    Where the source-only model was the best one, it is called so, and no adapted model is.

    Args:
        words: translated "source", "teacher", "student", "last", "best" and "step {0}".
    """
    found = []
    best = CHECKPOINT_NAME.match(run.best or "")
    if run.has_source:
        title = f"{words['source']}, {words['best']}" if best and best[1] == "source" else words["source"]
        found.append(ModelChoice(run.path, Model.SOURCE, "last", title))
    if not run.checkpoints:
        return found
    names = [("last", words["last"])]
    if best and best[1] == "step":
        names.append(("best", f"{words['best']} ({words['step {0}'].format(int(best[2]))})"))
    for _, total in reversed(run.checkpoints[:-1]):
        step = total - run.source_steps
        names.append((str(step), words["step {0}"].format(step)))
    for checkpoint, title in names:
        found += [
            ModelChoice(run.path, which, checkpoint, f"{words[which.value]}, {title}")
            for which in (Model.TEACHER, Model.STUDENT)
        ]
    return found
