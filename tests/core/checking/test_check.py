"""The dataset report: every kind of fault is found, alone and with all others, and nothing else."""

import json
import re
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.checking import inspect_pair
from core.checking.check import check
from core.checking.folders import Folders
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
        names = ("training.crop_size", "label_space.toml", "f16_mask.png", str(world.root))
        assert "_" not in re.sub("|".join(map(re.escape, names)), "", problem.message)
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


def save_colours(root: Path, name: str, strays: int, block: bool) -> None:
    """Two colours in halves, a column of mixed ones between, and a block of another colour."""
    pixels = np.full((SIDE, SIDE, 3), (200, 0, 0), np.uint8)
    pixels[:, 16:] = (0, 0, 200)
    pixels[:strays, 16] = (100, 0, 100)
    if block:
        pixels[4:8, 4:8] = (9, 9, 9)
    Image.fromarray(pixels).save(root / "sl" / name)


COLOURS = 'encoding = "colours"\nclasses = [{name = "a", colour = [200, 0, 0]}, {name = "b", colour = [0, 0, 200]}]'


@pytest.mark.parametrize(
    ("strays", "block", "severity"),
    [(16, True, Severity.ERROR), (16, False, Severity.ERROR), (4, False, Severity.WARNING)],
)
def test_unknown_colours_are_counted_and_stop_above_one_percent(world, strays, block, severity):
    (world.root / "space.toml").write_text(COLOURS)
    (world.root / "el").rename(world.root / "unused")
    for i in range(4):
        save_colours(world.root, f"s{i}.png", strays, block and i == 3)
    (problem,) = world.check(evaluation_images=None, target_labels=None).problems
    assert (problem.code, problem.severity) == ("label_unknown_values", severity)
    assert problem.details["values"] == (["#090909"] if block else []) + ["#640064"]
    assert f"#640064 ({100 * strays / SIDE**2:.1f} %)" in problem.message
    (world.root / "space.toml").write_text(COLOURS.replace("\n", "\nignore_others = true\n"))
    assert world.check(evaluation_images=None, target_labels=None).problems == ()


def test_the_share_of_unknown_values_can_be_allowed(world):
    id_outside_the_classes(world)
    assert not world.check().ok
    report = world.check(allow_unknown=0.1)
    assert report.ok
    assert report.problems[0].severity is Severity.WARNING


def test_the_class_table_shows_both_cameras(world):
    rows = world.check().classes()
    assert [(row.name, row.written) for row in rows] == [("a", "0"), ("b", "1"), ("c", "2"), ("d", "3")]
    assert rows[3].source_share == pytest.approx(8 / 128)
    assert (rows[3].source_files, rows[3].target_files) == (1, 0)
    assert rows[0].target_share == pytest.approx(0.5)
    assert world.check(target_labels=None).classes()[0].target_share is None


def test_the_pairing_is_in_the_report(world):
    report = world.check()
    assert report.pairing["source"].startswith("{id}.jpg ↔ {id}.png, 4 of 4 images")
    assert report.to_json()["pairing"]["evaluation"].startswith("{id}.png ↔ {id}.png, 4 of 4")


# Exchanged and turned ------------------------------------------------------------------------------


def masks(root: Path, folder: str, object_value: int, rest: int, suffix: str = ".png") -> None:
    """Pictures with a bright box, and masks of it."""
    (root / folder / "images").mkdir(parents=True)
    (root / folder / "labels").mkdir()
    rng = np.random.default_rng(list(folder.encode()))
    for i in range(6):
        box = np.zeros((60, 90), bool)
        y, x = rng.integers(0, 20), rng.integers(0, 40)
        box[y : y + 22, x : x + 30] = True
        image = np.where(box[..., None], (200, 180, 60), (60, 70, 80)) + rng.normal(0, 6, (60, 90, 3))
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / folder / f"images/{folder}{i}{suffix}")
        Image.fromarray(np.where(box, object_value, rest).astype(np.uint8)).save(
            root / folder / f"labels/{folder}{i}.png"
        )


def boxes(root: Path, **changes) -> DataConfig:
    paths = {f"{c}_{kind}": root / c / kind for c in ("source", "target") for kind in ("images", "labels")}
    return DataConfig.model_validate({**paths, **changes})


def test_an_inverted_target_is_warned_of_with_the_line_that_corrects_it(tmp_path):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 0, 255)
    report = check(boxes(tmp_path), (32, 32))
    (problem,) = report.problems
    assert (problem.code, problem.severity) == ("label_inverted", Severity.WARNING)
    assert 'data.target_label_space = "binary_inverted"' in problem.message
    assert "'foreground' 12 % in the source and 88 % in the target" in problem.message
    report = check(boxes(tmp_path, target_label_space="binary_inverted"), (32, 32))
    assert report.problems == ()
    assert report.classes()[1].target_share == pytest.approx(report.classes()[1].source_share, abs=0.01)


def test_the_same_polarity_is_not_warned_of(tmp_path):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    assert check(boxes(tmp_path), (32, 32)).problems == ()


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_labels_drawn_on_unturned_images_are_found(tmp_path, orientation):
    masks(tmp_path, "source", 255, 0, ".jpg")
    masks(tmp_path, "target", 255, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in (tmp_path / "source/images").iterdir():
        Image.open(path).save(path, exif=exif, quality=95)
    (problem,) = check(boxes(tmp_path), (32, 32)).problems
    assert (problem.code, problem.severity) == ("label_orientation", Severity.ERROR)
    assert "--as-stored" in problem.message


def test_labels_drawn_on_turned_images_are_fine(tmp_path):
    masks(tmp_path, "source", 255, 0, ".jpg")
    masks(tmp_path, "target", 255, 0)
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in (tmp_path / "source/images").iterdir():
        Image.fromarray(np.array(Image.open(path))[::-1, ::-1]).save(path, exif=exif, quality=95)
    assert check(boxes(tmp_path), (32, 32)).problems == ()


def test_labels_of_the_stored_size_are_said_to_be(tmp_path):
    masks(tmp_path, "source", 255, 0, ".jpg")
    masks(tmp_path, "target", 255, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (tmp_path / "source/images").iterdir():
        Image.open(path).save(path, exif=exif, quality=95)
    (problem,) = check(boxes(tmp_path), (32, 32)).problems
    assert problem.code == "size_mismatch"
    assert "before its EXIF orientation (6) is applied" in problem.message


def test_turned_labels_are_found(tmp_path):
    masks(tmp_path, "source", 255, 0)
    masks(tmp_path, "target", 255, 0)
    for path in (tmp_path / "target/labels").iterdir():
        Image.fromarray(np.array(Image.open(path))[::-1, ::-1]).save(path)
    (problem,) = check(boxes(tmp_path), (32, 32)).problems
    assert (problem.code, problem.severity) == ("label_orientation", Severity.WARNING)
    assert "turned by 180 degrees" in problem.message
    assert problem.details["role"] == "target_labels"


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
    pairs = Folders.pairs
    monkeypatch.setattr(Folders, "pairs", lambda folders: listed.append(1) or pairs(folders))
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
