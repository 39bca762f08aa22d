"""Every option of the method through a whole run: it trains, is evaluated, and resumes."""

import math
from dataclasses import replace

import pytest
import torch
import torch._inductor.config

from core.configuration.choices import Precision
from core.control import RunControl
from core.errors import ConfigError, RunError
from core.evaluation import scoring
from core.evaluation.predictor import Predictor
from core.events import CheckpointSaved, Evaluated, HealthMeasured, Model, Preparing, StepDone, Warned
from core.training import judging
from core.training import session as session_module
from core.training.device import why_not_compiled
from core.training.loop import adapt
from tests.core.tiny import final_weights, train
from tests.core.training import train_shares

HRDA = {"network__hrda": True, "training__crop_size": 64}
OPTIONS = {
    "three views": {"mask__views": 3},
    "share of the crop": {"mask__block_fraction": 0.25},
    "masked features": {"mask__level": "features"},
    "AdaIN": {"augment__adain": True},
    "photometric jitter": {"augment__jitter_model": "photometric"},
    "ClassMix of the batch": {"augment__class_mix_from": "batch"},
    "one target image": {"training__target_batch_size": 1, "training__crop_size": 64},
    "rare classes": {"data__rare_class_sampling": True, "data__rare_class_temperature": 0.5},
    "margins": {"data__target_margin_top": 0.2, "data__target_margin_bottom": 0.2},
    "ramp": {"loss__ramp_steps": 4},
    "share of the batch": {"training__pseudo_label_share": "batch"},
    "HRDA": HRDA,
    "HRDA, all options": {
        **HRDA, "training__crop_size": 128, "mask__level": "features", "augment__adain": True, "mask__domain": "both",
        "training__target_batch_size": 1,
    },
    "HRDA as released": {
        **HRDA, "training__twin_forward": "separate", "training__twin_sub_crops": "separate",
        "training__last_sub_crop": False,
    },
    "DAFormer": {"network__architecture": "daformer"},
    "gradient checkpointing": {"training__gradient_checkpointing": True, "network__encoder": "mit_b0"},
    "a batch in two parts": {"training__accumulation": 2, "training__batch_size": 4, "augment__adain": True},
    "a ViT with DPT": {"network__architecture": "dpt", "network__encoder": "tu-test_vit"},
    "a ViT with a linear head": {"network__architecture": "linear", "network__encoder": "tu-test_vit"},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_trains(make_run, name):
    run = make_run(training__steps=3, training__source_steps=2, **OPTIONS[name])
    events = train(run)
    losses = [event.losses for event in events if isinstance(event, StepDone)]
    assert all(math.isfinite(value) for row in losses for value in row.values())
    assert {"mix", "twins", "consistency"} <= set(losses[-1])
    assert run.status()["state"] == "finished"


@pytest.mark.parametrize("name", ["HRDA, all options", "rare classes", "three views", "a batch in two parts"])
def test_a_run_with_options_resumes_exactly(make_run, name):
    whole, broken = make_run("whole", **OPTIONS[name]), make_run("broken", **OPTIONS[name])
    train(whole)
    control = RunControl()
    for event in adapt(control, broken):
        if isinstance(event, CheckpointSaved) and event.step >= 6:
            control.stop()
    assert broken.status()["state"] == "stopped"
    train(broken)
    assert final_weights(whole) == final_weights(broken)


def losses_of(events):
    return [value for event in events if isinstance(event, StepDone) for value in event.losses.values()]


def test_a_compiled_run_has_the_losses_of_a_plain_one(make_run):
    if reason := why_not_compiled("cpu"):
        pytest.skip(reason)
    still = {"training__learning_rate": 1e-7}  # Adam's first steps would enlarge what rounding leaves
    plain = losses_of(train(make_run("plain", **still)))
    assert losses_of(train(make_run("compiled", training__compile=True, **still))) == pytest.approx(plain, rel=1e-4)


def test_without_a_compiler_a_run_goes_on_without_torch_compile(make_run, monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "/nowhere/g++"))
    events = train(make_run("compiled", training__compile=True))
    warned = [event for event in events if isinstance(event, Warned) and event.code == "compile"]
    assert len(warned) == 1
    assert "No working C++ compiler" in warned[0].message
    assert losses_of(events) == losses_of(train(make_run("plain")))


def test_the_feature_distance_needs_the_starting_weights_again_on_resume(make_run):
    base = make_run("base")
    train(base)
    weights = str(base.checkpoints()[-1].path)
    changes = {"network__weights": weights, "loss__feature_distance_weight": 0.1, "training__source_steps": 0}
    whole, broken = make_run("whole", **changes), make_run("broken", **changes)
    events = train(whole)
    assert any("tensors come from" in event.message for event in events if isinstance(event, Preparing))
    distances = [event.losses["feature_distance"] for event in events if isinstance(event, StepDone)]
    assert distances[-1] > 0
    control = RunControl()
    for event in adapt(control, broken):
        if isinstance(event, CheckpointSaved):
            control.stop()
    train(broken)
    assert final_weights(whole) == final_weights(broken)


def test_an_unknown_class_of_the_feature_distance_is_named(make_run):
    base = make_run("base")
    train(base)
    run = make_run(
        network__weights=str(base.checkpoints()[-1].path), loss__feature_distance_weight=0.1,
        loss__feature_distance_classes="class 1, tram",
    )  # fmt: skip
    with pytest.raises(RunError, match="tram"):
        train(run)


