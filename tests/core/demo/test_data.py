import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset.folders import scan
from core.dataset.reading import read_image, read_label
from core.demo.camera import DAY, DUSK, photograph
from core.demo.canvas import Thing
from core.demo.data import DEMO_SPACE, ORACLE_LABELS, make_demo
from core.demo.scene import make_scene
from core.errors import RunError
from core.labels import load_space

SMALL = {"source": 3, "target": 2, "evaluation": 2, "size": (64, 96)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_folders_are_what_the_program_reads(tmp_path):
    data = make_demo(tmp_path / "demo", **SMALL)
    assert all(path.is_absolute() for path in (data.source_images, data.source_labels, data.target_images))
    space = load_space(Path(data.label_space))
    assert space == DEMO_SPACE
    source = scan(data.source_images, data.source_labels)
    evaluation = scan(data.evaluation_images, data.target_labels)
    assert (len(source.pairs), len(scan(data.target_images).pairs), len(evaluation.pairs)) == (3, 2, 2)
    assert not source.problems
    assert not evaluation.problems
    for pair in (*source.pairs, *evaluation.pairs):
        assert read_image(pair.image).shape == (64, 96, 3)
        label = read_label(pair.label, space)
        assert label.shape == (64, 96)
        assert label.max() < 8


def test_the_target_has_no_labels_but_the_oracle_does(tmp_path):
    data = make_demo(tmp_path, **SMALL)
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["images", ORACLE_LABELS.name]
    assert data.target_labels == tmp_path / "target_eval/labels"
    oracle = scan(data.target_images, tmp_path / ORACLE_LABELS)
    assert len(oracle.pairs) == 2
    assert not oracle.problems


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    make_demo(tmp_path / "a", seed=3, **SMALL)
    make_demo(tmp_path / "b", seed=3, **SMALL)
    make_demo(tmp_path / "c", seed=4, **SMALL)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    pictures = [name for name in a if name.endswith(".png")]
    assert len(pictures) == 2 * (3 + 2 + 2)
    assert all(a[name] != c[name] for name in pictures)


def test_no_two_pictures_show_the_same_scene(tmp_path):
    make_demo(tmp_path, **SMALL)
    labels = [data for name, data in contents(tmp_path).items() if "labels" in name and name.endswith(".png")]
    assert len(set(labels)) == len(labels) == 7


def test_making_it_again_does_nothing_and_other_numbers_replace_it(tmp_path):
    make_demo(tmp_path, **SMALL)
    picture = tmp_path / "source/images/0000.png"
    before = picture.stat().st_mtime_ns
    calls = []
    make_demo(tmp_path, **SMALL, progress=lambda done, total: calls.append(done))
    assert picture.stat().st_mtime_ns == before
    assert calls == []
    make_demo(tmp_path, **{**SMALL, "source": 2}, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 6) for n in range(1, 7)]
    assert len(list((tmp_path / "source/images").iterdir())) == 2


def test_a_demo_that_was_broken_off_is_made_anew(tmp_path):
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        make_demo(tmp_path, **SMALL, progress=stop)
    assert json.loads((tmp_path / "demo.json").read_text())["complete"] is False
    make_demo(tmp_path, **SMALL)
    assert len(list((tmp_path / "target_eval/labels").iterdir())) == 2


def test_other_data_is_never_touched(tmp_path):
    own = tmp_path / "source/images/0000.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(RunError, match="not a demo"):
        make_demo(tmp_path, **SMALL)
    assert own.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        make_demo(tmp_path / "file/demo", **SMALL)


def test_a_demo_without_target_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a picture of each kind"):
        make_demo(tmp_path, **{**SMALL, "target": 0})


def test_every_class_is_common_and_poles_are_thin():
    labels = np.stack([make_scene(np.random.default_rng(seed), 128, 192)[1] for seed in range(8)])
    shares = np.bincount(labels.ravel(), minlength=8) / labels.size
    assert len(shares) == len(Thing)
    assert shares.min() > 0.01
    widths = [np.diff(np.flatnonzero(np.diff(np.pad(row == Thing.POLE, 1))))[::2] for row in labels.reshape(-1, 192)]
    assert 1 <= np.median(np.concatenate(widths)) <= 5


def test_a_scene_is_textured():
    image, label = make_scene(np.random.default_rng(0), 128, 192)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    for thing in (Thing.ROAD, Thing.GRASS, Thing.BUILDING):
        assert image[label == thing].std(0).min() > 0.02


def test_the_second_camera_sees_the_same_scene_in_another_light():
    scene, label = make_scene(np.random.default_rng(1), 128, 192)
    day, day_label = photograph(DAY, scene, label, np.random.default_rng(2))
    dusk, dusk_label = photograph(DUSK, scene, label, np.random.default_rng(2))
    assert day.dtype == dusk.dtype == np.uint8
    assert np.array_equal(day_label, label)
    assert 0.7 < (dusk_label == label).mean() < 0.99  # the lens bends the picture
    assert dusk.mean() < 0.8 * day.mean()
    ratio = dusk.reshape(-1, 3).mean(0) / day.reshape(-1, 3).mean(0)
    assert ratio[0] > 1.2 * ratio[2]  # warmer


def test_the_lens_bends_picture_and_label_alike():
    """Seen through the lens alone, the colours of the classes painted flat still sit on their labels."""
    _, label = make_scene(np.random.default_rng(5), 128, 192)
    flat = np.repeat((label / 10).astype(np.float32)[..., None], 3, 2)
    lens = type(DAY)(distortion=DUSK.distortion, noise=0, spread=0)
    picture, seen = photograph(lens, flat, label, np.random.default_rng(0))
    assert (np.rint(picture[..., 0] / 25.5) == seen).mean() > 0.93


def test_labels_show_their_colours_in_a_file_manager(tmp_path):
    make_demo(tmp_path, **SMALL)
    with Image.open(tmp_path / "source/labels/0000.png") as image:
        assert image.mode == "P"
        ids, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    assert np.array_equal(np.array(DEMO_SPACE.palette, np.uint8)[ids], colours)


def test_the_default_demo_takes_seconds(tmp_path):
    start = time.process_time()
    make_demo(tmp_path, source=6, target=6, evaluation=3)
    assert time.process_time() - start < 2  # a tenth of the default numbers
