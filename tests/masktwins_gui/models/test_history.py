"""A run's files as curves, marks and messages; the shown run; the comparison of several."""

import numpy as np
import pytest

from core.configuration import settings
from core.events import CheckpointSaved, Measuring, PreviewReady, SettingsChanged
from core.labels import LabelSpace, space_to_toml
from core.runs.folder import RunFolder
from masktwins_gui.models.comparison import Comparison, labels_of, repeats, spread_in_words
from masktwins_gui.models.curve_table import snapshot, to_csv
from masktwins_gui.models.curves import Series, TrainingTime
from masktwins_gui.models.history import read_history
from masktwins_gui.models.peaks import peaks
from masktwins_gui.models.runs import RunsModel, list_runs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.smoothing import Smoother
from tests.masktwins_gui.fakes import DirectJobs, preview, started, step_done

ROWS = (
    "step,phase,total,seconds_per_step,teacher_miou,health_score,health_stability\n"
    "2,source,3.0,1.0,,,\n4,source,2.0,1.0,,0.5,0.6\n6,adapt,1.0,2.0,,,\n8,adapt,0.5,2.0,61.0,0.7,0.8\n8,ad"
)


def make_run(root, config, name, *, scores=None, rows=ROWS, **changes):
    run = RunFolder(root / "runs" / name)
    run.create(settings.with_changes(config, {path.replace("__", "."): v for path, v in changes.items()}))
    run.metrics_path.write_text(rows)
    before, after = scores or (None, None)
    found = {"source": {"miou": before}, "teacher": {"miou": after}} if scores else {}
    run.write_status(state="finished", step=8, scores=found, device="cpu", device_reason="no CUDA device found")
    return run


@pytest.fixture
def run(small_data, tmp_path):
    run = make_run(tmp_path, small_data, "dusk-01")
    run.append_change(5, {"loss.twin_weight": 0.5})
    checkpoint = run.checkpoint_path(4)
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text("{}")
    run.log_path.write_text("2026 WARNING core: one image cannot be read\n")
    space = LabelSpace("two", ("road", "sky"), ((1, 2, 3), (4, 5, 6)))
    (run.path / "label_space.toml").write_text(space_to_toml(space))
    return run


def test_the_files_of_a_run_tell_its_training(run):
    found = read_history(run.path, smoothing=0.5)
    assert found.losses["total"].x.tolist() == [2, 4, 6, 8]  # the torn row is left out
    assert found.losses["total"].smooth[1] == pytest.approx((0.5 * 3 + 2) / 1.5)
    assert found.quality["teacher"].y.tolist() == [61.0]
    assert [(r.step, r.is_source) for r in found.readings] == [(4, True), (8, False)]
    assert found.health["stability"].y.tolist() == [0.6, 0.8]
    assert found.time.at(np.array([0, 4, 8])).tolist() == [0, 4, 12]
    assert [(m.step, m.kind) for m in found.marks] == [(4, "phase"), (5, "change"), (8, "checkpoint")]
    assert "0.5" in found.marks[1].text
    assert "2026 WARNING core: one image cannot be read" in found.log
    assert any("cpu" in line for line in found.log)
    assert found.classes == ("road", "sky")


def test_a_run_without_files_has_nothing_to_show(small_data, tmp_path):
    run = RunFolder(tmp_path / "runs" / "new-01")
    run.create(small_data)
    found = read_history(run.path)
    assert (found.losses, found.quality, found.health, found.readings) == ({}, {}, {}, ())


@pytest.fixture
def shown(qtbot):
    previews = {step: preview(step, step) for step in (4, 8)}
    return ShownRun(DirectJobs(), lambda run, step: previews[step])


