"""Other people's formats become image folders and a label space."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.commands.cli import main
from core.conversion.convert import ConversionError, Options, convert
from core.conversion.drawing import coco_counts, run_lengths
from core.dataset.folders import scan
from core.dataset.reading import read_image, read_label
from core.dataset.recognise import resolve_space

H, W = 20, 30


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (H, W, 3), np.uint8)).save(path)
    return path


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def flat(points: list[list[float]]) -> list[float]:
    return [value for point in points for value in point]


def read_back(out: Path, name: str) -> np.ndarray:
    """The label as the program reads it by the label space that was written, as class names' positions."""
    labels = sorted((out / "labels").rglob("*.png"))
    return read_label(out / "labels" / f"{name}.png", resolve_space("auto", labels).space)


# Annotations ---------------------------------------------------------------------------------------


def coco(folder: Path, segmentations: list[dict], file_name: str = "a.jpg") -> Path:
    data = {
        "images": [{"id": 5, "file_name": file_name, "height": H, "width": W}],
        "categories": [{"id": 3, "name": "ship"}, {"id": 1, "name": "dock"}],
        "annotations": [{"id": i, "image_id": 5, **one} for i, one in enumerate(segmentations)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(data))
    return folder


def test_coco_polygons_with_a_hole(tmp_path):
    hole = [flat(box(2, 2, 18, 18)), flat(box(7, 7, 12, 12))]
    folder = coco(
        tmp_path / "in",
        [{"category_id": 3, "segmentation": hole}, {"category_id": 1, "segmentation": [flat(box(20, 0, 29, 5))]}],
    )
    picture(folder / "images/a.png").rename(folder / "images/a.jpg")
    report = convert(folder, tmp_path / "out", Options())
    assert (report.kind, report.num_images, report.num_labels) == ("COCO", 1, 1)
    assert report.classes == ("background", "dock", "ship")
    label = read_back(tmp_path / "out", "a")
    assert [label[9, 4], label[9, 9], label[2, 25], label[19, 25]] == [2, 0, 1, 0]
    assert abs(int((label == 2).sum()) - (16 * 16 - 5 * 5)) < 60  # borders belong to the object
    assert any("even-odd rule" in note for note in report.notes)
    pairs = scan(tmp_path / "out/images", tmp_path / "out/labels").pairs
    assert [pair.label is not None for pair in pairs] == [True]


@pytest.mark.parametrize("compressed", [False, True])
def test_coco_run_lengths(tmp_path, compressed):
    mask = np.zeros((H, W), bool)
    mask[3:9, 4:20] = True
    counts = lengths(mask.T.ravel())
    text = compress(counts) if compressed else counts
    folder = coco(tmp_path / "in", [{"category_id": 1, "segmentation": {"counts": text, "size": [H, W]}}])
    convert(folder, tmp_path / "out", Options())
    np.testing.assert_array_equal(read_back(tmp_path / "out", "a"), mask)
    assert coco_counts(compress(counts)) == counts
    np.testing.assert_array_equal(run_lengths(counts, H, W, by_columns=True), mask)


def lengths(values: np.ndarray) -> list[int]:
    """Lengths of runs, the first one of False."""
    counts, current = [0], False
    for value in values:
        if value != current:
            counts.append(0)
            current = bool(value)
        counts[-1] += 1
    return counts


def compress(counts: list[int]) -> str:
    """COCO's text, as its tools write it."""
    text = ""
    for i, count in enumerate(counts):
        x = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            c = x & 31
            x >>= 5
            more = x != (-1 if c & 16 else 0)
            text += chr(c + (32 if more else 0) + 48)
    return text


def test_boxes_without_a_segmentation_are_named(tmp_path):
    folder = coco(tmp_path / "in", [{"category_id": 3, "segmentation": [], "bbox": [0, 0, 5, 5]}])
    report = convert(folder, tmp_path / "out", Options())
    assert "without a segmentation" in report.left_out[0]
    assert any("1 images were not found" in note for note in report.notes)


def test_a_name_cannot_lead_out_of_the_output(tmp_path):
    folder = coco(tmp_path / "in", [], "../../evil.jpg")
    convert(folder, tmp_path / "deep/er/out", Options())
    assert [p.relative_to(tmp_path / "deep/er/out/labels").as_posix() for p in (tmp_path / "deep").rglob("*.png")] == [
        "evil.png"
    ]


def test_labelme_shapes(tmp_path):
    mask = io.BytesIO()
    Image.fromarray(np.full((4, 5), 255, np.uint8)).save(mask, "PNG")
    content = io.BytesIO()
    Image.fromarray(np.full((H, W, 3), 7, np.uint8)).save(content, "PNG")
    shapes = [
        {"label": "road", "shape_type": "polygon", "points": box(0, 10, 29, 19)},
        {"label": "car", "shape_type": "rectangle", "points": [[3, 11], [9, 15]]},
        {"label": "sun", "shape_type": "circle", "points": [[24, 5], [27, 5]]},
        {
            "label": "car",
            "shape_type": "mask",
            "points": [[15, 2], [19, 5]],
            "mask": base64.b64encode(mask.getvalue()).decode(),
        },
        {"label": "__ignore__", "shape_type": "polygon", "points": box(0, 0, 4, 4)},
        {"label": "wire", "shape_type": "line", "points": [[0, 0], [9, 9]]},
    ]
    data = {"imagePath": "..\\x\\a.jpg", "imageHeight": H, "imageWidth": W, "shapes": shapes}
    data["imageData"] = base64.b64encode(content.getvalue()).decode()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text(json.dumps(data))
    report = convert(tmp_path / "in", tmp_path / "out", Options())
    assert report.classes == ("background", "car", "road", "sun")
    label = read_back(tmp_path / "out", "a")
    assert [label[17, 20], label[13, 6], label[5, 24], label[3, 16], label[2, 2], label[9, 12]] == [2, 1, 3, 1, 255, 0]
    assert (read_image(tmp_path / "out/images/a.png") == 7).all()
    assert "a line of 'wire'" in report.left_out[0]


CVAT = """<?xml version="1.0"?><annotations><meta><task><labels>
<label><name>hull</name><color>#c06010</color></label><label><name>sail</name><color>#fafafa</color></label></labels></task></meta>
<image id="0" name="day/a.png" width="30" height="20">
<polygon label="sail" points="0,0;9.5,0;9.5,9.5;0,9.5" z_order="1"/>
<polygon label="hull" points="0,0;29,0;29,19;0,19" z_order="0"/>
<mask label="sail" rle="2,3,2,3" left="20" top="10" width="5" height="2"/>
<box label="hull" xtl="1" ytl="1" xbr="5" ybr="5"/></image></annotations>"""


def test_cvat_xml(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/annotations.xml").write_text(CVAT)
    report = convert(tmp_path / "in", tmp_path / "out", Options())
    assert report.classes == ("background", "hull", "sail")
    label = read_back(tmp_path / "out", "day/a")
    assert [label[4, 4], label[15, 5], label[10, 20], label[10, 22], label[11, 23]] == [2, 1, 1, 2, 2]
    assert "a box of 'hull'" in report.left_out[0]
    assert "colour = [\n    192,\n    96,\n    16,\n]" in (tmp_path / "out/label_space.toml").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><annotations/>", "declares entities"),
        ("a.xml", "<annotation><object/></annotation>", "holds boxes"),
        ("a.json", '{"images": [{"id": 1}], "annotations": []}', "damaged"),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "a", "height": 9999999, "width": 9999999}], "annotations": []}',
            "cannot be right",
        ),
        ("a.json", "[" * 100_000, "damaged"),
        ("a.json", '{"other": 1}', "nothing that can be converted"),
    ],
)
def test_bad_annotations_are_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConversionError, match=words):
        convert(tmp_path / name, tmp_path / "out", Options())


