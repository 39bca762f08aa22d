"""The generated demo: one kind of street, two cameras. Importable without torch.

`make_demo` writes

    source/images, source/labels        the first camera, labelled
    target/images                       the second camera
    target/labels_for_oracle            labels of these images, for the oracle alone: the upper bound that is trained
                                        on the target with labels
    target_eval/images, target_eval/labels   more images of the second camera, for measuring
    label_space.toml, demo.json         the classes; the seed and the sizes that the pictures were made from

The pictures are a pure function of the seed and their size; making them again with the same numbers does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from core.configuration.sections import DataConfig
from core.demo.camera import DAY, DUSK, Camera, photograph
from core.demo.canvas import Thing
from core.demo.scene import make_scene
from core.errors import RunError
from core.files import read_json, write_atomic
from core.labels import Encoding, LabelSpace, space_to_toml

VERSION = 1  # of the pictures: raise it when they change
SIZE = (128, 192)
MARKER = "demo.json"
ORACLE_LABELS = Path("target/labels_for_oracle")

_COLOURS: dict[Thing, tuple[int, int, int]] = {
    Thing.SKY: (86, 180, 233),
    Thing.BUILDING: (213, 94, 0),
    Thing.ROAD: (110, 110, 110),
    Thing.PAVEMENT: (204, 121, 167),
    Thing.GRASS: (170, 220, 120),
    Thing.TREE: (0, 158, 115),
    Thing.VEHICLE: (0, 114, 178),
    Thing.POLE: (240, 228, 66),
}
DEMO_SPACE = LabelSpace(
    name="demo street",
    classes=tuple(thing.name.lower() for thing in Thing),
    palette=tuple(_COLOURS[thing] for thing in Thing),
    encoding=Encoding.PALETTE,
)


def make_demo(
    folder: Path,
    seed: int = 0,
    source: int = 60,
    target: int = 60,
    evaluation: int = 30,
    size: tuple[int, int] = SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> DataConfig:
    """Write the demo into `folder` and return its data section, with absolute paths.

    `size` is (height, width) in pixels; `progress` is called with (pictures done, pictures in all).

    Raises:
        RunError: the folder holds other data, or cannot be written.
        ValueError: a number of pictures is below 1.
    """
    if min(source, target, evaluation) < 1:
        raise ValueError(f"The demo needs a picture of each kind, not {source}, {target} and {evaluation}.")
    folder = folder.resolve()
    recipe = {"version": VERSION, "seed": seed, "numbers": [source, target, evaluation], "size": list(size)}
    try:
        if _marker(folder) != {**recipe, "complete": True}:
            _write(folder, recipe, progress or (lambda done, total: None))
    except OSError as error:
        raise RunError(
            f"The demo cannot be written to {folder}: {error.strerror or error}. Choose another folder."
        ) from error
    return demo_data(folder)


def demo_data(folder: Path) -> DataConfig:
    """Return the data section of a demo in `folder`."""
    return DataConfig(
        source_images=folder / "source/images",
        source_labels=folder / "source/labels",
        target_images=folder / "target/images",
        target_labels=folder / "target_eval/labels",
        evaluation_images=folder / "target_eval/images",
        label_space=str(folder / "label_space.toml"),
    )


def _marker(folder: Path) -> dict[str, Any]:
    try:
        value = read_json(folder / MARKER)
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(folder: Path, recipe: dict[str, Any], progress: Callable[[int, int], None]) -> None:
    parts: list[tuple[str, Path, Camera, int]] = [
        ("source", Path("source/labels"), DAY, recipe["numbers"][0]),
        ("target", ORACLE_LABELS, DUSK, recipe["numbers"][1]),
        ("target_eval", Path("target_eval/labels"), DUSK, recipe["numbers"][2]),
    ]
    if not _marker(folder) and any((folder / name).exists() for name, *_ in parts):
        raise RunError(f"{folder} already holds data that is not a demo. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    _write_marker(folder, {**recipe, "complete": False})  # first, so that an interrupted demo is made again
    done = 0
    for part, (name, labels, camera, number) in enumerate(parts):
        for path in (folder / name / "images", folder / labels):
            path.mkdir(parents=True, exist_ok=True)
            _remove_surplus(path, number)
        for index in range(number):
            rng = np.random.default_rng(np.random.SeedSequence((recipe["seed"], part, index)))
            picture, label = photograph(camera, *make_scene(rng, *recipe["size"]), rng)
            _write_image(folder / name / "images" / f"{index:04d}.png", picture)
            _write_label(folder / labels / f"{index:04d}.png", label)
            done += 1
            progress(done, sum(recipe["numbers"]))
    write_atomic(folder / "label_space.toml", space_to_toml(DEMO_SPACE))
    _write_marker(folder, {**recipe, "complete": True})


def _write_marker(folder: Path, content: dict[str, Any]) -> None:
    write_atomic(folder / MARKER, json.dumps(content) + "\n")


def _remove_surplus(folder: Path, number: int) -> None:
    """Remove the images of an earlier, larger demo. Only files with the demo's own names are removed."""
    for path in folder.glob("[0-9][0-9][0-9][0-9].png"):
        if int(path.stem) >= number:
            path.unlink()


def _write_image(path: Path, picture: np.ndarray) -> None:
    encoded, data = cv2.imencode(".png", picture[..., ::-1])
    assert encoded
    path.write_bytes(data.tobytes())  # not imwrite, which fails on non-ASCII paths on Windows


def _write_label(path: Path, label: np.ndarray) -> None:
    """Write a palette PNG: the index is the class, and a file manager shows the colours."""
    image = Image.fromarray(label)
    image.putpalette([part for colour in DEMO_SPACE.palette for part in colour])
    image.save(path)
