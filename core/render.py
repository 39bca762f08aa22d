"""Labels, masks and confidences as pictures for people. Numpy alone: importable without torch.

Every function returns a new contiguous uint8 array (H, W, 3), RGB, and leaves its inputs as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.labels import IGNORE
from core.pixels import Normalisation

IGNORE_COLOUR = (16, 16, 16)  # nearly black: "nothing is said about this pixel"
UNKNOWN_COLOUR = (255, 0, 255)  # an id that is no class: an error, made easy to see
AGREE_COLOUR = (44, 46, 52)
DIFFER_COLOUR = (255, 176, 0)  # tells from the dark by lightness too, whatever the colour vision
BACKGROUND = (24, 24, 24)
FIXED_COLOUR, BROKEN_COLOUR, WRONG_COLOUR = (0, 158, 115), (213, 94, 0), (204, 121, 167)  # Okabe–Ito: colour-blind safe
_HATCH_STEP, _HATCH_LIFT = 8, 14
_LINES_PER_SIDE = 64  # lines of a hatching along an image's longer side, whatever its size

# viridis at sixteen even steps: lightness rises evenly, and it reads the same in grey and to colour-blind people.
_VIRIDIS = np.array(
    [
        (68, 1, 84), (72, 26, 108), (71, 47, 125), (65, 68, 135), (57, 86, 140), (49, 104, 142), (42, 120, 142),
        (35, 136, 142), (31, 152, 139), (34, 168, 132), (53, 183, 121), (84, 197, 104), (122, 209, 81),
        (165, 219, 54), (210, 226, 27), (253, 231, 37),
    ],
    np.float64,
)  # fmt: skip


def colour_table(palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Table (256, 3) uint8 from an id to its colour: classes, IGNORE nearly black, every other id magenta."""
    table = np.full((256, 3), UNKNOWN_COLOUR, np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    table[IGNORE] = IGNORE_COLOUR
    return table


def colourise(label: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Colour a label (H, W) uint8 of class ids and IGNORE."""
    return colour_table(palette)[_plane(label, "label")]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Sequence[tuple[int, int, int]], opacity: float = 0.5
) -> np.ndarray:
    """Lay a label's colours over its image (H, W, 3) uint8; opacity in 0..1. IGNORE pixels show the image alone."""
    _same_size(image, label)
    colours = colourise(label, palette)
    mixed = image + (colours.astype(np.float32) - image) * np.float32(min(max(opacity, 0.0), 1.0))
    return np.where((label == IGNORE)[..., None], image, np.rint(mixed).astype(np.uint8))


def confidence_picture(confidence: np.ndarray) -> np.ndarray:
    """Picture values (H, W) in 0..1, dark violet to yellow. Values outside are clipped; not-a-number counts as 0."""
    values = np.nan_to_num(_plane(confidence, "confidence").astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    index = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return _confidence_table()[index]


def disagreement_picture(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Picture where two labels (H, W) differ: bright there, dark where they agree, black where either is IGNORE."""
    _same_size(first, second)
    picture = np.array((AGREE_COLOUR, DIFFER_COLOUR), np.uint8)[(first != second).astype(np.intp)]
    picture[(first == IGNORE) | (second == IGNORE)] = IGNORE_COLOUR
    return picture


def delta_picture(
    image: np.ndarray, before: np.ndarray, after: np.ndarray, palette: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """Show what changes between two labels (H, W) of an image (H, W, 3) uint8.

    Unchanged pixels show the photo in grey. Changed ones have the colour after the change, hatched in the one before.
    """
    _same_size(image, before)
    _same_size(before, after)
    picture = _grey(image)
    table = colour_table(palette)
    changed = before != after
    hatched = changed & _lines(*before.shape, rising=True)
    picture[changed] = table[after[changed]]
    picture[hatched] = table[before[hatched]]
    return picture


def outcome_picture(image: np.ndarray, fixed: np.ndarray, broken: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Show what gets better and worse in an image (H, W, 3) uint8; the masks are (H, W) bool.

    Fixed pixels are plain green, broken ones orange under rising lines, those that stay wrong pink under falling lines;
    all others show the photo in grey.
    """
    picture = _grey(image)
    height, width = picture.shape[:2]
    rising, falling = _lines(height, width, rising=True), _lines(height, width, rising=False)
    for mask, colour, lines in (
        (fixed, FIXED_COLOUR, None),
        (broken, BROKEN_COLOUR, rising),
        (wrong, WRONG_COLOUR, falling),
    ):
        _same_size(image, mask)
        picture[mask] = (0.25 * picture[mask] + 0.75 * np.array(colour)).astype(
            np.uint8
        )  # the photo stays recognisable
        if lines is not None:
            picture[mask & lines] = IGNORE_COLOUR
    return picture


def masked_picture(image: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Show an image (H, W, 3) uint8 under a keep mask (H, W), True = visible.

    Hidden pixels get the mean colour, which is what the network sees there (a normalised 0), under a faint hatch that
    tells them from a grey road.
    """
    _same_size(image, keep)
    height, width = keep.shape
    rows, columns = np.arange(_HATCH_STEP)[:, None], np.arange(width)
    mean = np.rint(np.multiply(Normalisation().mean, 255)).astype(np.uint8)
    on_line = ((rows + columns) % _HATCH_STEP == 0)[..., None]
    hatch = np.where(on_line, mean + np.uint8(_HATCH_LIFT), mean).reshape(_HATCH_STEP, -1)
    picture = np.empty((height, width, 3), np.uint8)
    plane = picture.reshape(height, -1)  # (H, 3 W): without a short last axis this is eight times as fast
    plane[:] = hatch[np.arange(height) % _HATCH_STEP]
    np.copyto(plane, image.reshape(height, -1), where=np.repeat(keep.astype(bool), 3, axis=1))
    return picture


def grid(pictures: Sequence[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Arrange pictures (H, W, 3) row by row; smaller ones are centred in cells of the largest height and width.

    Raises:
        ValueError: no picture, or fewer than one column.
    """
    if not pictures or columns < 1:
        raise ValueError(f"a grid needs a picture and a column, not {len(pictures)} and {columns}")
    columns = min(columns, len(pictures))
    height, width = max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures)
    num_rows = -(-len(pictures) // columns)
    shape = (num_rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top = row * (height + gap) + (height - picture.shape[0]) // 2
        left = column * (width + gap) + (width - picture.shape[1]) // 2
        canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def _grey(image: np.ndarray) -> np.ndarray:
    """The photo in grey, a little darker, so that colours stand out."""
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((luma * 0.8).astype(np.uint8)[..., None], 3, axis=2)


def _lines(height: int, width: int, *, rising: bool) -> np.ndarray:
    """Diagonal lines (H, W) bool, a third of the area."""
    step = max(4, round(max(height, width) / _LINES_PER_SIDE))
    columns = np.arange(width) if rising else -np.arange(width)
    return (np.arange(height)[:, None] + columns) % step < max(1, step // 3)


def _confidence_table() -> np.ndarray:
    positions, steps = np.linspace(0, 1, len(_VIRIDIS)), np.linspace(0, 1, 256)
    channels = [np.interp(steps, positions, _VIRIDIS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, 1)).astype(np.uint8)


def _plane(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim != 2:
        raise ValueError(f"{name} must be of shape (H, W), not {values.shape}")
    return values


def _same_size(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape[:2] != second.shape[:2]:
        raise ValueError(f"sizes differ: {first.shape[:2]} and {second.shape[:2]}")
