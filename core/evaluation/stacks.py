"""Predictions of a TIFF stack come out as a stack: their slices are joined once all of them are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from core.dataset.pages import TIFF_SUFFIXES, count_pages, file_of, page_path, split_page
from core.dataset.reading import ReadError, open_image
from core.evaluation.predictor import PredictionError
from core.events import Warned

SOFTWARE, OURS = 305, "MaskTwins"  # the TIFF tag that says which program wrote a file

Task = tuple[Path, Path]  # an image, or a page of a stack, and the PNG of its prediction


def pages_as_tasks(stack: Path, output: Path) -> list[Task]:
    """The pages of a stack, with the PNGs that are joined to one TIFF: `output` itself if it ends in .tif, else in it."""
    folder = output.with_suffix("") if output.suffix.lower() in TIFF_SUFFIXES else output / stack.stem
    pages = (page_path(stack, i) for i in range(count_pages(stack)))
    return [(page, folder / f"{page.stem}.png") for page in pages]


def join_stacks(tasks: Iterable[Task]) -> list[Warned]:
    """Join the PNGs of each stack's pages into a TIFF beside their folder, and delete them.

    Stacks of which a page is missing stay a folder of PNGs. A TIFF that this program has not written is left alone.

    Returns:
        What was not joined, and why.

    Raises:
        PredictionError: a file cannot be written.
    """
    stacks: dict[Path, list[Path]] = defaultdict(list)
    for image, target in tasks:
        if split_page(image) is not None:
            stacks[file_of(image)].append(target)
    return [warned for stack, slices in stacks.items() for warned in _join(stack, sorted(slices))]


def _join(stack: Path, slices: Sequence[Path]) -> Iterator[Warned]:
    target = slices[0].parent.with_name(f"{slices[0].parent.name}.tif")
    if missing := [path for path in slices if not path.is_file()]:
        yield Warned(
            "stack_incomplete", f"{missing[0]} is missing, so that {target} was not made of its slices.", stack
        )
        return
    if target.exists() and not _is_ours(target):
        message = (
            f"{target} was not written by this program and is left as it is; the slices are in {slices[0].parent}."
        )
        yield Warned("not_overwritten", message, target)
        return
    beside = target.with_name(f".{target.name}.tmp")
    try:
        with Image.open(slices[0], formats=("PNG",)) as first:
            first.save(
                beside,
                "TIFF",
                save_all=True,
                append_images=_pictures(slices[1:]),
                compression="tiff_deflate",
                tiffinfo={SOFTWARE: OURS},
            )
        beside.replace(target)
        for path in slices:
            path.unlink()
        slices[0].parent.rmdir()
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise PredictionError(f"{target} cannot be written ({error}); choose another folder.") from error


def _pictures(paths: Sequence[Path]) -> Iterator[Image.Image]:
    """The slices, one in memory at a time."""
    for path in paths:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            yield image


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file, open_image(path, file) as image:
            return getattr(image, "tag_v2", {}).get(SOFTWARE) == OURS
    except (OSError, ReadError, SyntaxError, ValueError):
        return False
