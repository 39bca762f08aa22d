"""The dataset report: every kind of fault is found, alone and with all others, and nothing else."""

import json
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.checking import inspect_pair
from core.checking.check import _Folders, check
from core.configuration.sections import DataConfig
from core.dataset.folders import Severity
from core.dataset.reading import decode_image
from tests.core.dataset.faults import (
    CROP,
    FAULTS,
    SIDE,
    Found,
    World,
    found_in,
    id_outside_the_classes,
    source_image_in_target,
    zero_byte_image,
)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


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


def test_the_work_per_image_does_not_grow_with_their_number(world, monkeypatch):
    listed = []
    pairs = _Folders.pairs
    monkeypatch.setattr(_Folders, "pairs", lambda folders: listed.append(1) or pairs(folders))
    done = []
    check(world.config(), CROP, progress=lambda *args: done.append(args))
    assert len(done) == 12
    assert len(listed) == 1  # once a check, not once an image


def test_masks_are_suggested_from_the_source_labels(world):
    report = world.check()
    assert report.suggestion is not None
    assert report.suggestion.block_size == 4  # 32 / 16, rounded up to what an encoder sees
    assert report.suggestion.reason.endswith("Measured on 4 of 4 labels.")
    assert report.to_json()["suggestion"]["ratio"] == 0.5


def test_no_masks_are_suggested_without_classes(world):
    report = world.check(label_space="citiscapes")
    assert report.suggestion is None
    assert report.to_json()["suggestion"] is None


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
