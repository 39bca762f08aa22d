import csv
import importlib.util
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.evaluation.choice import (
    choose_checkpoint,
    early_warning,
    is_better,
    score,
    score_of,
    values_of,
    verdict,
    worth,
)
from core.evaluation.health import Health

REPOSITORY = Path(__file__).resolve().parents[3]

FAIR = Health(
    variety=0.8,
    confidence=0.8,
    confident_share=0.3,
    entropy=0.3,
    twin_disagreement=0.4,
    agreement=0.9,
    stability=0.7,
    mutual_information=0.5,
    drift=0.2,
    classes_seen=5.0,
    missing_classes=0,
    collapsed=False,
)
COLLAPSED = replace(FAIR, stability=1.0, twin_disagreement=0.0, classes_seen=1.0, missing_classes=4, collapsed=True)


def row(step, health=None, **cells):
    found = {} if health is None else {name: f"{value:.8g}" for name, value in health.row().items()}
    return {"step": str(step), **found, **cells}


# The score -------------------------------------------------------------------------------------


def test_the_score_is_the_stated_product():
    assert score(FAIR) == pytest.approx(0.7 * 0.5)
    assert score(replace(FAIR, stability=1.0, mutual_information=1.0)) == pytest.approx(1)


@pytest.mark.parametrize("better", [{"stability": 0.8}, {"mutual_information": 0.6}])
def test_each_term_counts_in_its_direction(better):
    assert score(replace(FAIR, **better)) > score(FAIR)


@pytest.mark.parametrize(
    "other",
    [
        {"confidence": 1.0},
        {"confident_share": 1.0},
        {"entropy": 0.0},
        {"agreement": 1.0},
        {"twin_disagreement": 0.0},
        {"drift": 0.0},
        {"variety": 1.0},
    ],
)
def test_what_self_training_or_another_scene_changes_by_itself_does_not_count(other):
    assert score(replace(FAIR, **other)) == score(FAIR)


def test_a_collapsed_model_is_below_every_other():
    poor = replace(FAIR, stability=0.0, mutual_information=0.0)
    assert score(replace(COLLAPSED, mutual_information=0.99)) < score(poor)


def test_an_unknown_term_is_left_out():
    assert score(replace(FAIR, mutual_information=math.nan)) == pytest.approx(0.7)
    assert score_of({"stability": 0.7}) == pytest.approx(0.7)
    assert math.isnan(score_of({"confidence": 1.0}))


# Checkpoints -----------------------------------------------------------------------------------


def test_the_best_row_is_chosen_and_rows_without_health_are_passed_over():
    good = replace(FAIR, stability=0.9)
    rows = [
        row(1),
        row(2, FAIR),
        row(3, good),
        row(4),
        row(5, COLLAPSED),
        row(6, health_stability="", teacher_miou="99"),
    ]
    assert choose_checkpoint(rows) == rows[2]


def test_of_equal_rows_the_first_is_chosen_as_the_engine_does():
    assert choose_checkpoint([row(1, FAIR), row(2, FAIR)]) == row(1, FAIR)
    assert not is_better(0.5, 0.5)


def test_labels_decide_where_there_are_any():
    assert worth(55.0, 0.9) == 55.0
    assert worth(math.nan, 0.9) == 0.9
    assert is_better(0.1, None)
    assert not is_better(worth(math.nan, math.nan), None)


def test_without_health_nothing_is_chosen():
    assert choose_checkpoint([row(1), row(2, teacher_miou="50")]) is None
    assert choose_checkpoint([]) is None


def test_an_unknown_drift_is_read_back_as_unknown():
    assert math.isnan(values_of(row(1, replace(FAIR, drift=math.nan)))["drift"])
    assert choose_checkpoint([row(1, replace(FAIR, drift=math.nan))]) is not None


# The verdict -----------------------------------------------------------------------------------


def test_a_verdict_names_the_better_model_and_the_reason():
    steadier = verdict(FAIR, replace(FAIR, stability=0.9))
    assert steadier.startswith("The adapted model looks better")
    assert "70% before, 90% after" in steadier
    worse = verdict(FAIR, replace(FAIR, stability=0.72, mutual_information=0.3))
    assert worse.startswith("The source-only model looks better")
    assert "50% before, 30% after" in worse  # not what improved


def test_a_small_difference_decides_nothing():
    assert "no clear difference" in verdict(FAIR, replace(FAIR, stability=0.71))
    assert "no clear difference" in verdict(FAIR, FAIR)