# Masks and arrays ----------------------------------------------------------------------------------


def mask(path: Path, columns: slice) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((H, W), np.uint8)
    pixels[:, columns] = 255
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    "form", ["{kind}/{image}.png", "{image}/{kind}.png", "{image}_{kind}.png", "{kind}-{image}.png"]
)
def test_one_mask_per_class(tmp_path, form):
    for image in ("f0", "f1", "f2"):
        mask(tmp_path / "in" / form.format(image=image, kind="car"), slice(0, 12))
        mask(tmp_path / "in" / form.format(image=image, kind="road"), slice(10, 20))
        picture(tmp_path / "images" / f"{image}.png")
    report = convert(tmp_path / "in", tmp_path / "out", Options(images=tmp_path / "images"))
    assert report.classes == ("background", "car", "road")
    for image in ("f0", "f1", "f2"):
        assert read_back(tmp_path / "out", image)[0, [0, 9, 11, 19, 25]].tolist() == [1, 1, 2, 2, 0]
    assert any("in more than one mask" in note for note in report.notes)


def test_instances_become_classes(tmp_path):
    label = np.repeat(np.array([[1792, 1793, 2816, 2817]], np.uint16), 8, axis=1).repeat(8, axis=0)
    (tmp_path / "in").mkdir()
    Image.fromarray(label).save(tmp_path / "in/a.png")
    report = convert(tmp_path / "in", tmp_path / "out", Options())
    assert "class × 256 + instance" in report.notes[0]
    assert len(np.unique(read_back(tmp_path / "out", "a"))) == 2


