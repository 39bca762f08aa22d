"""The one rule for paths: on the command line, in a TOML, and in a file that is written."""

import tomllib
from pathlib import Path

import pytest

from core.configuration.config import RunConfig
from core.configuration.paths import (
    DataRoot,
    move_data,
    parse_data_root,
    paths_of,
    resolve_paths,
    typed,
    typed_changes,
)
from core.configuration.settings import load, save, settings, with_changes
from core.errors import ConfigError


def config_with(**paths) -> RunConfig:
    return with_changes(RunConfig(), {name.replace("__", "."): str(path) for name, path in paths.items()})


def test_every_setting_that_is_a_path_follows_the_rule():
    folders = {s.path for s in settings("data") if s.kind == "path"}
    config = with_changes(RunConfig(), dict.fromkeys(folders, "x") | {"data.label_space": "l.toml"})
    config = with_changes(config, {"network.weights": "w.pth"})
    assert set(paths_of(config)) == folders | {"data.label_space", "network.weights"}
    assert paths_of(RunConfig()) == {}


@pytest.mark.parametrize("name", ["auto", "cityscapes"])
def test_names_are_not_paths(tmp_path, name):
    config = with_changes(RunConfig(), {"data.label_space": name, "network.weights": "none"})
    assert resolve_paths(config, tmp_path) == config


def test_on_the_command_line_paths_are_seen_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = {"data.source_images": "a/../foo", "network.weights": "w.pth", "data.label_space": "l.toml"}
    assert typed_changes(changes) == {
        "data.source_images": str(tmp_path / "foo"),
        "network.weights": str(tmp_path / "w.pth"),
        "data.label_space": str(tmp_path / "l.toml"),
    }
    others = {"network.weights": "imagenet", "data.label_space": "auto", "mask.ratio": 0.5, "data.flip": False}
    assert typed_changes(others) == others
    assert typed("~/x") == Path.home() / "x"


def test_a_run_below_the_project_is_written_relative_to_itself(tmp_path):
    project = tmp_path / "project"
    file = project / "runs" / "dusk-01" / "run.toml"
    file.parent.mkdir(parents=True)
    config = config_with(
        data__source_images=project / "data" / "images",
        data__target_images=tmp_path / "elsewhere",
        data__label_space=project / "own.toml",
        network__weights=project / "runs" / "dusk-00",
    )
    save(config, file, project)
    written = tomllib.loads(file.read_text())
    assert written["data"]["source_images"] == "../../data/images"
    assert written["data"]["target_images"] == str(tmp_path / "elsewhere")
    assert written["data"]["label_space"] == "../../own.toml"
    assert written["network"]["weights"] == "../dusk-00"
    assert load(file) == config
    project.rename(tmp_path / "moved")
    moved = load(tmp_path / "moved" / "runs" / "dusk-01" / "run.toml")
    assert moved.data.source_images == tmp_path / "moved" / "data" / "images"
    assert moved.network.weights == str(tmp_path / "moved" / "runs" / "dusk-00")
    assert moved.data.target_images == tmp_path / "elsewhere"


def test_a_file_outside_the_project_is_written_with_absolute_paths(tmp_path):
    (tmp_path / "out").mkdir()
    config = config_with(data__source_images=tmp_path / "project" / "images")
    save(config, tmp_path / "out" / "run.toml", tmp_path / "project")
    assert tomllib.loads((tmp_path / "out" / "run.toml").read_text())["data"]["source_images"] == str(
        tmp_path / "project" / "images"
    )


def test_links_are_kept_inside_the_project_and_followed_where_they_lead_out(tmp_path):
    """`data` is a link out of the project, `runs` one to another disk."""
    project, disk = tmp_path / "project", tmp_path / "disk"
    for folder in (project, disk / "data" / "images", disk / "runs" / "a-01"):
        folder.mkdir(parents=True)
    (project / "data").symlink_to(disk / "data")
    (project / "runs").symlink_to(disk / "runs")
    config = config_with(data__source_images=project / "data" / "images")
    save(config, project / "p.toml")
    assert tomllib.loads((project / "p.toml").read_text())["data"]["source_images"] == "data/images"
    run = project / "runs" / "a-01" / "run.toml"
    save(config, run, project)
    assert load(run).data.source_images == project / "data" / "images"
    assert load(disk / "runs" / "a-01" / "run.toml").data.source_images == project / "data" / "images"


def test_a_project_reached_through_a_link_is_written_as_the_real_one(tmp_path):
    (tmp_path / "real" / "images").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    config = config_with(data__source_images=tmp_path / "link" / "images", data__target_images=tmp_path / "real" / "t")
    save(config, tmp_path / "link" / "p.toml")
    written = tomllib.loads((tmp_path / "real" / "p.toml").read_text())
    assert (written["data"]["source_images"], written["data"]["target_images"]) == ("images", "t")


def test_data_roots_move_what_lies_below_them(tmp_path):
    config = config_with(
        data__source_images="/old/a/images", data__target_images="/other", network__weights="/old/w.pth"
    )
    moved = move_data(config, [DataRoot(Path("/old"), Path("/new")), parse_data_root(f"/other={tmp_path}")])
    assert paths_of(moved) == {
        "data.source_images": Path("/new/a/images"),
        "data.target_images": tmp_path,
        "network.weights": Path("/new/w.pth"),
    }


def test_a_data_root_that_fits_nothing_is_refused_with_the_paths_there_are():
    config = config_with(data__source_images="/oldest/images")
    with pytest.raises(ConfigError, match=r"/oldest/images"):
        move_data(config, [DataRoot(Path("/old"), Path("/new"))])


@pytest.mark.parametrize("text", ["", "/a", "=/b", "/a="])
def test_a_data_root_has_two_folders(text):
    with pytest.raises(ConfigError, match="OLD=NEW"):
        parse_data_root(text)
