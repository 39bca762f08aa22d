import pytest

from core.commands.gap import gap_closed, measure_gap
from core.control import RunControl
from core.errors import RunError
from core.runs.folder import RunFolder
from tests.core.tiny import final_weights, tiny_config, train


def scores(miou):
    return {"miou": miou}


@pytest.mark.parametrize(
    ("source_only", "adapted", "oracle", "expected"),
    [(40, 50, 60, 0.5), (40, 70, 60, 1.5), (40, 30, 60, -0.5), (40, 41, 44.9, None), (60, 50, 40, None)],
)
def test_share_of_the_gap(source_only, adapted, oracle, expected):
    assert gap_closed(scores(source_only), scores(adapted), scores(oracle)) == expected


def test_unknown_scores_give_no_share():
    assert gap_closed(None, scores(1), scores(2)) is None


@pytest.fixture(scope="module")
def measured(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap")
    config = tiny_config(tiny_data, data__target_images=tiny_data / "eval" / "images", data__evaluation_images=None)
    seen = []
    result = measure_gap(
        config, tiny_data / "eval" / "labels", folder, RunControl(), lambda name, event: seen.append((name, event))
    )
    return folder, config, result, seen


def test_three_runs_of_equal_totals(measured):
    folder, config, result, _ = measured
    assert {"source_only", "teacher", "oracle", "gap_closed"} <= set(result)
    for name in ("adapted", "source-only", "oracle"):
        run = RunFolder(folder / name)
        assert run.status()["state"] == "finished"
        assert run.config().training.total_steps == config.training.total_steps
    assert result["source_only"] == RunFolder(folder / "source-only").status()["result"]["source_only"]


def test_the_source_only_run_is_the_one_trained_from_scratch(measured, make_run):
    folder, _, _, _ = measured
    run = RunFolder(folder / "source-only")
    scratch = make_run("scratch", training__steps=0, training__source_steps=10)
    train(scratch)
    assert final_weights(run) == final_weights(scratch)


def test_measuring_again_trains_nothing(measured, tiny_data):
    folder, config, result, _ = measured
    seen = []
    again = measure_gap(
        config, tiny_data / "eval" / "labels", folder, RunControl(), lambda name, event: seen.append(event)
    )
    assert again == result
    assert len(seen) == 3


def test_runs_of_other_settings_are_not_taken_for_these(measured, tiny_data):
    folder, *_ = measured
    other = tiny_config(tiny_data, training__seed=5)
    with pytest.raises(RunError, match="other settings"):
        measure_gap(other, tiny_data / "eval" / "labels", folder, RunControl(), lambda name, event: None)
