"""Pictures for the pages, made in the job threads from files. No Qt widgets, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter

from core.configuration.sections import DataConfig, MaskConfig
from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_image, read_label, read_label_values
from core.evaluation.compare import Ranked
from core.evaluation.errors import PredictionError
from core.evaluation.video import Video
from core.labels import Encoding, LabelSpace
from core.loading.cropping import cut
from core.method.masks import draw_keep_masks
from core.render import masked_picture, overlay
from masktwins_gui.models.images import THUMBNAIL

MOST_FRAMES = 2000  # of a video that are listed, evenly spread


@dataclass(frozen=True, slots=True)
class Frame(Pair):
    """A frame of a video. `image` tells it from the others and is not a file."""

    video: Path = Path()
    index: int = 0


def list_frames(video: Path) -> tuple[Frame, ...]:
    """List the frames of a video, named as `predict` names their pictures. Raises PredictionError."""
    with Video(video) as opened:
        length = opened.length
    if length < 1:
        raise PredictionError(f"{video} does not say how many frames it has; convert it to MP4 (H.264).")
    step = max(1, -(-length // MOST_FRAMES))
    names = ((index, f"frame_{index:06d}") for index in range(0, length, step))
    return tuple(Frame(video / name, None, name, video, index) for index, name in names)


def read_pixels(pair: Pair) -> np.ndarray:
    """Read an image or a frame as RGB (H, W, 3) uint8. Raises ReadError or PredictionError."""
    if not isinstance(pair, Frame):
        return read_image(pair.image)
    with Video(pair.video) as video:
        return video.frame(pair.index)


def thumbnail(pair: Pair, space: LabelSpace | None, opacity: float) -> QImage:
    """A small picture of an image with its label laid over it; the image alone where the label cannot be read."""
    image = read_pixels(pair)
    step = max(1, min(image.shape[0] // (2 * THUMBNAIL.height()), image.shape[1] // (2 * THUMBNAIL.width())))
    picture = np.ascontiguousarray(image[::step, ::step])
    if opacity > 0 and pair.label is not None and space is not None:
        label = _label(pair.label, space)
        if label is not None and label.shape == image.shape[:2]:
            picture = overlay(picture, np.ascontiguousarray(label[::step, ::step]), space.palette, opacity)
    picture = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    whole = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    smooth = Qt.TransformationMode.SmoothTransformation
    return _centred(whole.scaled(THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio, smooth))


def _centred(picture: QImage) -> QImage:
    """Put a picture into the middle of a thumbnail: a list of items of one size takes it from the first one."""
    canvas = QImage(THUMBNAIL, QImage.Format.Format_ARGB32_Premultiplied)
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    painter.drawImage((canvas.width() - picture.width()) // 2, (canvas.height() - picture.height()) // 2, picture)
    painter.end()
    return canvas


def _label(path: Path, space: LabelSpace) -> np.ndarray | None:
    try:
        return read_label(path, space)
    except (ReadError, OSError):
        return None


def brightness(image: np.ndarray) -> float:
    """Mean brightness of an RGB image (H, W, 3) uint8, 0..1, from a sixteenth of its pixels."""
    return float(image[::4, ::4].mean()) / 255


def read_predicted(folder: Path, name: str, size: tuple[int, int]) -> Ranked:
    """Read a predicted PNG of class ids: grey or palette, named as the image, below a folder.

    Args:
        name: the image's path below its folder, without suffix.
        size: (height, width) that it must have.

    Raises:
        ReadError: it is missing, not of class ids, or of another size.
    """
    path = folder / f"{name}.png"
    if not path.is_file():
        raise ReadError(f"{path} does not exist; a prediction has the name of its image, ending in .png.")
    values = read_label_values(path, Encoding.PALETTE)
    if values.shape != size or values.max(initial=0) > 255:
        raise ReadError(
            f"{path} is {values.shape[1]} × {values.shape[0]} pixels with values up to {values.max(initial=0)}; "
            f"the image is {size[1]} × {size[0]}, and class ids end at 254."
        )
    return Ranked(values.astype(np.uint8)[None])


@dataclass(frozen=True)
class Twins:
    """The mask preview: RGB uint8 (H, W, 3), and how often the pixels are shown."""

    original: np.ndarray
    views: tuple[np.ndarray, ...]  # `mask.views`, two, one or none
    together: np.ndarray | None  # what the views show between them; None for fewer than two
    hidden: tuple[float, ...]  # share of the pixels that each view hides
    once: float  # share of pixels that exactly one view shows
    both: float  # … two views
    never: float
    block: int  # side of a block in pixels


def draw_twins(image: np.ndarray, mask: MaskConfig, crop_hw: tuple[int, int], seed: int) -> Twins:
    """Mask the middle crop of an image by the very code that trains."""
    crop = centre_crop(image, crop_hw)
    height, width = crop.shape[:2]
    keeps = [keep[0, 0] for keep in draw_keep_masks(mask, 1, height, width, np.random.default_rng(seed))]
    seen = np.sum(keeps, axis=0, dtype=np.uint8) if keeps else np.ones((height, width), np.uint8)
    return Twins(
        original=crop,
        views=tuple(masked_picture(crop, keep) for keep in keeps),
        together=masked_picture(crop, np.greater(seen, 0)) if len(keeps) > 1 else None,
        hidden=tuple(1 - _share(keep) for keep in keeps),
        once=_share(seen == 1),
        both=_share(seen == 2),
        never=_share(seen == 0),
        block=mask.block_pixels(height, width),
    )


def _share(chosen: np.ndarray) -> float:
    """Return the share of True, 0..1; ten times as fast as the mean."""
    return np.count_nonzero(chosen) / chosen.size


def centre_crop(image: np.ndarray, crop_hw: tuple[int, int]) -> np.ndarray:
    """The middle of an image, (height, width) pixels, as training cuts it: one too small is enlarged first."""
    unscaled = DataConfig(scale_min=1, scale_max=1, flip=False)
    no_label = np.zeros(image.shape[:2], np.uint8)
    return cut(image, no_label, crop_hw, unscaled, np.array([0.0, 0.5, 0.5, 1.0])).image
