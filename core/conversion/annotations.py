"""Annotations in JSON and XML, as COCO, LabelMe and CVAT write them, to label images. Importable without torch."""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from core.conversion.drawing import RULE, coco_counts, fill, pairs, run_lengths
from core.conversion.output import IGNORE, ConversionError, Options, Progress, Writer, blank
from core.dataset.reading import ReadError, decode_label
from core.errors import reason
from core.labels import Colour, Encoding

MAX_BYTES = 1 << 30
BACKGROUND = ("background", "_background_")
IGNORED = ("__ignore__", "ignore", "void", "unlabeled", "unlabelled")

_BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, binascii.Error)


@dataclass
class Shape:
    """One object: its class, and its polygons or its mask within the image."""

    name: str
    polygons: list[np.ndarray] = field(default_factory=list)
    mask: np.ndarray | None = None  # bool
    at: tuple[int, int] = (0, 0)  # row and column of the mask's corner
    order: int = 0


@dataclass
class Annotated:
    """One image's annotations."""

    file: str  # as the annotation names it
    height: int
    width: int
    shapes: list[Shape]
    content: bytes = b""  # the image itself, where the annotation holds it


@dataclass
class Found:
    """What annotation files hold."""

    kind: str
    images: list[Annotated] = field(default_factory=list)
    colours: dict[str, Colour] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)  # classes that are listed, used or not
    left_out: list[str] = field(default_factory=list)


def read_annotations(paths: Sequence[Path]) -> Found | None:
    """Read all annotation files of one kind; None where there are none. Raises ConversionError."""
    found: Found | None = None
    for path in paths:
        one = _read(path)
        if one is None:
            continue
        if found is not None and found.kind != one.kind:
            raise ConversionError(
                f"{path} is {one.kind}, the files before it are {found.kind}; convert them one by one."
            )
        if found is None:
            found = one
        else:
            found.images += one.images
            found.left_out += one.left_out
            found.names += [name for name in one.names if name not in found.names]
    return found


def write_annotations(found: Found, writer: Writer, roots: Sequence[Path], progress: Progress) -> None:
    """Draw the labels, copy the images that are there, and write the label space."""
    used = {shape.name for image in found.images for shape in image.shapes}
    names = [*found.names, *sorted(used - set(found.names))]
    classes = [name for name in names if name.lower() not in (*BACKGROUND, *IGNORED)]
    ids = {name: i for i, name in enumerate(classes, start=1)}
    ids |= {name: 0 for name in names if name.lower() in BACKGROUND}
    ids |= {name: IGNORE for name in names if name.lower() in IGNORED}
    writer.classes(["background", *classes], [None, *(found.colours.get(name) for name in classes)])
    writer.report.notes += [RULE, "What no object covers is the class background."]
    writer.report.left_out += found.left_out
    index = _index(roots)
    missing = 0
    for done, image in enumerate(found.images, start=1):
        name = str(PurePosixPath(image.file.replace("\\", "/")).with_suffix(""))
        writer.label(name, _draw(image, ids))
        source = index.get(PurePosixPath(image.file.replace("\\", "/")).name)
        if source is not None:
            writer.copy_image(name, source)
        elif image.content:
            writer.image(name, _pixels(image))
        else:
            missing += 1
        progress(done, len(found.images))
    if missing:
        writer.report.notes.append(
            f"{missing} images were not found beside the annotations; name their folder with --images."
        )


def _draw(image: Annotated, ids: dict[str, int]) -> np.ndarray:
    label = blank(image.height, image.width)
    for shape in sorted(image.shapes, key=lambda one: one.order):
        if shape.mask is None:
            fill(label, shape.polygons, ids[shape.name])
            continue
        top, left = (max(0, corner) for corner in shape.at)
        part = label[top : top + shape.mask.shape[0], left : left + shape.mask.shape[1]]
        part[shape.mask[: part.shape[0], : part.shape[1]]] = ids[shape.name]
    return label


def _pixels(image: Annotated) -> np.ndarray:
    try:
        return decode_label(Path(image.file), image.content, Encoding.COLOURS)
    except ReadError as error:
        raise ConversionError(f"The image in the annotation of {image.file} cannot be read: {error}") from error


def _index(roots: Sequence[Path]) -> dict[str, Path]:
    """Image files below the folders by name; a name that occurs twice names none."""
    from core.dataset.walking import list_files

    found: dict[str, Path] = {}
    twice: set[str] = set()
    for root in dict.fromkeys(roots):
        for file in list_files(root, "images").files:
            twice |= {file.name} & found.keys()
            found[file.name] = Path(file.path)
    return {name: path for name, path in found.items() if name not in twice}


# Files ---------------------------------------------------------------------------------------------


def _read(path: Path) -> Found | None:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConversionError(f"{path} is larger than 1 GiB; divide it.")
        data = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path} cannot be opened: {reason(error)}.") from error
    try:
        return _json(path, json.loads(data)) if path.suffix.lower() == ".json" else _xml(path, data)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (*_BROKEN, RecursionError, ElementTree.ParseError) as error:
        raise ConversionError(f"{path} is damaged, or not of the kind it seems: {reason(error)}.") from error


def _json(path: Path, data: Any) -> Found | None:
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return _coco(data)
    if isinstance(data.get("shapes"), list) and "imagePath" in data:
        return _labelme(path, data)
    return None


