"""Previews on disk: the pictures of the preview frames at one step, in one PNG. Importable without torch.

`previews/000500.png` shows a frame per row. Its text chunk `masktwins` holds JSON that tells where each view is:

    {"format_version": 1, "step": 500, "frames": [{"name": "dusk_012.png", "views": {"target": [x, y, width, height], …}}, …]}

so that one file, written as a whole, holds pictures and layout. Steps count source-only steps too.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from core.files import write_atomic

FORMAT_VERSION = 1
CHUNK = "masktwins"
MOST_KEPT = 64  # previews of a run
MOST_PIXELS = 100_000_000  # of a sheet that is read: far more than is ever written
GAP = 4  # pixels between two views
BACKGROUND = 24
NAME = re.compile(r"^(\d{6,})\.png$")

Views = Mapping[str, np.ndarray]  # RGB uint8 (H, W, 3) by view name, in the order they are shown
Box = tuple[int, int, int, int]  # x, y, width, height in pixels


class PreviewError(ValueError):
    """Raised for a preview that cannot be read. The message names the file."""


@dataclass(frozen=True)
class Preview:
    """Hold what the networks made of the preview frames at one step. `names` are the frames' file names."""

    step: int
    names: tuple[str, ...]
    frames: tuple[Views, ...]


def preview_path(folder: Path, step: int) -> Path:
    return folder / f"{step:06d}.png"


def preview_steps(folder: Path) -> list[int]:
    """Return the steps of the previews in a run's `previews` folder, rising. Empty where there are none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := NAME.match(name)))


def read_preview(folder: Path, step: int) -> Preview:
    """Read a preview of `preview_steps`. One that an early version wrote has no layout: it is one view called `sheet`.

    Raises:
        PreviewError: the file does not exist, or is damaged.
    """
    path = preview_path(folder, step)
    try:
        sheet, layout = _read_sheet(path)
        if layout is None:
            return Preview(step, ("",), ({"sheet": sheet},))
        frames = json.loads(layout)["frames"]
        return Preview(
            step,
            tuple(str(frame["name"]) for frame in frames),
            tuple({str(name): _cut(sheet, box) for name, box in frame["views"].items()} for frame in frames),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
        raise PreviewError(f"{path} cannot be read as a preview: {error}") from error


def _read_sheet(path: Path) -> tuple[np.ndarray, str | None]:
    """Return the picture (H, W, 3) and the JSON of its layout. Raises ValueError where it is too large."""
    with Image.open(path, formats=["PNG"]) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} × {image.height} pixels are more than a preview has")
        image.load()
        return np.asarray(image.convert("RGB")), image.info.get(CHUNK)


def write_preview(folder: Path, preview: Preview) -> None:
    """Write a preview as a whole or not at all. Raises OSError."""
    boxes, width, height = _layout(preview.frames)
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    for views, places in zip(preview.frames, boxes, strict=True):
        for name, (x, y, w, h) in places.items():
            sheet[y : y + h, x : x + w] = views[name]
    frames = [{"name": name, "views": places} for name, places in zip(preview.names, boxes, strict=True)]
    text = PngImagePlugin.PngInfo()
    text.add_text(CHUNK, json.dumps({"format_version": FORMAT_VERSION, "step": preview.step, "frames": frames}))
    encoded = io.BytesIO()
    Image.fromarray(sheet).save(encoded, "PNG", pnginfo=text)
    write_atomic(preview_path(folder, preview.step), encoded.getvalue())


def surplus(steps: Sequence[int], most: int = MOST_KEPT) -> list[int]:
    """Choose the steps whose previews are deleted so that `most` stay, evenly spread; the first and the newest always stay."""
    kept = sorted(steps)
    gone = []
    while len(kept) > max(2, most):
        _, index = min((after - before, i) for i, (before, after) in enumerate(zip(kept, kept[2:], strict=False), 1))
        gone.append(kept.pop(index))
    return gone


def thin_previews(folder: Path, most: int = MOST_KEPT) -> None:
    """Delete previews so that `most` stay (`surplus`)."""
    _delete(folder, surplus(preview_steps(folder), most))


def delete_previews_after(folder: Path, step: int) -> None:
    """Delete the previews of later steps: a resumed run makes them again."""
    _delete(folder, [later for later in preview_steps(folder) if later > step])


def _delete(folder: Path, steps: Sequence[int]) -> None:
    for step in steps:
        with suppress(OSError):  # another program has it open: deleted the next time
            preview_path(folder, step).unlink(missing_ok=True)


def _layout(frames: Sequence[Views]) -> tuple[list[dict[str, Box]], int, int]:
    """Return (boxes per frame, width, height of the sheet): a row per frame, its views side by side."""
    boxes: list[dict[str, Box]] = []
    width, y = 1, 0
    for views in frames:
        x, row = 0, {}
        for name, picture in views.items():
            row[name] = (x, y, picture.shape[1], picture.shape[0])
            x += picture.shape[1] + GAP
        boxes.append(row)
        width = max(width, x - GAP)
        y += max((picture.shape[0] for picture in views.values()), default=0) + GAP
    return boxes, width, max(1, y - GAP)


def _cut(sheet: np.ndarray, box: Sequence[int]) -> np.ndarray:
    x, y, width, height = (int(value) for value in box)
    if min(x, y) < 0 or min(width, height) < 1 or x + width > sheet.shape[1] or y + height > sheet.shape[0]:
        raise ValueError(f"a view at {list(box)} lies outside of the sheet")
    return sheet[y : y + height, x : x + width].copy()
