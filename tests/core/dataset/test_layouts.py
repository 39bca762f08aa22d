"""Other people's data as they come: for each layout and kind of labels, what the check makes of it, or why it refuses.

Each case writes a small source (images and labels) as some tool would, and states either the classes and the meaning of two
pixels, or the code of the error and a word of its message. Nothing may be read wrongly in silence.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.checking.check import check
from core.checking.report import Report
from core.configuration.sections import DataConfig
from core.dataset.folders import Severity
from core.dataset.listing import scan_roles
from core.dataset.reading import read_label
from core.labels import IGNORE

SIDE = 48
LEFT, RIGHT = (10, 6), (10, 40)  # two pixels, one in each half
RNG = np.random.default_rng(3)


@dataclass(frozen=True)
class Case:
    """`ids` are what LEFT and RIGHT of the first label mean; None: the folder is refused with `code` and `word`."""

    make: Callable[[Path], None]
    ids: tuple[int, int] | None = None
    classes: int = 2
    code: str = ""
    word: str = ""
    data: dict[str, str] = field(default_factory=dict)
    pairs: int = 3
    warns: tuple[str, ...] = ()  # codes of warnings that must be there


# Writing -------------------------------------------------------------------------------------------


def halves(left: int = 0, right: int = 1, dtype: type = np.uint8) -> np.ndarray:
    label = np.full((SIDE, SIDE), left, dtype)
    label[:, SIDE // 2 :] = right
    return label


def photograph(seed: int, side: int = SIDE) -> Image.Image:
    """A picture with its border where the labels have theirs."""
    rng = np.random.default_rng(seed)
    pixels = np.where(np.arange(side)[None, :, None] < side // 2, (60, 90, 60), (190, 150, 120)) + rng.normal(
        0, 7, (side, side, 3)
    )
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def save(path: Path, picture: np.ndarray | Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)


def pairs(
    image: str, label: str, picture: np.ndarray | Callable[[int], np.ndarray] | None = None, num: int = 3, **options
):
    """Write images/ and labels/ by two templates of {i}."""

    def make(root: Path) -> None:
        for i in range(num):
            save(root / image.format(i=i), photograph(i))
            one = picture(i) if callable(picture) else halves() if picture is None else picture
            save(root / label.format(i=i), one, **options)

    return make


def named(image: str, label: str, num: int = 3) -> Case:
    """A layout of names, with plain ids."""
    return Case(pairs(f"images/{image}", f"labels/{label}", num=num), (0, 1), pairs=num)


def kind(picture, ids=(0, 1), classes: int = 2, suffix: str = "png", warns: tuple[str, ...] = (), **options) -> Case:
    """A kind of labels, with plain names."""
    return Case(pairs("images/{i}.jpg", f"labels/{{i}}.{suffix}", picture, **options), ids, classes, warns=warns)


def refused(make: Callable[[Path], None], code: str, word: str) -> Case:
    return Case(make, code=code, word=word)


def with_files(case: Case, **files: str) -> Case:
    """The same with text files in the root; a double underscore is a slash, a single one at the end a full stop."""

    def make(root: Path) -> None:
        case.make(root)
        for name, text in files.items():
            path = root / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return Case(make, case.ids, case.classes, case.code, case.word, case.data, case.pairs, case.warns)


def painted(left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    return np.array([left, right], np.uint8)[halves()]


def blurred(picture: np.ndarray, radius: float = 0.8) -> np.ndarray:
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def palette(ids: np.ndarray, colours: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(ids, "P")
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def stray(picture: np.ndarray, value: int) -> Callable[[int], np.ndarray]:
    def one(i: int) -> np.ndarray:
        copy = picture.copy()
        if i == 1:
            copy[3, 3] = value
        return copy

    return one


def stack(path: Path, pages: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others)


def stacks(image: str, label: str, num_labels: int = 3) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        stack(root / f"images/{image}", [np.array(photograph(i).convert("L")) for i in range(3)])
        stack(root / f"labels/{label}", [halves()] * num_labels)

    return make


def stack_and_slices(root: Path) -> None:
    stack(root / "images/cells.tif", [np.array(photograph(i).convert("L")) for i in range(3)])
    for i in range(3):
        save(root / f"labels/cells/{i:04}.png", halves())


def one_folder(image: str, label: str) -> Case:
    return Case(
        pairs(f"both/{image}", f"both/{label}"), (0, 1), data={"source_images": "both", "source_labels": "both"}
    )


def one_hot(form: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for i in range(3):
            save(root / f"images/f{i}.png", photograph(i))
            for name, mask in (("car", halves(255, 0)), ("road", halves(0, 255))):
                save(root / "labels" / form.format(i=i, name=name), mask)

    return make


def only_file(name: str, content: str | bytes) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for i in range(3):
            save(root / f"images/{i}.png", photograph(i))
        (root / "labels").mkdir()
        data = content.encode() if isinstance(content, str) else content
        (root / "labels" / name).write_bytes(data)

    return make


def turned_by_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    for i in range(5):
        save(root / f"images/{i}.jpg", photograph(i), exif=exif, quality=95)
        label = halves(0, 1)
        label[: SIDE // 3] = 0
        pixels = np.array(photograph(i))
        pixels[: SIDE // 3] = (60, 90, 60)
        save(root / f"images/{i}.jpg", pixels, exif=exif, quality=95)
        save(root / f"labels/{i}.png", label)


SPACE = '[[classes]]\nname = "a"\nvalues = [{}]\n[[classes]]\nname = "b"\nvalues = [{}]\n'
COLOURS = 'encoding = "colours"\n{}[[classes]]\nname = "a"\ncolour = [200, 0, 0]\n[[classes]]\nname = "b"\ncolour = [0, 0, 200]\n'
RED_BLUE = painted((200, 0, 0), (0, 0, 200))

CASES: dict[str, Case] = {
    # Names
    "same names": named("{i}.jpg", "{i}.png"),
    "upper-case suffixes": named("{i}.JPG", "{i}.PNG"),
    "sub-folders": named("a/b/{i}.png", "a/b/{i}.png"),
    "cityscapes": Case(
        pairs("images/bonn/bonn_{i}_leftImg8bit.png", "labels/bonn/bonn_{i}_gtFine_labelTrainIds.png"),
        (0, 1), 19, warns=("class_never_seen",),
    ),
    "mask at the end": named("{i}.jpg", "{i}_mask.png"),
    "mask at the head": named("image_{i}.png", "mask_{i}.png"),
    "camera's names": named("IMG_000{i}.JPG", "IMG_000{i}_mask.png"),
    "rgb kept in the label": named("rgb_{i}.png", "rgb_{i}_mask.png"),
    "full stop": named("p{i}.png", "p{i}.mask.png"),
    "hyphen": named("p{i}.png", "p{i}-mask.png"),
    "suffix within": named("p{i}.JPG", "p{i}.JPG.mask.png"),
    "coloured ground truth": named("p{i}.png", "p{i}_gt_color.png"),
    "zero-padding": named("0{i}.tif", "labels0000000{i}.png"),
    "other words on both sides": named("frame00{i}.png", "truth00{i}.png"),
    "hashes": named("a{i}f3c{i}.png", "a{i}f3c{i}.seg-v2.png"),
    "one folder per image": named("{i}/image.png", "{i}/mask.png"),
    "label folders one level deeper": named("{i}.png", "semantic/{i}.png"),
    "accents": named("Straße {i}.png", "Straße {i}.png"),
    "annotators": named("scan0{i}.png", "scan0{i}_by{i}.png"),
    "one pair": named("photo1.png", "photo1_annotated.png", num=1),
    "beside each other by marks": one_folder("{i}.png", "{i}_mask.png"),
    "beside each other by format": one_folder("{i}.jpg", "{i}.png"),
    "beside each other by ending": one_folder("p{i}.png", "p{i}-x.png"),
    "stated templates": Case(
        pairs("images/{i}_left_x.png", "labels/q{i}z.png"), (0, 1), data={"pairing": "{id}_left_*.png:q{id}z.png"}
    ),
    "one tree, chosen by patterns": Case(
        pairs("tree/day/images/{i}.png", "tree/day/labels/{i}.png"),
        (0, 1),
        data={"source_images": "tree", "source_labels": "tree", "source_files": "day/images/**"},
    ),
    "two-column list": with_files(
        Case(
            pairs("images/{i}.png", "labels/other{i}x.png"), (0, 1), data={"source_files": "list.txt"}, pairs=2
        ),
        list_DOT_txt="images/0.png labels/other2x.png\nimages/1.png labels/other0x.png\n",
    ),
    "list of stems": with_files(
        Case(pairs("images/{i}.png", "labels/{i}.png"), (0, 1), data={"source_files": "train.txt"}, pairs=2),
        train_DOT_txt="0\n2\n",
    ),
    "csv with a header": with_files(
        Case(pairs("images/{i}.png", "labels/{i}.png"), (0, 1), data={"source_files": "s.csv"}, pairs=1),
        s_DOT_csv="split,mask,image\ntrain,1.png,1.png\n",
    ),
    "stacks on both sides": Case(stacks("cells.tif", "cells.tif"), (0, 1), pairs=1),
    "stacks with other names": Case(stacks("train-volume.tif", "train-labels.tif"), (0, 1), pairs=1),
    "stack and folder of slices": Case(stack_and_slices, (0, 1)),
    "competing names": refused(
        lambda root: [
            (save(root / f"images/{i:02}.png", photograph(i)), save(root / f"labels/{i:02}_{5 - i:02}.png", halves()))
            for i in range(6)
        ]
        and None,
        "pairing_ambiguous",
        "--pair",
    ),
    "other numbers": refused(pairs("images/0{i}.png", "labels/1{i}.png"), "no_pairs", "--pair"),
    "nothing in common": refused(pairs("images/a{i}.png", "labels/{i}b{i}c.png"), "no_pairs", "stands against"),
    "unequal stacks": refused(stacks("cells.tif", "cells.tif", num_labels=2), "stack_mismatch", "another number of pages"),
    "one folder per class": refused(one_hot("{name}/f{i}.png"), "one_hot_labels", "masktwins convert"),
    "one file per class": refused(one_hot("f{i}_{name}.png"), "one_hot_labels", "masktwins convert"),
    "one folder per image and file per class": refused(one_hot("f{i}/{name}.png"), "one_hot_labels", "masktwins convert"),
    # Kinds of labels
    "ids": kind(halves(0, 1)),
    "ids with 255": kind(halves(0, 255), (0, 1)),
    "ids and no label": kind(lambda i: np.where(np.arange(SIDE) < 8, 255, halves(0, 1)).astype(np.uint8), (IGNORE, 1)),
    "ids with gaps": kind(halves(0, 3), (0, 3), 4, warns=("class_never_seen",)),
    "ids far apart": kind(halves(10, 200), (0, 1)),
    "0 and 255": kind(halves(0, 255)),
    "0 and 255, object left": kind(halves(255, 0), (1, 0)),
    "0 and 255 with one stray": kind(stray(halves(0, 255), 254)),
    "0 and 255 with a stray of 1": kind(stray(halves(0, 255), 1)),
    "0 and 255 smoothed": kind(blurred(halves(0, 255))),
    "0 and 255 in three channels": kind(np.dstack([halves(0, 255)] * 3)),
    "one bit": kind(Image.fromarray(halves(0, 255)).convert("1")),
    "stray id": kind(stray(halves(0, 1), 77)),
    "16 bits": kind(halves(300, 900, np.uint16), (0, 1)),
    "instances × 256": kind(
        np.where(np.arange(SIDE)[:, None] < 24, halves(1792, 2816, np.uint16), halves(1793, 2817, np.uint16)), (7, 11), 12,
        warns=("class_never_seen",),
    ),
    "instances × 1000": kind(
        np.where(np.arange(SIDE)[:, None] < 24, halves(7, 26000, np.uint16), halves(7, 26001, np.uint16)), (7, 26), 27,
        warns=("class_never_seen",),
    ),
    "palette": kind(palette(halves(0, 1), [(9, 9, 9), (200, 0, 0)])),
    "colours": kind(RED_BLUE, (1, 0)),
    "colours with alpha": kind(np.dstack([RED_BLUE, np.full((SIDE, SIDE), 255, np.uint8)]), (1, 0)),
    "colours smoothed": kind(blurred(RED_BLUE), (1, 0)),
    "official colours": kind(
        np.array([(128, 64, 128), (107, 142, 35), (70, 130, 180)], np.uint8)[np.arange(SIDE)[None] // 16 + np.zeros((SIDE, 1), int)],
        (0, 10), 19, warns=("class_never_seen",),
    ),
    "grey levels": kind(lambda i: np.repeat(np.array([[0, 85, 170, 255]], np.uint8), 12, axis=1).repeat(SIDE, axis=0), (0, 3), 4),
    "TIFF labels": kind(halves(0, 1), suffix="tif"),
    "BMP labels": kind(halves(0, 1), suffix="bmp"),
    "WebP labels": kind(RED_BLUE, (1, 0), suffix="webp", lossless=True),
    "own space beside the labels": with_files(kind(halves(7, 9), (1, 0)), labels__label_space_DOT_toml=SPACE.format(9, 7)),
    "own space in the parent folder": with_files(kind(halves(7, 9), (1, 0)), label_space_DOT_toml=SPACE.format(9, 7)),
    "own space wins over photographs": with_files(
        kind(lambda i: np.where(np.arange(SIDE)[:, None, None] < 24, RED_BLUE, RNG.integers(0, 255, (SIDE, SIDE, 3), np.uint8)), (0, 1)),
        label_space_DOT_toml=COLOURS.format("ignore_others = true\n"),
    ),
    "JPEG labels with a radius": with_files(
        kind(RED_BLUE, (0, 1), suffix="jpg", quality=90, warns=("label_lossy",)),
        label_space_DOT_toml=COLOURS.format("radius = 60\nignore_others = true\n"),
    ),
    "JPEG labels": refused(pairs("images/{i}.png", "labels/{i}.jpg", halves(0, 200)), "label_space", "JPEG"),
    "photographs as labels": refused(
        pairs("images/{i}.png", "labels/{i}.png", lambda i: RNG.integers(0, 255, (200, 200, 3), np.uint8)), "label_space", "photographs"
    ),
    "only 255": refused(pairs("images/{i}.png", "labels/{i}.png", halves(255, 255)), "label_space", "nothing but 255"),
    "values that the space does not know": refused(
        with_files(kind(halves(7, 50)), label_space_DOT_toml=SPACE.format(7, 9)).make, "label_unknown_values", "50 (50.0 %)"
    ),
    "labels of another size": refused(pairs("images/{i}.png", "labels/{i}.png", halves()[:20]), "size_mismatch", "48 × 20"),
    "labels drawn before the picture was turned": refused(turned_by_exif, "label_orientation", "--as-stored"),
    "animated labels": refused(
        pairs("images/{i}.png", "labels/{i}.png", halves(), save_all=True, append_images=[Image.fromarray(halves(1, 0))]),
        "label_space", "animated",
    ),
    "floating point": refused(
        pairs("images/{i}.png", "labels/{i}.tif", halves().astype(np.float32)), "label_space", "floating-point"
    ),
    # Other formats
    "COCO": refused(only_file("instances.json", json.dumps({"images": []})), "no_labels", "masktwins convert"),
    "CVAT": refused(only_file("annotations.xml", "<annotations/>"), "no_labels", "masktwins convert"),
    "arrays": refused(only_file("labels.npy", b"\x93NUMPY"), "no_labels", "masktwins convert"),
}  # fmt: skip


def look(case: Case, root: Path) -> tuple[DataConfig, Report]:
    case.make(root)
    save(root / "target/t.png", photograph(99))
    folders = {"source_images": "images", "source_labels": "labels", "target_images": "target"}
    values = {**folders, **case.data}
    for name, value in values.items():
        if name.endswith(("images", "labels")) or value.endswith((".txt", ".csv")):
            values[name] = str(root / value)
    data = DataConfig.model_validate(values)
    return data, check(data, (16, 16), threads=1)


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_the_check_understands_or_refuses(tmp_path, name):
    case = CASES[name]
    data, report = look(case, tmp_path)
    errors = [problem for problem in report.problems if problem.severity is Severity.ERROR]
    if case.ids is None:
        assert case.code in [problem.code for problem in errors], report.problems
        assert case.word in next(problem.message for problem in errors if problem.code == case.code)
        return
    assert errors == []
    assert {problem.code for problem in report.problems} == set(case.warns), report.problems
    assert report.space is not None
    assert report.space.num_classes == case.classes
    assert f"{case.pairs} of {case.pairs} images" in report.pairing["source"]
    label = scan_roles(data)["source"].pairs[0].label
    assert label is not None
    read = read_label(label, report.space)
    assert (read[LEFT], read[RIGHT]) == case.ids
