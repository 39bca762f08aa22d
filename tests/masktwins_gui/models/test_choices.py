from pathlib import Path

from core.configuration import settings
from core.configuration.config import RunConfig
from core.evaluation.choice import best_checkpoints
from core.events import Model
from masktwins_gui.models.choices import choices
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import ModelKind

WORDS = {
    "source": "S", "starting": "W", "teacher": "T", "student": "U", "last": "newest", "miou": "best mIoU",
    "health": "best health", "step {0}": "step {0}",
}  # fmt: skip
TWO = (("step-000010", 110), ("step-000020", 120))


def info(checkpoints, *, best_by=None, has_source=True, weights="none", chosen=""):
    return RunInfo(
        Path("r"), "finished", 9, 9, "", checkpoints, has_source, False, None, {}, source_steps=100,
        chosen=chosen, best_by=best_by or {}, config=settings.with_changes(RunConfig(), {"network.weights": weights}),
    )  # fmt: skip


def test_source_first_then_newest_best_and_each_step():
    offered = choices(info(TWO, best_by={"miou": "step-000010", "health": "step-000020"}), WORDS)
    found = [(c.which, c.checkpoint, c.title) for c in offered]
    assert found == [
        (Model.SOURCE, "last", "S"),
        (Model.TEACHER, "last", "T, newest (step 20)"),
        (Model.STUDENT, "last", "U, newest (step 20)"),
        (Model.TEACHER, "step-000010", "T, best mIoU (step 10)"),
        (Model.STUDENT, "step-000010", "U, best mIoU (step 10)"),
        (Model.TEACHER, "step-000020", "T, best health (step 20)"),
        (Model.STUDENT, "step-000020", "U, best health (step 20)"),
        (Model.TEACHER, "10", "T, step 10"),
        (Model.STUDENT, "10", "U, step 10"),
    ]


def test_a_run_that_has_only_seen_the_source():
    assert [c.which for c in choices(info(()), WORDS)] == [Model.SOURCE]
    assert choices(info((), has_source=False), WORDS) == []


def test_where_the_source_only_model_was_best_it_says_so():
    offered = choices(info(TWO[:1], best_by={"miou": "source-000100", "health": "step-000010"}), WORDS)
    assert [c.title for c in offered][:4] == ["S, best mIoU", "T, newest (step 10)", "U, newest (step 10)",
                                              "T, best health (step 10)"]  # fmt: skip


def test_starting_weights_of_a_file_can_be_looked_at():
    offered = choices(info((), weights="start.safetensors"), WORDS)
    assert [(c.title, c.kind) for c in offered] == [("S", ModelKind.WEIGHTS), ("W", ModelKind.STARTING)]


def test_a_choice_stays_the_same_entry_while_its_run_grows():
    before, after = choices(info(TWO[:1]), WORDS), choices(info(TWO), WORDS)
    newest = [next(c for c in offered if c.which is Model.TEACHER) for offered in (before, after)]
    assert (newest[0].newest, newest[1].newest) == ("step-000010", "step-000020")
    assert newest[0].checkpoint == newest[1].checkpoint == "last"


def test_the_best_checkpoints_are_among_those_on_disk():
    rows = [
        {"step": "100", "source_miou": "30", "health_stability": "0.5", "health_mutual_information": "0.5"},
        {"step": "110", "teacher_miou": "60", "health_stability": "0.9", "health_mutual_information": "0.9"},
        {"step": "120", "teacher_miou": "50", "health_stability": "0.6", "health_mutual_information": "0.6"},
        {"step": "130", "teacher_miou": "50", "health_stability": "0.8", "health_mutual_information": "0.2"},
        {"step": "135", "teacher_miou": "", "total": "1.0"},
    ]
    on_disk = {100: "source-000100", 120: "step-000020", 130: "step-000030"}
    assert best_checkpoints(rows, on_disk) == {"health": "step-000020", "miou": "step-000030"}
    assert best_checkpoints(rows, {**on_disk, 110: "step-000010"}) == {"health": "step-000010", "miou": "step-000010"}
    assert best_checkpoints([], on_disk) == {}


def test_what_was_kept_as_the_best_comes_before_the_newest():
    for best_by in ({"miou": "step-000010"}, {}):
        offered = choices(info(TWO, best_by=best_by, chosen="step-000010"), WORDS)
        first = next(choice for choice in offered if choice.which is Model.TEACHER)
        assert first.checkpoint in ("step-000010", "10")
    of_source = choices(info(TWO, chosen="source-000100"), WORDS)
    assert next(choice for choice in of_source if choice.which is Model.TEACHER).checkpoint == "last"