def test_a_collapse_is_named_whatever_the_rest_says():
    assert "the adapted one has collapsed" in verdict(FAIR, COLLAPSED)
    assert "effectively 1.0 classes, 4 of the expected classes" in verdict(FAIR, COLLAPSED)
    recovered = verdict(COLLAPSED, FAIR)
    assert recovered.startswith("The adapted model looks better")
    assert "source-only model predicts effectively 1.0 classes" in recovered


def test_of_two_collapsed_models_none_is_called_better():
    neither = verdict(COLLAPSED, replace(COLLAPSED, mutual_information=0.9))
    assert neither.startswith("Neither model")
    assert "effectively 1.0 classes, 4 of the expected classes" in neither
    assert "source-only steps" in neither


def test_a_collapsed_source_only_model_is_warned_of_before_adapting():
    assert "predicts effectively 1.0 classes, 4 of the expected classes" in early_warning(COLLAPSED)
    assert early_warning(FAIR) == ""


def test_unknown_terms_are_no_reason_and_nothing_known_no_verdict():
    unknown = replace(FAIR, mutual_information=math.nan)
    assert "70% before, 90% after" in verdict(unknown, replace(unknown, stability=0.9))
    nothing = dict.fromkeys(("stability", "mutual_information"), math.nan)
    assert "cannot be told" in verdict(replace(FAIR, **nothing), FAIR)


def test_it_loads_without_torch():
    code = "import sys, core.evaluation.choice; assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# tests/studies/ranking.py --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranking():
    spec = importlib.util.spec_from_file_location("ranking", REPOSITORY / "tests" / "studies" / "ranking.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rank_correlation_with_ties(ranking):
    assert ranking.ranks([10, 30, 20, 20]).tolist() == [1, 4, 2.5, 2.5]
    assert ranking.spearman([1, 2, 3], [10, 20, 900]) == pytest.approx(1)
    assert ranking.spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert ranking.spearman([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert ranking.spearman([1, 2, math.nan, 3], [3, 2, 9, 1]) == pytest.approx(-1)
    assert math.isnan(ranking.spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(ranking.spearman([1, 2], [1, 2]))


def write_run(folder, rows):
    folder.mkdir()
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_a_report_of_two_runs(ranking, tmp_path, capsys):
    falling = [
        row(1, replace(FAIR, stability=0.5), source_miou="30"),
        row(2, replace(FAIR, stability=0.9, confidence=0.9), teacher_miou="50", student_miou="10", health_score="0"),
        row(3, loss="1"),
        row(4, replace(FAIR, stability=0.6), student_miou="45"),
    ]
    wrong = [
        row(1, replace(FAIR, stability=stability), teacher_miou=str(miou))
        for stability, miou in ((0.5, 40), (0.6, 30), (0.7, 25))
    ]
    unmeasured = [row(1, teacher_miou="40"), row(2, FAIR)]
    folders = [write_run(tmp_path / name, rows) for name, rows in (("a", falling), ("b", wrong), ("c", unmeasured))]
    assert ranking.main([str(folder) for folder in folders]) == 0
    out, err = capsys.readouterr()
    assert "c/metrics.csv" in err
    found = json.loads(out.splitlines()[-1])
    a, b = map(str, folders[:2])
    assert found["points"] == {a: 3, b: 3}
    assert found["spearman"]["score"]["runs"] == pytest.approx({a: 1.0, b: -1.0})
    assert found["spearman"]["score"]["mean"] == pytest.approx(0)
    assert found["spearman"]["stability"]["pooled"] == pytest.approx(
        ranking.spearman([5, 9, 6, 5, 6, 7], [30, 50, 45, 40, 30, 25])
    )
    assert found["spearman"]["drift"]["pooled"] is None
    assert found["regret"][a] == {"step": 2, "picked": 50, "best": 50, "regret": 0, "regret_of_last": 5}
    assert found["regret"][b]["regret"] == 15
    assert f"| {a} | 3 | 2 | 50.00 | 50.00 | 0.00 | 5.00 |" in out
    assert "| drift | – | – | – | – |" in out


def test_without_such_runs_it_fails(ranking, tmp_path, capsys):
    assert ranking.main([str(write_run(tmp_path / "a", [row(1)]))]) == 1
    assert "target labels" in capsys.readouterr().err
