import math

import numpy as np

from core.evaluation.choice import PREFIX, TERMS
from core.evaluation.health import COLUMNS
from core.events import LOSS_NAMES, Model
from masktwins_gui.models.explanations import explanation
from masktwins_gui.models.health import CURVES, HealthModel, reading, readings
from masktwins_gui.widgets.curve_colours import NUM_COLOURS

GOOD = {"health_stability": 0.8, "health_drift": 0.1, "health_collapsed": 0.0, "teacher_miou": 40.0}


def columns(*rows):
    """Columns of metrics.csv from (step, cells)."""
    names = {name for _, cells in rows for name in cells}
    found = {name: np.array([cells.get(name, math.nan) for _, cells in rows]) for name in names}
    return {"step": np.array([float(step) for step, _ in rows]), **found}


def test_a_reading_takes_the_health_columns_alone():
    found = reading(7, {**GOOD, "health_score": 0.5, "health_entropy": math.nan}, 0.5, is_source=False)
    assert found.values == {"stability": 0.8, "drift": 0.1, "collapsed": 0.0}
    assert not found.collapsed
    assert reading(7, {"health_collapsed": 1.0}, -0.3, is_source=True).collapsed


def test_rows_up_to_the_end_of_the_source_steps_are_the_source_only_model_s():
    rows = columns((10, {"total": 1.0}), (20, {**GOOD, "health_score": 0.4}), (30, {**GOOD, "health_score": 0.6}))
    assert [(r.step, r.is_source, r.score) for r in readings(rows, 20)] == [(20, True, 0.4), (30, False, 0.6)]


def test_rows_of_an_earlier_version_have_no_reading():
    assert readings(columns((1, {"total": 3.0, "teacher_miou": 4.0}), (2, {"health_score": math.nan})), 0) == []


def test_the_model_keeps_the_newest_of_each_and_their_curves(qtbot):
    model = HealthModel()
    with qtbot.waitSignal(model.changed):
        model.add(readings(columns(*((s, {**GOOD, "health_score": s / 100}) for s in (20, 30, 40))), 20))
    assert (model.source.score, model.adapted.score) == (0.2, 0.4)
    assert model.curves.series["score"].y.tolist() == [0.2, 0.3, 0.4]
    assert set(model.curves.series) == {"score", "stability", "drift"}  # what is not known makes no curve
    model.set_verdict("better")
    model.clear()
    assert (model.source, model.adapted, model.verdict, model.curves.series) == (None, None, "", {})


def test_every_term_of_the_score_and_nothing_unmeasured_has_a_curve():
    assert set(TERMS) < set(CURVES)
    measured = {column.removeprefix(PREFIX) for column in COLUMNS}
    assert set(CURVES) - {"score"} <= measured
    assert len(CURVES) <= 2 * NUM_COLOURS  # colours, then dashes: else two lines look alike


def test_every_curve_explains_itself():
    assert all(explanation("health", name) for name in CURVES)
    assert all(explanation("losses", name) for name in LOSS_NAMES)
    assert all(explanation("quality", model.value) for model in Model)
    assert "proxy" in explanation("health", "score")
    assert explanation("health", "of another version") == ""