def _coco(data: dict[str, Any]) -> Found:
    found = Found("COCO")
    categories = {
        int(one["id"]): str(one["name"]) for one in sorted(data.get("categories", []), key=lambda c: int(c["id"]))
    }
    found.names = list(dict.fromkeys(categories.values()))
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in data["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    for image in data["images"]:
        height, width = int(image["height"]), int(image["width"])
        one = Annotated(str(image["file_name"]), height, width, [])
        for annotation in by_image[image["id"]]:
            shape = _coco_shape(annotation, categories, height, width)
            if shape is None:
                found.left_out.append(f"{image['file_name']}: an object without a segmentation (a box or key points)")
            else:
                one.shapes.append(shape)
        found.images.append(one)
    return found


def _coco_shape(annotation: dict[str, Any], categories: dict[int, str], height: int, width: int) -> Shape | None:
    name = categories.get(int(annotation["category_id"]), f"category {annotation['category_id']}")
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        lengths = coco_counts(counts) if isinstance(counts, str) else counts
        blank(height, width)
        return Shape(name, mask=run_lengths(lengths, height, width, by_columns=True))
    return Shape(name, [pairs(polygon) for polygon in segmentation])


def _labelme(path: Path, data: dict[str, Any]) -> Found:
    found = Found("LabelMe")
    content = base64.b64decode(data["imageData"]) if data.get("imageData") else b""
    name = str(PurePosixPath(str(data["imagePath"]).replace("\\", "/")).name)
    image = Annotated(name, int(data["imageHeight"]), int(data["imageWidth"]), [], content)
    for order, shape in enumerate(data["shapes"]):
        one = _labelme_shape(shape, order)
        if one is None:
            found.left_out.append(f"{path.name}: a {shape.get('shape_type')} of {shape['label']!r}, which has no area")
        else:
            image.shapes.append(one)
    found.images.append(image)
    return found


def _labelme_shape(shape: dict[str, Any], order: int) -> Shape | None:
    points = np.asarray(shape["points"], float).reshape(-1, 2)
    name = str(shape["label"])
    match shape.get("shape_type") or "polygon":
        case "polygon":
            return Shape(name, [points], order=order)
        case "rectangle":
            (x0, y0), (x1, y1) = points[:2]
            return Shape(name, [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])], order=order)
        case "circle":
            radius = float(np.linalg.norm(points[1] - points[0]))
            angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
            return Shape(name, [points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)], order=order)
        case "mask":
            mask = decode_label(Path("mask.png"), base64.b64decode(shape["mask"]), Encoding.IDS) > 0
            left, top = np.rint(points[0]).astype(int)
            return Shape(name, mask=mask, at=(int(top), int(left)), order=order)
        case _:
            return None


def _xml(path: Path, data: bytes) -> Found | None:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ConversionError("it declares entities, which annotation tools do not write; it is not read")
    root = ElementTree.fromstring(data)
    if root.tag == "annotation":
        raise ConversionError("it holds boxes (Pascal VOC), and a segmentation needs areas")
    if root.tag != "annotations":
        return None
    found = Found("CVAT")
    for label in root.iter("label"):
        if (name := label.findtext("name")) is not None:
            found.names.append(name)
            colour = (label.findtext("color") or "").removeprefix("#")
            if len(colour) == 6:
                red, green, blue = bytes.fromhex(colour)
                found.colours[name] = (red, green, blue)
    for image in root.iter("image"):
        one = Annotated(image.attrib["name"], int(image.attrib["height"]), int(image.attrib["width"]), [])
        for order, element in enumerate(image):
            shape = _cvat_shape(element, order)
            if shape is not None:
                one.shapes.append(shape)
            elif "label" in element.attrib and element.tag != "tag":
                found.left_out.append(f"{one.file}: a {element.tag} of {element.attrib['label']!r}, which has no area")
        found.images.append(one)
    return found


def _cvat_shape(element: ElementTree.Element, order: int) -> Shape | None:
    attributes = element.attrib
    order += 100_000 * int(attributes.get("z_order", 0))
    if element.tag == "polygon":
        points = np.array([[float(v) for v in point.split(",")] for point in attributes["points"].split(";")])
        return Shape(attributes["label"], [points], order=order)
    if element.tag == "mask":
        height, width = int(attributes["height"]), int(attributes["width"])
        blank(height, width)
        counts = [int(count) for count in attributes["rle"].split(",")]
        mask = run_lengths(counts, height, width, by_columns=False)
        return Shape(attributes["label"], mask=mask, at=(int(attributes["top"]), int(attributes["left"])), order=order)
    return None


def annotation_files(folder: Path) -> Iterator[Path]:
    """JSON and XML files below a folder."""
    from core.dataset.walking import list_files

    for file in sorted(list_files(folder, "labels").others):
        if file.suffix in (".json", ".xml"):
            yield Path(file.path)


def convert_annotations(paths: Sequence[Path], output: Path, options: Options, progress: Progress) -> Writer | None:
    """Convert annotation files; None where these are none."""
    found = read_annotations(paths)
    if found is None:
        return None
    writer = Writer(output, found.kind)
    roots = [options.images] if options.images else [path.parent for path in paths]
    roots += [] if options.images else [folder for path in paths if (folder := path.parent.parent / "images").is_dir()]
    write_annotations(found, writer, roots, progress)
    return writer
