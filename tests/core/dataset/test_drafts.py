"""Drafts of label spaces, and the names that other tools put beside labels."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.commands.cli import main
from core.dataset.class_names import NamesError, find_names, read_names
from core.dataset.reading import read_label
from core.dataset.recognise import resolve_space
from core.labels import IGNORE, load_space, parse_space
from tests.core.dataset.test_recognise import areas, paint, save


def make_draft(folder: Path, *words: str) -> Path:
    out = folder / "draft.toml"
    assert main(["labels", str(folder / "labels"), "-o", str(out), *words]) == 0
    return out


def test_a_draft_reads_the_labels_as_they_are_recognised(tmp_path):
    paths = save(tmp_path / "labels", areas([0, 3, 255]), areas([0, 1]))
    out = make_draft(tmp_path)
    text = out.read_text()
    assert '# 42.5 % of the pixels, in 2 of 2 files, most in 1.png\n[[classes]]\nname = "class 0"' in text
    assert '# does not occur in the files read\n[[classes]]\nname = "class 2"' in text
    space = load_space(out)
    for path in paths:
        np.testing.assert_array_equal(read_label(path, space), read_label(path, resolve_space("auto", paths).space))


def test_a_draft_can_be_edited_to_merge_and_ignore(tmp_path):
    (path,) = save(tmp_path / "labels", areas([10, 90, 200]))
    text = make_draft(tmp_path).read_text().replace('name = "class 1"', 'name = "second"\nmerge = "class 0"')
    space = parse_space(tomllib.loads(text))
    assert space.classes == ("class 0", "class 2")
    assert set(np.unique(read_label(path, space))) == {0, 1}


def test_strays_and_instances_are_written_down(tmp_path):
    arrays = [areas([0, 1, 2], side=100) for _ in range(3)]
    arrays[0][5, 5] = 77
    save(tmp_path / "labels", *arrays)
    out = make_draft(tmp_path)
    assert "ignore_values = [77]  # 77: 0.0033 % of the pixels" in out.read_text()
    assert load_space(out).table[77] == IGNORE
    (tmp_path / "i").mkdir()
    save(tmp_path / "i/labels", np.repeat(np.array([[1792, 1793, 2816, 2817]], np.uint16), 9, axis=1).repeat(9, axis=0))
    assert load_space(make_draft(tmp_path / "i")).instances == 256


def test_jpegs_get_a_radius(tmp_path):
    colours = [(128, 64, 128), (70, 70, 70), (107, 142, 35)]
    ids = areas([0, 1, 2], side=96)
    (tmp_path / "labels").mkdir()
    Image.fromarray(paint(ids, colours)).save(tmp_path / "labels/a.jpg", quality=90)
    out = make_draft(tmp_path)
    space = load_space(out)
    assert space.radius == 24
    label = read_label(tmp_path / "labels/a.jpg", resolve_space(str(out), [tmp_path / "labels/a.jpg"]).space)
    assert (
        np.mean(
            label
            == np.array(
                [space.colours[min(space.colours, key=lambda c: sum(abs(np.subtract(c, own))))] for own in colours]
            )[ids]
        )
        > 0.85
    )


NAMES = [
    ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:0,0,142::\n", "colours"),
    ("class_dict.csv", "name,r,g,b\nroad,128,64,128\ncar,0,0,142\n", "colours"),
    (
        "config.json",
        json.dumps({"labels": [{"name": "a--road", "readable": "road", "color": [128, 64, 128]}, {"name": "car"}]}),
        "ids",
    ),
    ("coco.json", json.dumps({"categories": [{"id": 1, "name": "car"}, {"id": 0, "name": "road"}]}), "ids"),
    ("labels.txt", "__ignore__\nroad\ncar\n", "ids"),
    ("classes.txt", "0 road\n1 car\n", "ids"),
]


@pytest.mark.parametrize(("name", "text", "kind"), NAMES)
@pytest.mark.parametrize("place", ["labels", "."])
def test_names_come_from_what_other_tools_write(tmp_path, name, text, kind, place):
    ids = areas([0, 1], side=40)
    save(tmp_path / "labels", paint(ids, [(128, 64, 128), (0, 0, 142)]) if kind == "colours" else ids)
    (tmp_path / place / name).write_text(text)
    out = make_draft(tmp_path)
    assert set(load_space(out).classes) == {"road", "car"}
    assert f"# Names are from {name}." in out.read_text()
    if name == "config.json":
        assert load_space(out).palette[0] == (128, 64, 128)


def test_names_can_be_named_and_a_wrong_file_is_said(tmp_path, capsys):
    save(tmp_path / "labels", areas([0, 1]))
    (tmp_path / "n.txt").write_text("a\nb\n")
    assert load_space(make_draft(tmp_path, "--names", str(tmp_path / "n.txt"))).classes == ("a", "b")
    (tmp_path / "n.json").write_text("{")
    assert main(["labels", str(tmp_path / "labels"), "--names", str(tmp_path / "n.json")]) == 1
    assert "n.json cannot be read as class names" in capsys.readouterr().err
    with pytest.raises(NamesError):
        read_names(tmp_path / "n.json")
    assert find_names(tmp_path / "labels") is None or find_names(tmp_path / "labels").origin != "n.json"


def test_a_draft_is_never_overwritten_and_photographs_are_refused(tmp_path, capsys):
    save(tmp_path / "labels", areas([0, 1]))
    make_draft(tmp_path)
    assert main(["labels", str(tmp_path / "labels"), "-o", str(tmp_path / "draft.toml")]) == 1
    assert "exists already" in capsys.readouterr().err
    save(tmp_path / "photos", np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    assert main(["labels", str(tmp_path / "photos")]) == 1
    assert "photographs" in capsys.readouterr().err
    assert main(["labels", str(tmp_path / "nowhere")]) == 1
