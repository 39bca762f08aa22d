"""`masktwins check` and `init` as their users drive them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.commands.cli import main
from core.configuration.settings import load
from tests.core.checking.test_check import masks


def words(root: Path, *more: str) -> list[str]:
    found = [f"--{camera}-{kind}" for camera in ("source", "target") for kind in ("images", "labels")]
    folders = [str(root / camera / kind) for camera in ("source", "target") for kind in ("images", "labels")]
    return [word for pair in zip(found, folders, strict=True) for word in pair] + ["--crop", "32", *more]


def test_the_table_shows_values_names_and_shares_of_both_cameras(tmp_path, capsys):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    assert main(["check", *words(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "source pairing:     {id}.png ↔ {id}.png, 6 of 6 images" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["class", "in", "the", "files", "colour", "source", "files", "target", "files"] in lines
    assert ["foreground", "1,", "255", "#56b4e9", "12.2", "%", "6", "12.2", "%", "6"] in lines
    assert out.splitlines()[-1] == "No errors."


def test_a_sheet_per_camera_shows_labels_over_images(tmp_path, capsys):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    assert main(["check", *words(tmp_path, "--pictures", str(tmp_path / "sheets"))]) == 0
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["source.png", "target.png"]
    assert "source.png is written" in capsys.readouterr().out
    sheet = np.array(Image.open(tmp_path / "sheets/source.png")).astype(int)
    blue = (abs(sheet - (86 * 0.6 + 200 * 0.4, 180, 233 * 0.6 + 60 * 0.4)).max(axis=2) < 25).mean()
    assert 0.02 < blue < 0.2  # the boxes are laid over
    (tmp_path / "file").touch()
    assert main(["check", *words(tmp_path, "--pictures", str(tmp_path / "file"))]) == 1


def test_an_inverted_target_is_corrected_by_one_option(tmp_path, capsys):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 0, 255)
    assert main(["check", *words(tmp_path)]) == 0
    assert "label_inverted" in capsys.readouterr().out
    assert main(["check", *words(tmp_path, "--target-label-space", "binary_inverted")]) == 0
    out = capsys.readouterr().out
    assert "label_inverted" not in out
    assert "in the target's files" in out


def test_init_keeps_what_was_said_of_the_data(tmp_path, capsys):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    space = tmp_path / "mine.toml"
    space.write_text(
        'encoding = "binary"\n[[classes]]\nname = "rest"\nvalues = [0]\n[[classes]]\nname = "box"\nvalues = [255]\n'
    )
    (tmp_path / "list.txt").write_text("source0\nsource1\n")
    more = ["--label-space", str(space), "--source-files", str(tmp_path / "list.txt"), "--pair", "{id}.png:{id}.png"]
    given = [word for word in words(tmp_path, *more) if word not in ("--crop", "32")]
    assert main(["init", str(tmp_path / "run.toml"), *given]) == 0
    data = load(tmp_path / "run.toml").data
    assert (data.label_space, data.source_files, data.pairing) == (
        str(space),
        str(tmp_path / "list.txt"),
        "{id}.png:{id}.png",
    )
    assert 'label_space = "mine.toml"' in (tmp_path / "run.toml").read_text()
    assert 'source_files = "list.txt"' in (tmp_path / "run.toml").read_text()
    assert "2 classes as" in capsys.readouterr().out


@pytest.mark.parametrize(("missing", "text"), [("source", "does not exist"), ("pairs", "--pair")])
def test_init_refuses_folders_that_cannot_be_used(tmp_path, missing, text, capsys):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    for path in list((tmp_path / "source/labels").iterdir()):
        path.rename(path.with_name(f"{path.stem[-1]}{path.stem[-1]}k{path.name[6:]}")) if missing == "pairs" else None
    if missing == "source":
        (tmp_path / "source/images").rename(tmp_path / "elsewhere")
    given = [word for word in words(tmp_path) if word not in ("--crop", "32")]
    assert main(["init", str(tmp_path / "run.toml"), *given]) == 1
    assert text in capsys.readouterr().err
    assert not (tmp_path / "run.toml").exists()
