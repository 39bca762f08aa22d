import pytest

from core.runs.folder import RunFolder
from masktwins_gui.models.health import HealthModel, reading
from masktwins_gui.models.runs import RunsModel, list_runs
from masktwins_gui.widgets.run_summary import RunSummary


@pytest.fixture
def summary(qtbot, small_data, tmp_path):
    for name in ("a-01", "b-01"):
        RunFolder(tmp_path / "runs" / name).create(small_data)
    runs = RunsModel()
    runs.set_runs(list_runs(tmp_path))
    widget = RunSummary(runs, HealthModel())
    qtbot.addWidget(widget)
    widget.show()
    return widget


def measured(score, *, is_source, collapsed=0.0):
    return reading(5, {"health_collapsed": collapsed}, score, is_source=is_source)


def test_the_score_stands_beside_the_source_only_model_s(summary):
    assert summary.score.text() == ""
    summary._health.add([measured(0.66, is_source=True)])
    assert summary.score.text() == "without labels: source-only 0.66"
    summary._health.add([measured(0.714, is_source=False)])
    assert summary.score.text() == "without labels: 0.71 (source-only 0.66)"
    summary._health.add([measured(float("nan"), is_source=False)])
    assert summary.score.text() == "without labels: – (source-only 0.66)"


def test_a_collapse_is_said(summary):
    summary._health.add([measured(0.6, is_source=True), measured(-0.5, is_source=False, collapsed=1.0)])
    assert "collapsed" in summary.score.text()
    assert summary.score.property("role") == "error"
    summary._health.add([measured(0.7, is_source=False)])
    assert "collapsed" not in summary.score.text()
    assert summary.score.property("role") != "error"


def test_the_verdict_takes_room_only_when_there_is_one(summary):
    assert not summary.verdict.isVisible()
    summary._health.set_verdict("The adapted model looks better.")
    assert summary.verdict.isVisible()
    assert summary.verdict.text() == "The adapted model looks better."
    summary._health.clear()
    assert not summary.verdict.isVisible()


def test_another_run_can_be_chosen(summary, qtbot, tmp_path):
    names = [summary.run.itemText(i) for i in range(summary.run.count())]
    assert sorted(names) == ["a-01", "b-01"]
    assert summary.run.currentIndex() == -1
    summary.show_run(tmp_path / "runs" / "b-01")
    assert summary.run.currentText() == "b-01"
    with qtbot.waitSignal(summary.chosen) as chosen:
        summary.run.activated.emit(names.index("a-01"))
    assert chosen.args[0].path == tmp_path / "runs" / "a-01"
    summary.show_run(tmp_path / "runs" / "c-01")  # it has just been started, and is not listed yet
    assert summary.run.currentText() == "c-01"
    summary.set_choosable(False)
    assert not summary.run.isEnabled()
