"""A damaged file of a run's folder is set aside; what can be read of it stays."""

import json
import os

import pytest

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.log import logged_to
from core.runs.repair import repair

BAD_STATUS = [
    b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"step": "many"}', b'{"scores": []}', b'{"result": 3, "state": "finished"}',
    b"[" * 100_000,
]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(with_changes(RunConfig(), {"training.source_steps": 100}))
    return folder


def test_a_whole_folder_is_left_alone(run):
    run.write_status(state="running", step=3)
    run.append_change(10, {"mask.block_size": 32})
    writer = run.open_metrics(["step", "total"], 0)
    writer.append({"step": 1, "total": 0.5})
    writer.close()
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    assert repair(run) == []
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("content", BAD_STATUS)
def test_a_damaged_status_is_set_aside_and_reads_as_empty(run, content):
    run.status_path.write_bytes(content)
    assert run.status() == {}
    (sentence,) = repair(run)
    assert "status.json.damaged" in sentence
    assert (run.path / "status.json.damaged").read_bytes() == content
    run.write_status(state="running")
    assert run.status()["state"] == "running"


@pytest.mark.parametrize("name", ["status.json", "metrics.csv", "changes.jsonl"])
def test_a_folder_in_place_of_a_file_is_set_aside(run, name):
    (run.path / name).mkdir()
    (sentence,) = repair(run)
    assert f"{name}.damaged" in sentence
    assert not (run.path / name).exists()


def test_a_link_to_nowhere_is_set_aside(run):
    run.status_path.symlink_to(run.path / "nowhere")
    assert len(repair(run)) == 1
    assert not os.path.lexists(run.status_path)


@pytest.mark.parametrize(
    "bad", ["x,1", "2", "2,3,4", "-1,2", "1e3,2", "\0,\0", "9" * 5000 + ",1", "\N{SUPERSCRIPT TWO},1"]
)
def test_whole_rows_of_damaged_metrics_stay(run, bad):
    run.metrics_path.write_text(f"step,total\n1,0.5\n{bad}\n3,0.25\n")
    assert [row["step"] for row in run.metrics()] == ["1", "3"]
    assert len(repair(run)) == 1
    assert run.metrics_path.read_text() == "step,total\n1,0.5\n3,0.25\n"
    writer = run.open_metrics(["step", "total"], 3)
    writer.close()
    assert [row["total"] for row in run.metrics()] == ["0.5", "0.25"]


@pytest.mark.parametrize("content", [b"\x00\xff" * 50, b"no,header\n1,2\n", b"\n\n"])
def test_metrics_without_header_are_set_aside(run, content):
    run.metrics_path.write_bytes(content)
    assert run.metrics() == []
    assert len(repair(run)) == 1
    assert (run.path / "metrics.csv.damaged").read_bytes() == content


BAD_CHANGES = [
    "{",
    "[]",
    '{"step": 1}',
    '{"step": 1e999, "changes": {}}',
    '{"step": 5, "changes": {"mask.nothing": 1}}',
    "[" * 9999,
]


@pytest.mark.parametrize("bad", BAD_CHANGES)
def test_whole_changes_stay_in_force(run, bad):
    run.append_change(10, {"mask.block_size": 32})
    with run.changes_path.open("a") as file:
        file.write(bad + "\n")
    run.append_change(20, {"mask.block_size": 16})
    assert run.config_at(99).mask.block_size == 16
    assert len(repair(run)) == 1
    assert [json.loads(line)["step"] for line in run.changes_path.read_text().splitlines()] == [10, 20]
    assert repair(run) == []


def test_a_second_damage_keeps_the_first(run):
    for content in ("one", "two"):
        run.status_path.write_text(content)
        repair(run)
    assert (run.path / "status.json.damaged").read_text() == "one"
    assert (run.path / "status.json.damaged-2").read_text() == "two"


def test_what_cannot_be_renamed_is_named(run, monkeypatch):
    from core.runs import repair as module

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    run.status_path.write_text("{")
    monkeypatch.setattr(module, "set_aside", refuse)
    with pytest.raises(RunError, match=r"status\.json is damaged and cannot be replaced: Permission denied"):
        repair(run)


# The log -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/dev/full", "gone/log.txt"])
def test_a_log_that_cannot_be_written_ends_nothing(tmp_path, place, capsys):
    import logging

    logger = logging.getLogger("core.anything")
    with logged_to(tmp_path / place):
        logger.warning("into the void")
    assert not (tmp_path / "gone").exists()
    assert capsys.readouterr().err == ""


def test_what_the_engine_logs_is_in_the_file(tmp_path):
    import logging

    with logged_to(tmp_path / "log.txt"):
        logging.getLogger("core.anything").warning("something happened")
    logging.getLogger("core.anything").warning("later")
    assert "something happened" in (tmp_path / "log.txt").read_text()
    assert "later" not in (tmp_path / "log.txt").read_text()
