import errno
from pathlib import Path

import pytest

from core.configuration.choices import MaskStrategy
from core.configuration.config import RunConfig
from core.configuration.settings import (
    apply_preset,
    dumps,
    get,
    is_live,
    load,
    parse,
    parse_assignment,
    presets,
    resolve_paths,
    save,
    settings,
    with_changes,
)
from core.errors import ConfigError


def test_every_setting_has_title_and_description_and_a_default_in_range():
    found = list(settings())
    assert len(found) == len({s.path for s in found}) > 30
    for setting in found:
        assert setting.title
        assert setting.description.endswith("."), setting.path
        if setting.minimum is not None and isinstance(setting.default, int | float):
            assert setting.minimum <= setting.default


def test_toml_round_trip(tmp_path):
    config = with_changes(RunConfig(), {"mask.ratio": [0.3, 0.5], "training.crop_size": [96, 128], "data.flip": False})
    save(config, tmp_path / "run.toml")
    assert load(tmp_path / "run.toml") == config


def test_paths_are_relative_to_the_file_and_move_with_it(tmp_path):
    (tmp_path / "a").mkdir()
    config = with_changes(
        RunConfig(), {"data.source_images": tmp_path / "a" / "images", "data.target_images": Path("/else/where")}
    )
    save(config, tmp_path / "a" / "run.toml")
    assert 'source_images = "images"' in (tmp_path / "a" / "run.toml").read_text()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = load(tmp_path / "b" / "run.toml")
    assert moved.data.source_images == tmp_path / "b" / "images"
    assert moved.data.target_images == Path("/else/where")


def test_weights_names_are_not_paths(tmp_path):
    assert resolve_paths(RunConfig(), tmp_path).network.weights == "imagenet"
    config = with_changes(RunConfig(), {"network.weights": "w/model.safetensors"})
    assert resolve_paths(config, tmp_path).network.weights == str(tmp_path / "w/model.safetensors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask.ratio": 1.5}, "mask.ratio"),
        ({"mask.ratio": [0.5, 2.0]}, "mask.ratio"),
        ({"mask.blok_size": 8}, "Did you mean mask.block_size"),
        ({"training.steps": -1}, "training.steps"),
        ({"training.steps": 0, "training.source_steps": 0}, "nothing to train"),
        ({"training.crop_size": 32, "mask.block_size": 64}, "lower it to about 2"),
        ({"network.architecture": "deeplabv3plus", "training.batch_size": 1}, "needs at least 2"),
        ({"training.device": "gpu"}, "training.device"),
        ({"network.architecture": "resnet"}, "network.architecture"),
        ({"training.ema_alpha": 1.0}, "training.ema_alpha"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        with_changes(RunConfig(), changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no format_version"),
        ("[mask]\nratio = 0.5", "has no format_version"),
        ("x", "cannot be read"),
        ("[mask]\nratio = ", "cannot be read"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("format_version = 99", "99"),
        ("format_version = 1\n[mask]\nstratgy = 'off'", "Did you mean mask.strategy"),
        ("format_version = 1\n[data]\nsource_images = 'a\\u0000b'".replace("'", '"'), "NUL"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.toml") as raised:
        load(path)
    assert words in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_a_file_of_enormous_size_and_a_device_are_refused_at_once(tmp_path):
    path = tmp_path / "run.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="too large"):
        load(path)
    with pytest.raises(ConfigError, match="not an ordinary file"):
        load(Path("/dev/zero"))


def test_saving_replaces_the_file_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.toml"
    save(RunConfig(), path)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("core.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(with_changes(RunConfig(), {"mask.block_size": 8}), path)
    assert path.read_bytes() == before


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mask.block_size=32", ("mask.block_size", 32)),
        ("mask.ratio=[0.3, 0.5]", ("mask.ratio", [0.3, 0.5])),
        ("training.learning_rate=3e-4", ("training.learning_rate", 3e-4)),
        ("network.encoder=mit_b0", ("network.encoder", "mit_b0")),
        ("data.flip=false", ("data.flip", False)),
        ("network.weights=C:\\a=b", ("network.weights", "C:\\a=b")),
    ],
)
def test_assignments_are_toml_or_plain_strings(text, expected):
    assert parse_assignment(text) == expected


def test_an_assignment_without_equals_is_refused():
    with pytest.raises(ConfigError, match=r"section\.field=value"):
        parse_assignment("mask.block_size")


def test_presets_apply_over_folders(tmp_path):
    assert {"quick", "standard", "demo"} <= set(presets())
    config = with_changes(RunConfig(), {"data.source_images": tmp_path})
    for name in presets():
        applied = apply_preset(config, name)
        assert applied.data.source_images == tmp_path
    with pytest.raises(ConfigError, match="no preset"):
        apply_preset(config, "slow")


def test_warm_up_default_follows_the_length():
    assert RunConfig().training.warmup == 500
    assert with_changes(RunConfig(), {"training.steps": 40000}).training.warmup == 1500
    assert with_changes(RunConfig(), {"training.warmup_steps": 7}).training.warmup == 7


def test_live_settings():
    assert is_live("mask.block_size")
    assert is_live("training.learning_rate")
    assert not is_live("training.batch_size")
    assert not is_live("nothing.here")


def test_get_and_parse():
    assert get(RunConfig(), "mask.strategy") is MaskStrategy.COMPLEMENTARY
    with pytest.raises(ConfigError):
        get(RunConfig(), "mask")
    assert parse({}) == RunConfig()
    assert "format_version = 1" in dumps(RunConfig())
