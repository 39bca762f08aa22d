from pathlib import Path

from core.events import Model
from masktwins_gui.models.choices import choices
from masktwins_gui.models.runs import RunInfo

WORDS = {"source": "S", "teacher": "T", "student": "U", "last": "newest", "best": "best", "step {0}": "step {0}"}


def info(checkpoints, *, best=None, has_source=True):
    return RunInfo(Path("r"), "finished", 9, 9, "", checkpoints, has_source, False, best, {}, source_steps=100)


def test_source_first_then_newest_best_and_each_step():
    offered = choices(info((("step-000010", 110), ("step-000020", 120)), best="step-000010"), WORDS)
    found = [(c.which, c.checkpoint, c.title) for c in offered]
    assert found == [
        (Model.SOURCE, "last", "S"),
        (Model.TEACHER, "last", "T, newest"),
        (Model.STUDENT, "last", "U, newest"),
        (Model.TEACHER, "best", "T, best (step 10)"),
        (Model.STUDENT, "best", "U, best (step 10)"),
        (Model.TEACHER, "10", "T, step 10"),
        (Model.STUDENT, "10", "U, step 10"),
    ]


def test_a_run_that_has_only_seen_the_source():
    assert [c.which for c in choices(info(()), WORDS)] == [Model.SOURCE]
    assert choices(info((), has_source=False), WORDS) == []


def test_where_the_source_only_model_was_best_it_says_so():
    offered = choices(info((("step-000010", 110),), best="source-000100"), WORDS)
    assert [(c.which, c.checkpoint, c.title) for c in offered] == [
        (Model.SOURCE, "last", "S, best"),
        (Model.TEACHER, "last", "T, newest"),
        (Model.STUDENT, "last", "U, newest"),
    ]
