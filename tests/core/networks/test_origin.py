import json
import math

from core.configuration.config import RunConfig
from core.events import Model, Scores
from core.networks.origin import origin_of
from core.runs.folder import RunFolder

SCORES = Scores(50.123456, 80.0, {"road": 50.1, "sky": math.nan}, ((3, 1), (0, 2)))


def make_run(tmp_path):
    run = RunFolder(tmp_path / "run")
    config = RunConfig()
    run.create(config.model_copy(update={"training": config.training.model_copy(update={"source_steps": 4})}))
    run.append_change(6, {"training.learning_rate": 0.5})
    run.append_change(9, {"training.learning_rate": 0.25})
    run.metrics_path.write_text("step,total,teacher_miou\n8,1.0,40.5\n10,0.9,50.123456\n", encoding="utf-8")
    run.write_status(scores={"teacher": SCORES.to_json()})
    return run


def test_a_checkpoint_has_the_settings_of_its_step(tmp_path):
    run = make_run(tmp_path)
    origin = origin_of(run.checkpoint_path(4) / "teacher.safetensors")
    assert origin is not None
    assert (origin.run.path, origin.step, origin.model) == (run.path, 8, Model.TEACHER)
    assert origin.config.training.learning_rate == 0.5
    assert run.config().training.learning_rate != 0.5


def test_scores_are_those_of_the_checkpoint_not_of_a_later_one(tmp_path):
    run = make_run(tmp_path)
    last = origin_of(run.checkpoint_path(6) / "teacher.safetensors")
    assert last is not None
    found = last.scores()
    assert found is not None
    assert found.per_class["road"] == 50.1
    assert found.confusion == SCORES.confusion
    earlier = origin_of(run.checkpoint_path(4) / "teacher.safetensors")
    assert earlier is not None
    found = earlier.scores()
    assert found is not None
    assert (found.miou, found.per_class) == (40.5, {})
    student = origin_of(run.checkpoint_path(6) / "student.safetensors")
    assert student is not None
    assert (student.model, student.scores()) == (Model.STUDENT, None)


def test_other_weights_have_no_run(tmp_path):
    assert origin_of(tmp_path / "bundle" / "model.safetensors") is None
    run = make_run(tmp_path)
    source = origin_of(run.checkpoint_path(4, source=True) / "student.safetensors")
    assert source is not None
    assert (source.step, source.model) == (4, Model.SOURCE)


def test_scores_come_back_from_json():
    again = Scores.from_json(json.loads(json.dumps(SCORES.to_json())))
    assert again is not None
    assert again.miou == 50.1235
    assert math.isnan(again.per_class["sky"])
    assert Scores.from_json(None) is None
