"""Counting classes: known answers, and when a kept count is trusted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset.folders import Pair
from core.events import Warned
from core.labels import DEFAULT_PALETTE, IGNORE, Encoding, LabelSpace, built_in
from core.loading import counting
from core.loading.counting import class_counts

SPACE = LabelSpace("four", tuple("abcd"), DEFAULT_PALETTE[:4])


def write(path: Path, values: list[int], num: int = 12) -> Path:
    """A label 12 pixels high whose columns hold the values in turn."""
    Image.fromarray(np.resize(np.array(values, np.uint8), num)[None].repeat(12, axis=0)).save(path)
    return path


@pytest.fixture
def pairs(tmp_path) -> list[Pair]:
    labels = [write(tmp_path / f"{i}.png", values) for i, values in enumerate(([0], [0, 1], [2, IGNORE, 9], [IGNORE]))]
    return [Pair(tmp_path / f"{label.stem}.jpg", label, label.stem) for label in labels]  # no image is there to open


EXPECTED = [[144, 0, 0, 0], [72, 72, 0, 0], [0, 0, 48, 0], [0, 0, 0, 0]]  # ignored and unknown values count nowhere


@pytest.fixture
def read_nothing(monkeypatch):
    def forbid() -> None:
        def refuse(path: Path, space: LabelSpace) -> np.ndarray:
            raise AssertionError(f"{path} is read again")

        monkeypatch.setattr(counting, "read_label", refuse)

    return forbid


def test_known_answer(pairs):
    counts = class_counts(pairs, SPACE)
    assert counts.tolist() == EXPECTED
    assert counts.dtype == np.uint32


def test_masks_of_0_and_255(tmp_path):
    label = write(tmp_path / "m.png", [0, 255, 255])
    assert class_counts([Pair(label, label, "m")], built_in("binary")).tolist() == [[48, 96]]


def test_sixteen_bit_and_colour_labels(tmp_path):
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "deep.png")
    deep = LabelSpace("deep", ("a", "b"), DEFAULT_PALETTE[:2], values={0: 0, 1000: 1})
    assert class_counts([Pair(tmp_path, tmp_path / "deep.png", "")], deep).tolist() == [[0, 16]]
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "colour.png")
    colours = {(1, 1, 1): 0, (9, 8, 7): 1}
    space = LabelSpace("rgb", ("a", "b"), DEFAULT_PALETTE[:2], Encoding.COLOURS, colours=colours)
    assert class_counts([Pair(tmp_path, tmp_path / "colour.png", "")], space).tolist() == [[0, 16]]


def test_kept_counts_are_read_instead_of_the_labels(pairs, tmp_path, read_nothing):
    cache = tmp_path / "class_counts.npz"
    class_counts(pairs, SPACE, cache)
    read_nothing()
    assert class_counts(pairs, SPACE, cache).tolist() == EXPECTED
    assert not list(tmp_path.glob(".*"))  # nothing half-written is left


def test_another_process_reads_the_kept_counts_and_writes_none(pairs, tmp_path, read_nothing):
    cache = tmp_path / "class_counts.npz"
    assert class_counts(pairs, SPACE, cache, keep=False).tolist() == EXPECTED
    assert not cache.exists()
    class_counts(pairs, SPACE, cache)
    read_nothing()
    assert class_counts(pairs, SPACE, cache, keep=False).tolist() == EXPECTED


def test_counts_of_other_labels_are_made_again(pairs, tmp_path):
    cache = tmp_path / "class_counts.npz"
    class_counts(pairs, SPACE, cache)
    pairs[0] = Pair(pairs[0].image, write(tmp_path / "0.png", [3, 3, 1], num=300), "0")
    assert class_counts(pairs, SPACE, cache)[0].tolist() == [0, 1200, 0, 2400]
    assert class_counts(pairs[:2], SPACE, cache).shape == (2, 4)


def test_counts_of_other_classes_are_made_again(pairs, tmp_path):
    cache = tmp_path / "class_counts.npz"
    class_counts(pairs, SPACE, cache)
    swapped = LabelSpace("four", tuple("abcd"), DEFAULT_PALETTE[:4], values={0: 1, 1: 0, 2: 2, 3: 3})
    assert class_counts(pairs, swapped, cache)[0].tolist() == [0, 144, 0, 0]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive at all", b"an array"])
def test_a_torn_file_is_replaced(pairs, tmp_path, read_nothing, content):
    cache = tmp_path / "class_counts.npz"
    cache.write_bytes(content)
    if content == b"an array":
        with cache.open("wb") as file:
            np.save(file, np.zeros(3))
    assert class_counts(pairs, SPACE, cache).tolist() == EXPECTED
    read_nothing()
    assert class_counts(pairs, SPACE, cache).tolist() == EXPECTED


def test_a_pickle_is_not_opened(pairs, tmp_path):
    cache = tmp_path / "class_counts.npz"
    with cache.open("wb") as file:
        np.savez(file, key=np.array({}, dtype=object), counts=np.array([{}], dtype=object))
    assert class_counts(pairs, SPACE, cache).tolist() == EXPECTED


def test_a_file_that_cannot_be_written_costs_only_the_next_count(pairs, tmp_path):
    assert class_counts(pairs, SPACE, tmp_path / "nowhere" / "class_counts.npz").tolist() == EXPECTED


def test_an_unreadable_label_is_reported_and_counts_as_empty(pairs):
    assert pairs[1].label is not None
    pairs[1].label.write_bytes(b"not an image")
    assert pairs[2].label is not None
    pairs[2].label.unlink()
    problems: list[Warned] = []
    counts = class_counts(pairs, SPACE, on_problem=problems.append)
    assert counts.tolist() == [EXPECTED[0], [0] * 4, [0] * 4, EXPECTED[3]]
    assert [problem.path for problem in problems] == [pairs[1].label, pairs[2].label]
    assert "left out of the count" in problems[0].message


def test_progress_ends_at_all_and_may_end_the_counting(pairs, tmp_path):
    seen: list[tuple[int, int]] = []
    many = pairs * 40
    class_counts(many, SPACE, progress=lambda *args: seen.append(args))
    assert seen == [(50, 160), (100, 160), (150, 160), (160, 160)]

    def stop(done: int, num: int) -> None:
        raise InterruptedError

    cache = tmp_path / "class_counts.npz"
    with pytest.raises(InterruptedError):
        class_counts(many, SPACE, cache, progress=stop)
    assert not cache.exists()
