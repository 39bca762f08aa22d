import pytest

from core.configuration.config import RunConfig
from core.errors import ConfigError
from masktwins_gui.models import project as module
from masktwins_gui.models.project import ProjectModel


@pytest.fixture
def project(qapp):
    return ProjectModel()


def test_changes_are_undone_and_redone_in_order(project):
    project.change({"mask.ratio": 0.3})
    project.change({"mask.block_size": 32})
    project.undo()
    assert (project.config.mask.ratio, project.config.mask.block_size) == (0.3, 64)
    project.undo()
    assert project.config == RunConfig()
    assert not project.can_undo
    project.redo()
    project.redo()
    assert (project.config.mask.ratio, project.config.mask.block_size) == (0.3, 32)
    assert not project.can_redo


def test_a_dragged_slider_is_one_step_back(project, monkeypatch):
    for ratio in (0.4, 0.3, 0.2):
        project.change({"mask.ratio": ratio})
    monkeypatch.setattr(module, "MERGE_SECONDS", -1.0)
    project.change({"mask.ratio": 0.1})
    project.undo()
    assert project.config.mask.ratio == 0.2
    project.undo()
    assert project.config.mask.ratio == 0.5


def test_a_refused_change_leaves_all_alone(project):
    with pytest.raises(ConfigError, match="block_size"):
        project.change({"mask.ratio": 0.3, "mask.block_size": 0})
    assert project.config == RunConfig()
    assert not project.can_undo


def test_held_history_ends_where_the_run_began(project):
    project.change({"mask.block_size": 32})
    project.hold_history(True)
    project.change({"mask.ratio": 0.3})
    project.undo()
    project.undo()
    assert project.config.mask.block_size == 32
    project.hold_history(False)
    project.undo()
    assert project.config.mask.block_size == 64


def test_saving_and_opening(project, tmp_path, qtbot):
    project.change({"mask.ratio": (0.3, 0.5), "data.source_images": tmp_path})
    assert project.modified
    project.save(tmp_path / "sub" / "dusk.toml")
    assert not project.modified
    assert (project.title, project.folder) == ("dusk", tmp_path / "sub")
    other = ProjectModel()
    with qtbot.waitSignals([other.changed, other.path_changed]):
        other.open(tmp_path / "sub" / "dusk.toml")
    assert other.config == project.config
    assert not other.can_undo


def test_a_file_that_is_no_project_is_refused_with_its_name(project, tmp_path):
    (tmp_path / "x.toml").write_text("format_version = 1\n[mask]\nblok_size = 3\n")
    with pytest.raises(ConfigError, match=r"x\.toml.*block_size"):
        project.open(tmp_path / "x.toml")
    assert project.path is None
