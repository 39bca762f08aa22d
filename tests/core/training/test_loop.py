import json

import numpy as np
import pytest
import torch

from core.control import RunControl
from core.dataset.reading import read_image
from core.errors import RunError
from core.evaluation.predictor import Predictor
from core.events import (
    CheckpointSaved,
    Evaluated,
    Finished,
    Model,
    Paused,
    Phase,
    PhaseStarted,
    PreviewReady,
    Resumed,
    RunStarted,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.method.teacher import batch_norms
from core.networks.store import load_model
from core.runs.create import list_run
from core.training.loop import adapt
from core.training.session import Session
from tests.core.tiny import final_weights, tiny_config, train


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_a_run_from_folders_to_result(make_run):
    run = make_run(training__preview_interval=5)
    events = train(run)
    (started,) = of(events, RunStarted)
    assert (started.source_steps, started.total_steps, started.first_step) == (4, 10, 0)
    assert [(p.phase, p.step) for p in of(events, PhaseStarted)] == [(Phase.SOURCE, 0), (Phase.ADAPT, 4)]
    assert [s.step for s in of(events, StepDone)] == [2, 4, 6, 8, 10]
    assert set(of(events, StepDone)[0].losses) == {"total", "source"}
    last = of(events, StepDone)[-1]
    assert set(last.losses) == {"total", "source", "mix", "twins", "consistency"}
    assert last.losses["total"] == pytest.approx(sum(v for k, v in last.losses.items() if k != "total"), rel=1e-5)
    assert [(e.step, e.model) for e in of(events, Evaluated)] == [
        (4, Model.SOURCE), (8, Model.STUDENT), (8, Model.TEACHER), (10, Model.STUDENT), (10, Model.TEACHER),
    ]  # fmt: skip
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert not finished.stopped
    assert finished.result["source_only"]["miou"] is not None
    assert run.status()["state"] == "finished"
    assert run.status()["result"]["teacher"] == finished.result["teacher"]


def test_previews_hold_owned_pictures_and_are_kept_on_disk(make_run):
    run = make_run(training__preview_interval=5)
    previews = of(train(run), PreviewReady)
    assert [p.step for p in previews] == [5, 10]
    frame = previews[-1].frames[0]
    assert list(frame) == [
        "target", "pseudo_label", "confidence", "student", "teacher", "twin_a", "prediction_a", "twin_b", "prediction_b",
        "disagreement", "ground_truth",
    ]  # fmt: skip
    for picture in frame.values():
        assert picture.dtype == np.uint8
        assert picture.shape == (64, 64, 3)
    assert (run.previews_path / "000010.png").is_file()


def test_previews_and_evaluations_change_nothing(make_run):
    plain = make_run("plain", training__evaluation_interval=0, training__keep_checkpoints=99)
    watched = make_run(
        "watched", training__preview_interval=1, training__evaluation_interval=1, training__log_interval=1
    )
    train(plain)
    train(watched)
    assert final_weights(plain) == final_weights(watched)


def test_same_seed_same_weights_other_seed_others(make_run):
    runs = [make_run("a"), make_run("b", data__loader_threads=0), make_run("c", training__seed=1)]
    for run in runs:
        train(run)
    first, second, other = (final_weights(run) for run in runs)
    assert first == second
    assert first["student.safetensors"] != other["student.safetensors"]


def stop_after(run, step):
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step >= step:
            control.stop()
        last = event
    return last


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(make_run, step):
    whole, parts = make_run("whole"), make_run("parts", training__log_interval=1)
    train(whole)
    finished = stop_after(parts, step)
    assert finished.stopped
    assert parts.status()["state"] == "stopped"
    assert parts.checkpoints()[-1].step == step
    train(parts)
    assert final_weights(parts) == final_weights(whole)
    assert [int(row["step"]) for row in parts.metrics() if row["total"]] == list(range(1, 11))


def test_a_finished_run_only_prints_its_result(make_run):
    run = make_run()
    result = train(run)[-1].result
    before = final_weights(run)
    (event,) = train(run)
    assert event.result == json.loads(json.dumps(dict(result)))
    assert final_weights(run) == before


def test_metrics_rows_after_the_checkpoint_are_replaced(make_run):
    whole, parts = make_run("whole", training__log_interval=1), make_run("parts", training__log_interval=1)
    train(whole)
    generator = adapt(RunControl(), parts)
    for event in generator:
        if isinstance(event, StepDone) and event.step == 7:
            break
    generator.close()
    assert parts.status()["state"] == "interrupted"
    train(parts)
    columns = ("step", "phase", "total", "learning_rate", "teacher_miou")
    assert [[r[c] for c in columns] for r in parts.metrics()] == [[r[c] for c in columns] for r in whole.metrics()]


def test_pause_holds_within_one_step_and_stop_releases_it(make_run):
    control = RunControl()
    seen = []
    for event in adapt(control, make_run(training__log_interval=1)):
        seen.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            control.pause()
        if isinstance(event, Paused):
            assert event.step == 3
            control.resume()
        if isinstance(event, StepDone) and event.step == 6:
            control.pause()
            control.stop()
    assert len(of(seen, Paused)) == len(of(seen, Resumed)) == 1
    assert seen[-1].stopped
    assert seen[-1].step == 6


def test_changes_are_validated_recorded_and_replayed(make_run):
    control, run = RunControl(), make_run("changed", training__log_interval=1)
    events = []
    for event in adapt(control, run):
        events.append(event)
        if isinstance(event, StepDone) and event.step == 5:
            control.change({"mask.block_size": 4, "training.learning_rate": 2e-3})
            control.change({"training.batch_size": 4})
            control.change({"mask.ratio": 7})
    (changed,) = of(events, SettingsChanged)
    assert changed.step == 5
    assert [w.code for w in of(events, Warned)] == ["change_refused", "change_refused"]
    assert run.changes() == [(5, {"mask.block_size": 4, "training.learning_rate": 2e-3})]
    assert run.config_at(4).mask.block_size == 8
    assert run.config_at(5).mask.block_size == 4

    again = make_run("again")  # the same changes, made by the file: what a resume from before them does
    again.append_change(5, changed.changes)
    train(again)
    assert final_weights(again) == final_weights(run)
    plain = make_run("plain")
    train(plain)
    assert final_weights(plain) != final_weights(run)


def test_one_bad_image_is_reported_once_and_survived(tiny_data, tmp_path):
    import shutil

    from core.runs.create import create_run

    copy = tmp_path / "copy"
    shutil.copytree(tiny_data, copy)
    bad = copy / "source" / "images" / "source2.png"
    bad.write_bytes(bad.read_bytes()[:200])
    events = train(create_run(tiny_config(copy), tmp_path / "run"))
    assert [w.path for w in of(events, Warned)] == [bad]
    assert isinstance(events[-1], Finished)


def test_a_non_finite_step_ends_the_run_with_its_weights_intact(make_run, monkeypatch):
    run = make_run(training__log_interval=1)
    to_device = Session.to_device

    def poisoned(self, batch):
        images = to_device(self, batch)
        return images if self.step < 7 else type(images)(images.source * float("nan"), *list(vars(images).values())[1:])

    monkeypatch.setattr(Session, "to_device", poisoned)
    with pytest.raises(RunError, match="not a finite number"):
        train(run)
    assert run.status()["state"] == "failed"
    from safetensors.torch import load_file

    for file in run.checkpoints()[-1].path.glob("*.safetensors"):
        assert all(torch.isfinite(t).all() for t in load_file(file).values())


def test_out_of_memory_leaves_a_checkpoint_and_says_what_to_lower(make_run, monkeypatch):
    run = make_run(training__checkpoint_interval=100, training__evaluation_interval=0)
    step = Session.train_step

    def failing(self, batch):
        if self.step == 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(Session, "train_step", failing)
    with pytest.raises(RunError, match=r"training\.crop_size"):
        train(run)
    assert run.checkpoints()[-1].step == 7
    monkeypatch.undo()
    assert not train(run)[-1].stopped


def test_a_broken_device_asks_for_a_restart(make_run, monkeypatch):
    def failing(self, batch):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")

    run = make_run()
    monkeypatch.setattr(Session, "train_step", failing)
    with pytest.raises(RunError, match="restart the program and resume"):
        train(run)
    assert "illegal memory access" in run.status()["reason"]


def test_two_writers_are_refused(make_run):
    run = make_run()
    generator = adapt(RunControl(), run)
    next(generator)
    with pytest.raises(RunError, match="another process"):
        train(run)
    generator.close()
    train(run)


def test_source_only_runs_need_no_target(make_run):
    run = make_run(data__target_images=None, data__target_labels=None, training__steps=0)
    events = train(run)
    assert events[-1].result["teacher"] is None
    assert run.checkpoints()[-1].is_source


def test_adapting_without_target_images_is_refused(make_run):
    with pytest.raises(RunError, match="target images"):
        make_run(data__target_images=None)


def test_without_target_labels_there_are_no_scores(make_run):
    events = train(make_run(data__target_labels=None))
    assert not of(events, Evaluated)
    assert events[-1].result["teacher"] is None


def test_old_checkpoints_go_but_the_best_and_the_source_stay(make_run):
    run = make_run(training__checkpoint_interval=1, training__keep_checkpoints=1, training__evaluation_interval=1)
    events = train(run)
    names = {ref.path.name for ref in run.checkpoints()}
    best = max((e for e in of(events, Evaluated) if e.model is Model.TEACHER), key=lambda e: e.scores.miou)
    assert run.status()["best_checkpoint"] == f"step-{best.step - 4:06d}"
    assert names == {"source-000004", f"step-{best.step - 4:06d}", "step-000006"}


def test_a_full_disk_is_reported_and_training_goes_on(make_run, monkeypatch):
    from core.training import checkpoint

    write, calls = checkpoint.write_durably, []

    def full(path, content):
        calls.append(path)
        if 6 <= len(calls) <= 8:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(checkpoint, "write_durably", full)
    events = train(make_run())
    assert "No space left" in " ".join(w.message for w in of(events, Warned))
    assert isinstance(events[-1], Finished)
    assert of(events, CheckpointSaved)[-1].step == 10


def test_changed_data_is_said_on_resume(make_run, tiny_data, tmp_path):
    import shutil

    from core.runs.create import create_run

    copy = tmp_path / "copy"
    shutil.copytree(tiny_data, copy)
    run = create_run(tiny_config(copy), tmp_path / "run")
    stop_after(run, 4)
    (copy / "target" / "images" / "target0.png").unlink()
    assert "data_changed" in [w.code for w in of(train(run), Warned)]


def test_the_teacher_is_kept_with_the_statistics_of_whole_target_images_and_of_the_student(make_run):
    run = make_run(training__teacher_target_share=0.75)
    train(run)
    teacher, student = (load_model(run.path, which).segmenter for which in (Model.TEACHER, Model.STUDENT))
    norm, of_student = batch_norms(teacher)[0], batch_norms(student)[0].running_mean
    kept = norm.running_mean.clone()
    seen = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    for pair in list_run(run).target:
        Predictor(teacher).logits(read_image(pair.image))
    torch.testing.assert_close(kept, 0.75 * torch.stack(seen).mean(0) + 0.25 * of_student, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("target", "images"), [(None, 4), (1, 3)])
def test_images_per_second_counts_the_images_of_a_step(make_run, target, images):
    steps = of(train(make_run(training__target_batch_size=target, training__crop_size=64)), StepDone)
    counted = [round(step.images_per_second * step.seconds_per_step, 6) for step in steps]
    assert counted == [2, 2, images, images, images]


def test_the_time_left_counts_measurements_and_previews(make_run, monkeypatch):
    from core.training.meter import Chore, Meter

    seen, seconds_left = [], Meter.seconds_left

    def watched(self, training, step):
        seen.append((step, dict(self.chore_cost)))
        return seconds_left(self, training, step)

    monkeypatch.setattr(Meter, "seconds_left", watched)
    train(make_run(training__preview_interval=2))
    costs = dict(seen)[8]
    assert set(costs) == set(Chore)
    assert all(cost > 0 for cost in costs.values())
