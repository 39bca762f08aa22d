"""The real window drives the real engine through a run of seconds, on the generated cameras."""

import pytest
from PySide6.QtCore import Qt

from masktwins_gui.models.states import PageState, RunState


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_from_the_folders_to_the_exported_file(make_window, qtbot, project_file):
    window = make_window()
    assert window.files.open(project_file)
    qtbot.waitUntil(lambda: window.dataset.report is not None)
    assert window.dataset.num_errors == 0

    window.show_page("masks")
    qtbot.waitUntil(lambda: not window.masks.views["second"].image.isNull())

    window.show_page("train")
    with qtbot.waitSignal(window.controller.ended, timeout=120_000) as ended:
        click(qtbot, window.train.start)
    qtbot.waitUntil(lambda: window.controller.state is RunState.IDLE)
    finished = ended.args[0]
    assert (finished.step, finished.stopped) == (10, False)
    assert window.controller.shown.losses.series["source"].x.tolist() == list(range(1, 11))
    assert window.controller.shown.losses.series["twins"].x.tolist() == list(range(5, 11))
    assert set(window.controller.shown.quality.series) == {"source", "student", "teacher"}
    health = window.controller.shown.health
    assert (health.source.step, health.adapted.step) == (4, 10)
    assert health.verdict == finished.result["verdict"] != ""
    live = health.curves.series["score"].y.tolist()
    assert not window.train.previews.views["twin_b"].image.isNull()
    assert window.status.step.text() == "10 / 10"
    qtbot.waitUntil(lambda: window.rail.buttons["train"].state is PageState.DONE)

    (run,) = window.controller.runs.runs
    scores = finished.result["source_only"]["miou"], finished.result["teacher"]["miou"]
    assert window.train.header.result.text() == "{:.1f} → {:.1f} mIoU".format(*scores)
    marks = set(window.controller.shown.losses.marks)
    window.controller.shown.begin(None)
    window.controller.loader.show(run)  # from the disk
    qtbot.waitUntil(lambda: window.controller.shown.path == run.path)
    assert health.curves.series["score"].y.tolist() == pytest.approx(live, rel=1e-6)
    assert window.controller.shown.losses.series["source"].x.tolist() == list(range(1, 11))
    assert set(window.controller.shown.losses.marks) <= marks  # the checkpoints that were kept
    assert window.train.header.detail.text() == finished.result["verdict"]
    qtbot.waitUntil(lambda: not window.train.previews.views["twin_b"].image.isNull())  # the previews are read back
    assert window.controller.shown.filmstrip.steps == [5, 10]
    window.train.previews.filmstrip.setValue(0)
    qtbot.waitUntil(lambda: window.controller.shown.filmstrip.preview is not None)
    assert window.train.previews.step_label.text() == "step 5"
    assert window.train.losses.plot._playhead.value() == 5
    assert "finished" in window.train.log.toPlainText()

    window.show_page("inspect")
    inspect = window.inspect
    qtbot.waitUntil(lambda: not inspect.compare.second.overlay.isNull())
    assert inspect.panel.scores.rowCount() == len(window.dataset.holdings.space.classes) + 1
    assert inspect.panel.measured_on.text() == "As the run measured it on all labelled images"
    click(qtbot, inspect.panel.measure)
    qtbot.waitUntil(lambda: inspect.panel.coverage.text() == "3 of 3 images compared")
    assert inspect.panel.measured_on.text() == "Over 3 of 3 labelled images"
    assert inspect.view.stage.text() == "Computed on CPU"
    measured = inspect.panel.scores.data(inspect.panel.scores.index(inspect.panel.scores.rowCount() - 1, 2))
    assert measured == f"{finished.result['teacher']['miou']:.1f}"

    window.show_page("export")
    window.export.formats["onnx"].setChecked(False)
    click(qtbot, window.export.run)
    qtbot.waitUntil(lambda: window.export.open.isVisible())
    written = window.controller.run_path / "export" / "model.safetensors"
    assert written.stat().st_size == window.export.rows.rows[0].num_bytes


def test_stop_and_resume(make_window, qtbot, project_file):
    window = make_window()
    window.files.open(project_file)
    qtbot.waitUntil(lambda: window.dataset.complete)
    window.project.change({"training.steps": 5000, "training.preview_interval": 0, "training.evaluation_interval": 0})
    click(qtbot, window.train.start)
    qtbot.waitUntil(lambda: len(window.controller.shown.losses.series.get("twins", ())) >= 1)
    click(qtbot, window.train.pause)
    qtbot.waitUntil(lambda: window.controller.state is RunState.PAUSED)
    with qtbot.waitSignal(window.controller.ended) as ended:
        click(qtbot, window.train.stop)
    qtbot.waitUntil(lambda: window.controller.state is RunState.IDLE)
    stopped_at = ended.args[0].step
    assert ended.args[0].stopped
    path = window.controller.run_path
    assert (path / "checkpoints" / f"step-{stopped_at - 4:06d}" / "state.json").is_file()

    window.controller.resume_run(path)
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)
    series = window.controller.shown.losses.series
    qtbot.waitUntil(lambda: bool(series) and series["total"].x[-1] > stopped_at)
    steps = series["total"].x.tolist()
    assert steps == list(range(1, int(steps[-1]) + 1))  # one continuous curve
    with qtbot.waitSignal(window.controller.ended):
        click(qtbot, window.train.stop)
    qtbot.waitUntil(lambda: window.controller.state is RunState.IDLE)
