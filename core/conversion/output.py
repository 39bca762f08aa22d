"""What a conversion writes: `images/`, `labels/`, `label_space.toml`, and a report. Importable without torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from core.errors import reason
from core.labels import IGNORE, Colour, LabelSpace, default_palette, space_to_toml

Progress = Callable[[int, int], None]
MAX_CLASSES = 254


class ConversionError(ValueError):
    """Something that cannot be converted. The message says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """How to convert."""

    as_stored: bool = False  # images: write the pixels as they are stored, not turned by EXIF
    every: float = 1.0  # videos: seconds between two frames
    min_change: float = 2.0  # videos: grey levels by which a frame must differ from the last one written
    intensity: str = ""  # images: stretch grey levels by percentiles of each "image" or of the whole "folder"
    images: Path | None = None  # the folder of the images that annotations belong to


@dataclass
class Report:
    """What was converted."""

    kind: str
    output: Path
    num_images: int = 0
    num_labels: int = 0
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def num_written(self) -> int:
        return self.num_images + self.num_labels

    def lines(self) -> list[str]:
        """The report for people."""
        found = [f"{self.kind}: {self.num_images} images and {self.num_labels} labels are written to {self.output}."]
        if self.classes:
            shown = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes[:20]))
            found.append(f"Classes: {shown}{' …' if len(self.classes) > 20 else ''}.")
        return [*found, *self.notes]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "output": str(self.output),
            "images": self.num_images,
            "labels": self.num_labels,
            "classes": list(self.classes),
            "notes": self.notes,
            "left_out": self.left_out,
        }


class Writer:
    """Writes pictures below an output folder, and counts them."""

    def __init__(self, output: Path, kind: str) -> None:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ConversionError(f"{output} exists and is not an empty folder; choose another name.")
        self.report = Report(kind, output)
        self._output = output
        self._names: set[str] = set()

    def copy_image(self, name: str, source: Path) -> None:
        """Copy an image file as it is."""
        target = self._target("images", name, source.suffix.lower() or ".png")
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise ConversionError(f"{source} cannot be copied to {target}: {reason(error)}.") from error
        self.report.num_images += 1

    def image(self, name: str, pixels: np.ndarray) -> None:
        """Write an image, uint8 or uint16 (H, W), or uint8 (H, W, 3), as PNG."""
        self._save(self._target("images", name, ".png"), Image.fromarray(pixels))
        self.report.num_images += 1

    def label(self, name: str, ids: np.ndarray) -> None:
        """Write a label, ids uint8 (H, W), as PNG."""
        self._save(self._target("labels", name, ".png"), Image.fromarray(ids.astype(np.uint8)))
        self.report.num_labels += 1

    def classes(self, names: Sequence[str], colours: Sequence[Colour | None] = ()) -> None:
        """Write the label space of labels whose values are the positions of these names."""
        if not 1 <= len(names) <= MAX_CLASSES:
            raise ConversionError(f"There are {len(names)} classes; 1 to {MAX_CLASSES} are possible.")
        defaults = default_palette(len(names))
        given = [*colours, *[None] * (len(names) - len(colours))]
        palette = tuple(own or default for own, default in zip(given, defaults, strict=True))
        self.space(LabelSpace(self._output.resolve().name, tuple(names), palette))

    def space(self, space: LabelSpace) -> None:
        """Write a label space beside the labels."""
        self._write(self._output / "label_space.toml", space_to_toml(space))
        self.report.classes = space.classes

    def _target(self, kind: str, name: str, suffix: str) -> Path:
        safe = PurePosixPath(
            *[_part(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        )
        key = f"{kind}/{safe}"
        if key in self._names:
            raise ConversionError(f"Two inputs would be written as {key}; rename one of them.")
        self._names.add(key)
        target = self._output / kind / safe.parent / f"{safe.name}{suffix}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConversionError(f"{target.parent} cannot be made: {reason(error)}.") from error
        return target

    def _save(self, target: Path, image: Image.Image) -> None:
        try:
            image.save(target, "PNG")
        except OSError as error:
            raise ConversionError(f"{target} cannot be written: {reason(error)}.") from error

    def _write(self, target: Path, text: str) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConversionError(f"{target} cannot be written: {reason(error)}.") from error


def _part(text: str) -> str:
    """A part of a path without what no system allows in names."""
    return "".join("_" if mark in '<>:"|?*' or not mark.isprintable() else mark for mark in text)


def blank(height: int, width: int, value: int = 0) -> np.ndarray:
    """An empty label. Raises ConversionError for sizes that no image has."""
    if not (0 < height <= 65_535 and 0 < width <= 65_535 and height * width <= 1 << 28):
        raise ConversionError(f"An image of {width} × {height} pixels is stated; that cannot be right.")
    return np.full((height, width), value, np.uint8)


__all__ = ["IGNORE", "MAX_CLASSES", "ConversionError", "Options", "Progress", "Report", "Writer", "blank"]
