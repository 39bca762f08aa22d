"""What the tests of Inspect and Export share: runs that exist on paper, and predictions that the test makes."""

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt

from core.evaluation.compare import Ranked
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import Classes, Predicted

CLASSES = Classes(("road", "sky", "pole"), ((9, 9, 9), (8, 8, 200), (200, 8, 8)))


def run_info(path, *, checkpoints=(("step-000006", 10),), state="stopped", scores=None, best_by=None):
    return RunInfo(
        Path(path), state, 10, 10, "", checkpoints, True, False, None, scores or {}, source_steps=4,
        best_by=best_by or {},
    )  # fmt: skip


def predicted(value, size=(64, 96), certainty=255, place="CPU"):
    """A prediction of one class everywhere; `value` may be an array of ids."""
    ids = np.broadcast_to(np.asarray(value, np.uint8), size).copy()
    return Predicted(Ranked(ids[None], np.full((1, *size), certainty, np.uint8), 0.5), CLASSES, place)


def answer(inference, value=None, **options):
    """Answer the newest request for a prediction. Returns the request."""
    kind, request, (done, _, _) = inference.calls[-1]
    assert kind == "predict"
    done(predicted(0 if value is None else value, **options))
    return request


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
