"""Names of runs, and the folder that a run is made in."""

import pytest

from core.errors import RunError
from core.runs.create import LONGEST_NAME, create_run, new_run_path, why_not_a_name
from tests.core.tiny import tiny_config


@pytest.mark.parametrize("name", ["run", "dusk 2", "nächster Lauf", "a.b", "x" * LONGEST_NAME, "夜", "console", "-1"])
def test_names_of_folders_are_names_of_runs(tmp_path, name):
    assert why_not_a_name(name) == ""
    path = new_run_path(tmp_path, name)
    assert path.parent == tmp_path / "runs"
    assert path.name == f"{name}-01"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needs a name"), ("   ", "needs a name"), ("../x", "leave out"), ("a ö/b", "leave out"), ("a\\b", "leave out"),
        ("C:x", "leave out"), ("x.", "full stop"), ("x ", "blank"), (" x", "blank"), ("..", "full stop"), (".x", "hidden"),
        ("con", "reserves"), ("LPT1", "reserves"), ("nul.txt", "reserves"), ("a\nb", "cannot be seen"),
        ("a\0b", "cannot be seen"), ("a\u202eb", "cannot be seen"), ("what?", "Windows"), ("x" * 101, "101 characters"),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_the_reason(tmp_path, name, words):
    assert words in why_not_a_name(name)
    with pytest.raises(RunError, match=words.replace("?", r"\?")):
        new_run_path(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_names_count_up_over_broken_links_too(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run-01").symlink_to(tmp_path / "nowhere")
    assert new_run_path(tmp_path).name == "run-02"


def test_a_run_names_the_data_of_its_project_relative_to_itself(tiny_data):
    config = tiny_config(tiny_data)
    run = create_run(config, tiny_data / "runs" / "run-01")
    assert 'source_images = "../../source/images"' in run.config_path.read_text()
    assert run.config().data == config.data
    aside = create_run(config, tiny_data / "cluster" / "one", tiny_data)
    assert 'source_images = "../../source/images"' in aside.config_path.read_text()
    alone = create_run(config, tiny_data / "alone")
    assert f'source_images = "{tiny_data}/source/images"' in alone.config_path.read_text()
