"""One damaged file hides nothing else: the run resumes, says what it set aside, and ends as the undamaged one."""

import json
import re
import shutil

import pytest

from core.checksums import SUMS
from core.control import RunControl
from core.errors import RunError
from core.events import StepDone, Warned
from core.runs.create import create_run
from core.runs.folder import RunFolder
from core.training.loop import adapt
from tests.core.tiny import change_state, final_weights, tiny_config, train


@pytest.fixture(scope="module")
def made(tiny_data, tmp_path_factory):
    """A run that was left alone, and one that was stopped at step 8: made once, the second is copied for each test."""
    folder = tmp_path_factory.mktemp("runs")
    whole, broken = (create_run(tiny_config(tiny_data), folder / name) for name in ("whole", "broken"))
    train(whole)
    control = RunControl()
    for event in adapt(control, broken):
        if isinstance(event, StepDone) and event.step >= 8:
            control.stop()
    assert [ref.step for ref in broken.checkpoints()] == [4, 6, 8]
    return whole, broken


@pytest.fixture
def whole(made):
    return made[0]


@pytest.fixture
def stopped(made, tmp_path):
    shutil.copytree(made[1].path, tmp_path / "stopped")
    return RunFolder(tmp_path / "stopped")


def warnings(events):
    return [event.message for event in events if isinstance(event, Warned) and event.code == "damaged"]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_device(path):
    state = json.loads(path.read_text())
    del state["device"]
    path.write_text(json.dumps(state))
    (path.parent / SUMS).unlink()


CHECKPOINT_DAMAGE = {
    "student cut": lambda folder: truncate(folder / "student.safetensors"),
    "teacher cut": lambda folder: truncate(folder / "teacher.safetensors"),
    "teacher gone": lambda folder: (folder / "teacher.safetensors").unlink(),
    "optimiser gone": lambda folder: (folder / "optimizer.safetensors").unlink(),
    "optimiser of zeros": lambda folder: (folder / "optimizer.safetensors").write_bytes(b"\0" * 4096),
    "state empty": lambda folder: (folder / "state.json").write_text(""),
    "state without device": lambda folder: drop_device(folder / "state.json"),
    "model.json cut": lambda folder: truncate(folder / "model.json"),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGE)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(whole, stopped, damage):
    CHECKPOINT_DAMAGE[damage](stopped.checkpoints_path / "step-000004")
    events = train(stopped)
    (sentence,) = warnings(events)
    assert "continues from the checkpoint before it" in sentence
    assert "step-000004.damaged" in sentence
    assert (stopped.checkpoints_path / "step-000004.damaged").is_dir()
    assert final_weights(stopped) == final_weights(whole)
    rows = [[(row["step"], row["total"], row["teacher_miou"]) for row in run.metrics()] for run in (stopped, whole)]
    assert rows[0] == rows[1]


def test_two_damaged_checkpoints_fall_back_twice(whole, stopped):
    for name in ("step-000004", "step-000002"):
        truncate(stopped.checkpoints_path / name / "student.safetensors")
    assert len(warnings(train(stopped))) == 2
    assert final_weights(stopped) == final_weights(whole)


def test_without_a_checkpoint_that_can_be_read_the_run_does_not_begin_again_by_itself(stopped):
    for ref in stopped.checkpoints():
        truncate(ref.path / "student.safetensors")
    with pytest.raises(RunError, match=r"None of the run's 3 checkpoints can be read.*delete .*checkpoints"):
        train(stopped)
    assert len(stopped.checkpoints()) == 3  # left as they are: somebody may have a copy of the damaged files
    shutil.rmtree(stopped.checkpoints_path)
    assert not train(stopped)[-1].stopped


FILES = {
    "status.json": [b"", b"{", b'{"step": "x"}', b'{"state": "finished", "result": []}', b"\xff"],
    "metrics.csv": [b"\0\0\0\0\n", b"step,total\nx,y\n"],
    "changes.jsonl": [b"}\n", b'{"step": 1, "changes": {"mask.nothing": 2}}\n'],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, contents in FILES.items() for content in contents]
)
def test_a_damaged_file_is_set_aside_and_the_run_goes_on(whole, stopped, name, content):
    (stopped.path / name).write_bytes(content)
    events = train(stopped)
    (sentence,) = warnings(events)
    assert re.search(rf"{re.escape(name)} was damaged and is now called {re.escape(name)}\.damaged", sentence)
    assert (stopped.path / f"{name}.damaged").read_bytes() == content
    assert final_weights(stopped) == final_weights(whole)
    result, expected = events[-1].result, whole.status()["result"]
    for key in ("source_only", "student", "teacher", "verdict", "best_checkpoint"):
        assert result[key] == expected[key], key


def test_a_folder_in_place_of_the_lock_does_not_keep_a_run_from_resuming(whole, stopped):
    (stopped.path / ".lock").unlink()
    (stopped.path / ".lock").mkdir()
    events = train(stopped)
    assert any(isinstance(event, Warned) and event.code == "lock" for event in events)
    assert final_weights(stopped) == final_weights(whole)


def test_a_status_that_claims_too_much_does_not_hide_the_run(stopped):
    stopped.status_path.write_text('{"state": "finished", "step": 8}')
    assert not train(stopped)[-1].stopped
    assert stopped.status()["step"] == 10


def test_scores_of_an_early_version_are_taken_from_its_status(stopped):
    """Checkpoints of an early version do not hold the scores."""
    newer = ("scores", "health", "measured")
    change_state(stopped, lambda state: {name: value for name, value in state.items() if name not in newer})
    before = stopped.status()["scores"]["source"]
    assert train(stopped)[-1].result["source_only"] == before
    assert stopped.status()["result"]["verdict"]
    assert not list(stopped.path.rglob("*.damaged"))