def test_a_run_from_its_folder_and_a_live_one_fill_the_same_models(shown, run):
    shown.take(read_history(run.path), (4, 8), "better")
    assert shown.losses.series["total"].x.tolist() == [2, 4, 6, 8]
    assert shown.health.verdict == "better"
    assert shown.health.adapted.score == 0.7
    assert shown.filmstrip.step == 8
    assert shown.filmstrip.preview.frames[0]["target"][0, 0, 0] == 8
    shown.cut_after(4)  # it is resumed there
    assert shown.losses.series["total"].x.tolist() == [2, 4]
    assert shown.filmstrip.steps == [4]
    shown.add_steps([step_done(5)])
    assert shown.losses.series["total"].x.tolist() == [2, 4, 5]
    assert shown.time.at(np.array([5.0])).tolist() == [pytest.approx(4.1)]
    shown.begin(None)
    assert (shown.losses.series, shown.filmstrip.steps, list(shown.log), shown.classes) == ({}, [], [], ())


def test_marks_that_a_resumed_run_tells_again_stand_once(shown, run):
    shown.begin(run.path)
    for _ in range(2):
        shown.handle(SettingsChanged(5, {"loss.twin_weight": 0.5}))
        shown.handle(CheckpointSaved(8, run.checkpoint_path(4), 0.1))
    assert [mark.kind for mark in shown.losses.marks] == ["change", "checkpoint"]
    shown.handle(started(run))
    assert shown.classes == ("road", "sky")
    shown.handle(Measuring("scoring", 1, 2))  # nothing to keep


def test_the_filmstrip_follows_the_newest_until_one_looks_back(shown, run):
    shown.begin(run.path)
    for step in (10, 20):
        shown.handle(preview(step, step))
    strip = shown.filmstrip
    assert strip.step == 20
    strip.choose(11)
    assert strip.step == 10
    shown.handle(preview(30, 30))
    assert strip.step == 10
    strip.choose(29)
    shown.handle(preview(40, 40))
    assert strip.step == 40
    shown.handle(preview(25, 25))  # a resumed run went back
    assert strip.steps == [10, 20, 25]


def test_the_filmstrip_keeps_within_its_memory_and_reads_the_rest_again(qtbot, run):
    read = []

    def from_disk(path, step):
        read.append(step)
        return preview(step, step)

    shown = ShownRun(DirectJobs(), from_disk)
    shown.filmstrip._limit = 3 * 2 * 4 * 6 * 3
    shown.filmstrip.open(run.path, range(1, 21))
    for step in range(1, 21):
        shown.filmstrip.choose(step)
        assert shown.filmstrip.preview.step == step
    assert len(shown.filmstrip._kept) <= 3
    shown.filmstrip.choose(1)
    assert read[-1] == 1


def test_a_preview_that_was_thinned_out_meanwhile_is_left_out(qtbot, run):
    class FailingJobs(DirectJobs):
        def submit(self, key, function, done, failed=None, progress=None):
            try:
                result = function(self)
            except OSError as error:
                failed(str(error), "")
            else:
                done(result)
            return self.Handle()

    def read(path, step):
        if step == 20:
            raise FileNotFoundError(step)
        return preview(step, step)

    shown = ShownRun(FailingJobs(), read)
    shown.filmstrip.open(run.path, (10, 20, 30))
    shown.filmstrip.choose(20)
    assert shown.filmstrip.steps == [10, 30]
    assert shown.filmstrip.step in (10, 30)
    assert isinstance(shown.filmstrip.preview, PreviewReady)


# Several runs --------------------------------------------------------------------------------------


@pytest.fixture
def several(qtbot, small_data, tmp_path):
    for seed, after in ((0, 60.0), (1, 64.0)):
        make_run(tmp_path, small_data, f"seed-{seed}", scores=(30.0, after), training__seed=seed)
    make_run(tmp_path, small_data, "block-01", scores=(30.0, 70.0), mask__block_size=16)
    runs = RunsModel()
    runs.set_runs(list_runs(tmp_path))
    shown = ShownRun(DirectJobs(), lambda run, step: preview(step))
    return runs, shown, Comparison(runs, shown, DirectJobs())


