"""The dataset report: every kind of fault is found, alone and with all others, and nothing else."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import DataConfig
from core.data import inspect_pair
from core.data.check import Report, check
from core.data.folders import Severity
from core.data.reading import decode_image

SIDE = 32
CROP = (SIDE, SIDE)
SPACE = """
name = "four"
classes = [{name = "a"}, {name = "b"}, {name = "c"}, {name = "d"}]
"""


@dataclass
class World:
    """The folders of a small, flawless dataset."""

    root: Path
    seed: int = 0

    def __post_init__(self) -> None:
        for folder in ("si", "sl", "ti", "ei", "el"):
            (self.root / folder).mkdir()
        for i in range(4):
            self.image(f"si/s{i}.jpg")
            self.label(f"sl/s{i}.png", [0, 1, 2, 3] if i == 0 else [0, 1, 2])
            self.image(f"ti/t{i}.png")
            self.image(f"ei/e{i}.png")
            self.label(f"el/e{i}.png", [0, 1])
        (self.root / "space.toml").write_text(SPACE)

    def image(self, name: str, side: int = SIDE) -> Path:
        self.seed += 1
        pixels = np.random.default_rng(self.seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.root / name)
        return self.root / name

    def label(self, name: str, ids: list[int], side: int = SIDE) -> Path:
        pixels = np.resize(np.array(ids, np.uint8), side)[None].repeat(side, axis=0)
        Image.fromarray(pixels).save(self.root / name)
        return self.root / name

    def pair(self, stem: str, ids: list[int] | None = None, suffix: str = ".png") -> tuple[Path, Path]:
        return self.image(f"si/{stem}{suffix}"), self.label(f"sl/{stem}.png", ids or [0, 1])

    def config(self, **changes) -> DataConfig:
        folders = {
            "source_images": "si", "source_labels": "sl", "target_images": "ti", "evaluation_images": "ei", "target_labels": "el",
        }  # fmt: skip
        paths = {name: self.root / folder for name, folder in folders.items()}
        return DataConfig.model_validate({**paths, "label_space": str(self.root / "space.toml"), **changes})

    def check(self, **changes) -> Report:
        return check(self.config(**changes), CROP, threads=2)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


Found = dict[tuple[str, str], set[Path]]  # (code, role): files


def found_in(report: Report) -> Found:
    keys = [(problem.code, problem.details["role"]) for problem in report.problems]
    assert len(set(keys)) == len(keys), "one problem per code and role"
    return {key: set(problem.paths) for key, problem in zip(keys, report.problems, strict=True)}


# Twenty faults: each makes the folders bad in one way, and says what must be found for it.


def truncated_jpeg(w: World) -> Found:
    return {("image_unreadable", "source_images"): {cut(w.pair("f01", suffix=".jpg")[0])}}


def truncated_png(w: World) -> Found:
    return {("image_unreadable", "target_images"): {cut(w.image("ti/f02.png"))}}


def zero_byte_image(w: World) -> Found:
    return {("image_unreadable", "source_images"): {cut(w.pair("f03")[0], 0)}}


def text_renamed_to_png(w: World) -> Found:
    path = w.pair("f04")[0]
    path.write_text("these are not the pixels you are looking for")
    return {("image_unreadable", "source_images"): {path}}


def jpeg_filled_up_with_zeros(w: World) -> Found:
    path = w.pair("f05", suffix=".jpg")[0]
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(half + bytes(len(half)))
    return {("image_unreadable", "source_images"): {path}}


def broken_label_with_a_unicode_name(w: World) -> Found:
    return {("label_unreadable", "source_labels"): {cut(w.pair("f06 Straße 語")[1])}}


def file_that_cannot_be_opened(w: World) -> Found:
    path = w.root / "ti/f07.png"
    path.symlink_to(w.root / "nowhere.png")
    return {("image_unreadable", "target_images"): {path}}


def size_mismatch(w: World) -> Found:
    w.image("si/f08.png")
    return {("size_mismatch", "source_labels"): {w.label("sl/f08.png", [0, 1], side=SIDE + 1)}}


def image_without_label(w: World) -> Found:
    return {("image_without_label", "source_images"): {w.image("si/f09.png")}}


def label_without_image(w: World) -> Found:
    return {("label_without_image", "source_labels"): {w.label("sl/f10.png", [0, 1])}}


def id_outside_the_classes(w: World) -> Found:
    return {("label_unknown_values", "source_labels"): {w.pair("f11", [0, 1, 4])[1]}}


def all_ignored(w: World) -> Found:
    return {("label_all_ignored", "source_labels"): {w.pair("f12", [255])[1]}}


def class_never_seen(w: World) -> Found:
    w.label("sl/s0.png", [0, 1, 2])
    return {("class_never_seen", "source_labels"): set()}


def image_smaller_than_crop(w: World) -> Found:
    return {("image_smaller_than_crop", "target_images"): {w.image("ti/f14.png", side=SIDE - 1)}}


def source_image_in_target(w: World) -> Found:
    path = w.root / "ti/f15.jpg"
    path.write_bytes((w.root / "si/s1.jpg").read_bytes())
    return {("overlap", "target_images"): {path, w.root / "si/s1.jpg"}}


def two_labels_for_one_image(w: World) -> Found:
    _, label = w.pair("f16")
    return {("several_labels", "source_labels"): {label, w.label("sl/f16_mask.png", [0, 1])}}


def colours_among_ids(w: World) -> Found:
    image, label = w.pair("f17")
    label.write_bytes(w.image("f17.png").read_bytes())
    assert image.is_file()
    return {("label_encoding", "source_labels"): {label}}


def two_images_of_one_name(w: World) -> Found:
    return {("duplicate_image", "target_images"): {w.image("ti/f18.png"), w.image("ti/f18.jpg")}}


def text_in_a_labels_place(w: World) -> Found:
    path = w.root / "sl/f19.json"
    path.write_text("{}")
    return {
        ("image_without_label", "source_images"): {w.image("si/f19.png")},
        ("not_an_image", "source_labels"): {path},
    }


def broken_evaluation_label(w: World) -> Found:
    w.image("ei/f20.png")
    return {("label_unreadable", "target_labels"): {cut(w.label("el/f20.png", [0, 1]))}}


def lossy_label(w: World) -> Found:
    w.image("si/f21.png")
    return {("label_lossy", "source_labels"): {w.label("sl/f21.jpg", [1])}}  # one flat value survives JPEG


def evaluation_image_from_the_source(w: World) -> Found:
    path, _ = w.image("ei/f22.jpg"), w.label("el/f22.png", [0, 1])
    path.write_bytes((w.root / "si/s2.jpg").read_bytes())
    return {("overlap", "evaluation_images"): {path, w.root / "si/s2.jpg"}}


FAULTS: tuple[Callable[[World], Found], ...] = (
    truncated_jpeg,
    truncated_png,
    zero_byte_image,
    text_renamed_to_png,
    jpeg_filled_up_with_zeros,
    broken_label_with_a_unicode_name,
    file_that_cannot_be_opened,
    size_mismatch,
    image_without_label,
    label_without_image,
    id_outside_the_classes,
    all_ignored,
    class_never_seen,
    image_smaller_than_crop,
    source_image_in_target,
    two_labels_for_one_image,
    colours_among_ids,
    two_images_of_one_name,
    text_in_a_labels_place,
    broken_evaluation_label,
    lossy_label,
    evaluation_image_from_the_source,
)


def test_flawless_data_have_no_problem(world):
    report = world.check()
    assert report.problems == ()
    assert report.ok
    assert report.complete


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_nothing_else(world, fault):
    expected = fault(world)
    assert found_in(world.check()) == expected


def test_all_faults_at_once_are_found_and_nothing_else(world):
    expected: Found = defaultdict(set)
    for fault in FAULTS:
        for key, files in fault(world).items():
            expected[key] |= files
    report = world.check()
    assert found_in(report) == expected
    assert not report.ok
    severities = [problem.severity for problem in report.problems]
    assert severities == sorted(severities, key=[Severity.ERROR, Severity.WARNING].index)


def test_messages_are_for_people(world):
    for fault in FAULTS:
        fault(world)
    for problem in world.check().problems:
        assert problem.message.endswith(".")
        assert "_" not in problem.message.replace("training.crop_size", "").replace("label_space.toml", "").replace(
            "f16_mask.png", ""
        )
    unreadable = next(p for p in world.check().problems if p.code == "image_unreadable")
    assert set(unreadable.details["reasons"]) == {str(path) for path in unreadable.paths}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source_images": None}, {("folder_not_chosen", "source_images")}),
        ({"target_images": None}, {("folder_not_chosen", "target_images")}),
        ({"source_labels": None}, {("folder_not_chosen", "source_labels")}),
        ({"target_images": Path("nowhere")}, {("folder_missing", "target_images")}),
        ({"label_space": "citiscapes"}, {("label_space", "label_space")}),
    ],
)
def test_choices_that_are_missing_or_wrong(world, changes, expected):
    report = world.check(**changes)
    assert set(found_in(report)) == expected
    assert not report.ok


def test_empty_target_folder(world):
    (world.root / "empty").mkdir()
    report = world.check(target_images=world.root / "empty")
    assert found_in(report) == {("no_images", "target_images"): {world.root / "empty"}}
    assert report.statistics.gap is None


def test_evaluation_images_without_labels(world):
    report = world.check(target_labels=None)
    assert set(found_in(report)) == {("nothing_to_measure", "evaluation_images")}
    assert report.ok


def test_target_labels_may_belong_to_some_of_the_target_images(world):
    world.label("el/t0.png", [0, 1])
    for i in range(4):
        (world.root / f"el/e{i}.png").unlink()
    report = world.check(evaluation_images=None)
    assert report.problems == ()
    assert report.statistics.domains["target"].num_labels == 1
    assert "evaluation" not in report.statistics.domains


def test_a_few_shared_images_are_a_warning(world):
    for i in range(20):
        world.image(f"ti/more{i}.png")
    source_image_in_target(world)
    assert [problem.severity for problem in world.check().problems] == [Severity.WARNING]


def test_recognised_space_and_statistics_known_answers(world):
    report = world.check(label_space="auto")
    assert report.space is not None
    assert report.space.num_classes == 4
    assert "numbers 0 to 3" in report.recognition
    # Stripes over 32 columns: one label holds 8 of each of four ids, three hold 11, 11 and 10.
    shares = report.statistics.class_shares
    assert shares["class 0"] == pytest.approx((8 + 33) / 128)
    assert shares["class 3"] == pytest.approx(8 / 128)
    assert report.statistics.class_images["class 3"] == 1
    assert report.statistics.ignored_share == 0
    source = report.statistics.domains["source"]
    assert (source.num_images, source.num_labels, source.num_read) == (4, 4, 4)
    assert source.sizes == (((SIDE, SIDE), 4),)


def test_colour_labels_solid_unknown_colours_are_faults_and_strays_are_not(world):
    text = 'encoding = "colours"\nclasses = [{name = "a", colour = [200, 0, 0]}, {name = "b", colour = [0, 0, 200]}]'
    (world.root / "space.toml").write_text(text)
    (world.root / "el").rename(world.root / "unused")

    def save(name: str, dots: list[tuple[int, int]], block: bool) -> None:
        pixels = np.full((SIDE, SIDE, 3), (200, 0, 0), np.uint8)
        pixels[:, 16:] = (0, 0, 200)
        for y, x in dots:
            pixels[y, x] = (100, 0, 100)
        if block:
            pixels[4:8, 4:8] = (9, 9, 9)
        Image.fromarray(pixels).save(world.root / "sl" / name)

    for i in range(4):
        save(f"s{i}.png", [(y, 16) for y in range(0, SIDE, 2)], block=i == 3)
    report = world.check(evaluation_images=None, target_labels=None)
    assert found_in(report) == {("label_unknown_values", "source_labels"): {world.root / "sl/s3.png"}}
    assert report.problems[0].details["values"] == ["#090909"]


def test_json_is_plain(world):
    zero_byte_image(world)
    id_outside_the_classes(world)
    report = world.check(target_images=None)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["ok"] is False
    assert data["space"]["classes"] == ["a", "b", "c", "d"]
    problem = next(p for p in data["problems"] if p["code"] == "label_unknown_values")
    assert (problem["severity"], problem["count"]) == ("error", 1)
    assert problem["paths"] == [str(world.root / "sl/f11.png")]
    assert problem["details"]["values"] == ["4"]
    assert data["statistics"]["gap"] is None


def test_json_of_a_domain_without_a_readable_image(world):
    for path in (world.root / "ti").iterdir():
        path.write_bytes(b"")
    data = json.loads(json.dumps(world.check().to_json(), allow_nan=False))
    assert data["statistics"]["domains"]["target"]["brightness_mean"] is None


def test_progress_counts_every_image_once_from_the_callers_thread(world):
    seen = []
    check(world.config(), CROP, progress=lambda *args: seen.append((*args, threading.current_thread())), threads=3)
    assert [row[:2] for row in seen] == [(i, 12) for i in range(1, 13)]
    assert {row[2] for row in seen} == {threading.current_thread()}


def test_cancel_ends_early_and_the_report_says_so(world):
    seen = []
    report = check(
        world.config(), CROP, progress=lambda *args: seen.append(args), cancelled=lambda: len(seen) >= 2, threads=1
    )
    assert len(seen) == 2
    assert not report.complete
    assert not report.ok
    assert report.statistics.domains["source"].num_read == 2
    assert not any(thread.name.startswith("check") for thread in threading.enumerate())


def test_the_report_does_not_depend_on_the_threads(world):
    for fault in FAULTS:
        fault(world)
    reports = [check(world.config(), CROP, threads=threads) for threads in (1, 5)]
    assert json.dumps(reports[0].to_json()) == json.dumps(reports[1].to_json())


def test_every_image_is_decoded_once(world, monkeypatch):
    decoded = []

    def counting(path: Path, data: bytes) -> np.ndarray:
        decoded.append(path)
        return decode_image(path, data)

    monkeypatch.setattr(inspect_pair, "decode_image", counting)
    world.check()
    assert len(decoded) == len(set(decoded)) == 12


def test_real_data(camvid):
    data = DataConfig(
        source_images=camvid / "source/images",
        source_labels=camvid / "source/labels",
        target_images=camvid / "target/images",
        evaluation_images=camvid / "target_eval/images",
        target_labels=camvid / "target_eval/labels",
        label_space="camvid11",
    )
    report = check(data, (160, 160))
    assert report.problems == ()
    gap = report.statistics.gap
    assert gap is not None
    assert gap.brightness < -30  # dusk is darker
    assert gap.colour > 30
    assert gap.size == 0
    assert sum(report.statistics.class_shares.values()) == pytest.approx(1)
    assert report.statistics.class_shares["Road"] == pytest.approx(0.335, abs=0.01)