def test_a_crop_that_hrda_cannot_halve_is_refused_with_one_that_it_can(make_run):
    with pytest.raises(RunError, match="multiple of 64: set it to 64"):
        train(make_run(network__hrda=True, training__crop_size=80))


def test_health_is_measured_at_each_evaluation_and_picks_the_checkpoint_without_labels(make_run):
    run = make_run(data__target_labels=None, data__evaluation_images=None, training__evaluation_interval=2)
    events = train(run)
    measured = [event for event in events if isinstance(event, HealthMeasured)]
    assert [event.step for event in measured] == [4, 6, 8, 10]
    assert [event.model.value for event in measured] == ["source", "teacher", "teacher", "teacher"]
    best = max(measured, key=lambda event: event.score)  # of equal ones the first
    expected = f"source-{best.step:06d}" if best.model.value == "source" else f"step-{best.step - 4:06d}"
    assert run.status()["best_checkpoint"] == expected
    rows = {row["step"]: row for row in run.metrics() if row["health_score"]}
    assert float(rows[str(best.step)]["health_score"]) == pytest.approx(best.score, rel=1e-6)
    assert events[-1].result["verdict"]
    assert events[-1].result["teacher"] is None


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_source_only_model_that_has_collapsed_is_warned_of_before_adapting(make_run, monkeypatch, collapsed):
    steps = judging.health_steps

    def measured(*arguments, **options):
        return replace((yield from steps(*arguments, **options)), collapsed=collapsed)

    monkeypatch.setattr(judging, "health_steps", measured)
    events = train(make_run())
    warned = [i for i, event in enumerate(events) if isinstance(event, Warned) and "source-only steps" in event.message]
    assert len(warned) == collapsed
    if collapsed:
        assert any(isinstance(e, StepDone) and e.step == 4 for e in events[: warned[0]])
        assert next(e for e in events[warned[0] :] if isinstance(e, StepDone)).step > 4


def test_batch_norm_with_a_single_value_is_explained(make_run):
    with pytest.raises(RunError, match=r"training\.target_batch_size"):
        train(make_run(training__target_batch_size=1, training__source_steps=0))


def test_a_run_without_adaptation_has_no_verdict(make_run):
    events = train(make_run(training__steps=0))
    assert [event.model.value for event in events if isinstance(event, HealthMeasured)] == ["source"]
    assert events[-1].result["verdict"] == ""


def test_a_run_is_evaluated_in_its_precision_with_each_image_read_once_for_all_models(make_run, monkeypatch):
    run = make_run(training__precision="bf16", training__steps=2, training__source_steps=1)
    made, opened, read = [], [], scoring.read_image

    class Watched(Predictor):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(kwargs["precision"])

    monkeypatch.setattr(judging, "Predictor", Watched)
    monkeypatch.setattr(scoring, "read_image", lambda path: opened.append(path) or read(path))
    events = train(run)
    evaluated = [event.model for event in events if isinstance(event, Evaluated)]
    assert evaluated == [Model.SOURCE, Model.STUDENT, Model.TEACHER]
    assert set(made) == {Precision.BF16}
    assert len(opened) == 2 * 3  # three images after the source steps, and at the end for both models


@pytest.mark.parametrize("options", [{}, {**HRDA, "mask__level": "features"}])
def test_gradient_checkpointing_changes_no_weight(make_run, options):
    plain = make_run("plain", **options)
    twice = make_run("twice", training__gradient_checkpointing=True, **options)
    train(plain)
    events = adapt(RunControl(), twice)
    for event in events:  # broken off once, and resumed
        if isinstance(event, CheckpointSaved) and event.step == 6:
            break
    events.close()
    train(twice)
    assert final_weights(twice) == final_weights(plain)


def test_a_network_without_blocks_says_that_checkpointing_saves_nothing(make_run, monkeypatch):
    monkeypatch.setattr(session_module, "recompute_blocks", lambda encoder: 0)
    events = train(make_run(training__gradient_checkpointing=True))
    assert "checkpointing" in {event.code for event in events if isinstance(event, Warned)}


def test_a_batch_in_parts_gives_the_losses_of_the_whole(make_run):
    """Without batch norm and dropout, whose results depend on the parts."""
    common = {
        "training__batch_size": 4, "training__log_interval": 1, "training__pseudo_label_threshold": 0.3,
        "network__encoder": train_shares.KINDS["plain"], "mask__domain": "both",
    }  # fmt: skip
    found = []
    with train_shares.Seams():
        for parts in (1, 2, 4):
            run = make_run(f"in {parts}", training__accumulation=parts, **common)
            events = train_shares.train(run.path)
            found.append([event.losses for event in events if isinstance(event, StepDone)])
    whole = found[0]
    assert whole[-1]["twins"] > 0
    for parts in found[1:]:
        for expected, losses in zip(whole, parts, strict=True):
            assert losses == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_batch_that_cannot_be_divided_into_parts_is_refused(make_run):
    with pytest.raises(ConfigError, match=r"training.batch_size 2 cannot be divided .* 3 equal parts"):
        make_run(training__accumulation=3)