def test_arrays(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    ids = np.arange(H * W, dtype=np.int64).reshape(H, W) % 3
    np.save(folder / "one.npy", ids)
    np.savez(folder / "both.npz", image=np.full((H, W, 3), 9, np.uint8), label=ids.astype(np.uint8))
    np.save(folder / "stack_mask.npy", np.stack([ids, ids]).astype(np.uint8))
    np.save(folder / "deep.npy", np.zeros((2, 2, 2, 2, 2), np.uint8))
    np.save(folder / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    report = convert(folder, tmp_path / "out", Options())
    assert (report.num_images, report.num_labels) == (1, 4)
    for name in ("one", "both", "stack_mask/0001"):
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / f"out/labels/{name}.png")), ids)
    assert len(report.left_out) == 2
    assert "shape (2, 2, 2, 2, 2)" in report.left_out[0]


def test_stacks_become_folders_of_slices(tmp_path):
    pages = [Image.fromarray(np.full((H, W), 1000 + i, np.uint16)) for i in range(3)]
    (tmp_path / "in").mkdir()
    pages[0].save(tmp_path / "in/cells.tif", save_all=True, append_images=pages[1:])
    report = convert(tmp_path / "in", tmp_path / "out", Options())
    assert report.num_images == 3
    assert np.array(Image.open(tmp_path / "out/images/cells/0002.png"))[0, 0] == 1002


def test_frames_of_a_video_by_interval_and_change(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for i in range(40):
        writer.write(np.full((48, 64, 3), 20 if i < 20 else 200, np.uint8))
    writer.release()
    report = convert(tmp_path / "v.avi", tmp_path / "out", Options(every=0.5))
    assert sorted(p.name for p in (tmp_path / "out/images").iterdir()) == ["frame_000000.png", "frame_000020.png"]
    assert "6 frames hardly differ" in report.notes[0]
    assert convert(tmp_path / "v.avi", tmp_path / "all", Options(every=0.5, min_change=0)).num_images == 8


def test_images_as_they_are_stored(tmp_path):
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(tmp_path / "in/a.jpg", exif=exif)
    convert(tmp_path / "in", tmp_path / "out", Options(as_stored=True))
    assert read_image(tmp_path / "in/a.jpg").shape == (W, H, 3)
    assert read_image(tmp_path / "out/images/a.png").shape == (H, W, 3)


@pytest.mark.parametrize("intensity", ["image", "folder"])
def test_grey_levels_are_stretched(tmp_path, intensity):
    (tmp_path / "in").mkdir()
    for i in range(2):
        ramp = (np.linspace(0, 1, H * W).reshape(H, W) * 400 + 1000 + 400 * i).astype(np.uint16)
        Image.fromarray(ramp).save(tmp_path / f"in/{i}.png")
    convert(tmp_path / "in", tmp_path / "out", Options(intensity=intensity))
    means = [read_image(tmp_path / f"out/images/{i}.png").mean() for i in range(2)]
    assert abs(means[1] - means[0]) < 3 if intensity == "image" else means[1] - means[0] > 80


# Command line --------------------------------------------------------------------------------------


def test_the_command_reports_and_never_overwrites(tmp_path, capsys):
    folder = coco(tmp_path / "in", [{"category_id": 3, "segmentation": [flat(box(2, 2, 9, 9))]}])
    words = ["convert", str(folder), str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["kind"], report["labels"], report["classes"]) == ("COCO", 1, ["background", "dock", "ship"])
    assert main(words) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["convert", "nowhere", str(tmp_path / "x")]) == 1
    assert main(["convert", str(tmp_path), str(tmp_path / "x")]) == 1
