"""A small, flawless dataset, and every way to make it bad that the report must find."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.checking.check import check
from core.checking.report import Report
from core.configuration.sections import DataConfig

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