def test_a_comparison_names_the_differing_settings_and_nothing_else(several):
    runs, _, comparison = several
    assert not comparison.active
    runs.tick([run.path for run in runs.runs if run.name != "block-01"])
    curves = comparison.curves("losses", "total")
    assert [curve.label for curve in curves] == ["seed-1 · Seed 1", "seed-0 · Seed 0"]
    runs.tick([run.path for run in runs.runs if run.name != "seed-1"])
    labels = labels_of(runs.ticked)
    assert sorted(labels.values()) == ["block-01 · Block size 16", "seed-0 · Block size 8"]
    assert set(comparison.names("health")) == {"score", "stability"}


def test_repeats_become_a_mean_with_a_band(several, small_data):
    runs, _, comparison = several
    runs.tick([run.path for run in runs.runs])
    (group,) = repeats(runs.ticked)
    assert {run.name for run in group} == {"seed-0", "seed-1"}
    assert spread_in_words(group) == "62.0 ± 2.8"
    rest, mean = comparison.curves("losses", "total", mean=True)
    assert rest.label == "block-01 · Block size 16, Seed 0"
    assert "mean of 2 seeds" in mean.label
    assert mean.series.x.tolist() == [2, 4, 6, 8]
    assert mean.spread.tolist() == [0, 0, 0, 0]


def test_a_live_run_is_compared_as_it_grows(several):
    runs, shown, comparison = several
    run = runs.runs[0]
    runs.tick([r.path for r in runs.runs[:2]])
    shown.begin(run.path)
    shown.add_steps([step_done(1), step_done(2)])
    assert comparison.curves("losses", "total")[0].series.x.tolist() == [1, 2]


def test_what_differs_from_the_run_before_is_said(several):
    runs, _, _ = several
    changes = " ".join(run.changed for run in runs.runs)
    assert "Seed" in changes
    assert "Block size" in changes
    assert "Learning rate" not in changes


# Numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.99])
def test_smoothing_a_whole_curve_is_smoothing_it_point_by_point(keep):
    values = np.random.default_rng(0).normal(size=3000)
    values[100] = np.nan
    mean = weight = 0.0
    expected = []
    for value in values:
        if np.isfinite(value):
            mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        expected.append(mean / weight if np.isfinite(value) else np.nan)
    smoother = Smoother(keep)
    found = np.concatenate([smoother.smooth(values[:1234]), smoother.smooth(values[1234:])])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_peaks_keep_the_extremes_of_every_column_and_what_is_in_view():
    x, y = np.arange(10_000.0), np.random.default_rng(0).normal(size=10_000)
    y[777] = 99.0
    few_x, few_y = peaks(x, y, 500, 0, 9999)
    assert len(few_x) <= 1100
    assert few_y.max() == 99.0
    assert (np.diff(few_x) >= 0).all()
    near_x, near_y = peaks(x, y, 500, 770, 790)
    assert near_x.tolist() == list(range(769, 792))
    assert near_y.max() == 99.0


def test_time_is_the_sum_of_the_steps():
    time = TrainingTime()
    assert time.at(np.array([5.0])).tolist() == [0]
    time.add(np.array([10.0, 20.0]), np.array([0.5, 1.0]))
    assert time.at(np.array([5.0, 10.0, 20.0])).tolist() == [2.5, 5.0, 15.0]
    assert time.step_at(10.0) == 15.0
    time.cut_after(10)
    time.add(np.array([20.0]), np.array([2.0]))
    assert time.at(np.array([20.0])).tolist() == [25.0]


def test_the_table_has_a_row_for_each_point():
    series, time = Series(0.5), TrainingTime()
    time.add(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    series.extend(np.array([1.0, 2.0]), np.array([0.5, np.nan]))
    assert to_csv([snapshot("total, mean", series, time)]).splitlines() == [
        "curve,step,seconds,value,smoothed",
        '"total, mean",1,3,0.5,0.5',
        '"total, mean",2,6,nan,nan',
    ]
