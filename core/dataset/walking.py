"""List the files below a folder, names only. TIFFs alone are opened, for their number of pages.

Importable without torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.dataset import names
from core.dataset.pages import TIFF_SUFFIXES, count_pages, page_path
from core.dataset.problems import Problem, Severity, count, problem

logger = logging.getLogger(__name__)

MAX_OPENED = 2000  # of more TIFFs a sample is opened; a stack that it misses is refused when it is read
NUM_SAMPLED = 200


class File(NamedTuple):
    place: str  # folder below the root, "" or "a/b/"
    stem: str
    suffix: str  # lower case
    path: str

    @property
    def name(self) -> str:
        """The file's name with its suffix."""
        return os.path.basename(self.path)  # noqa: PTH119 - speed


@dataclass
class Listing:
    """The files below one folder."""

    files: list[File] = field(default_factory=list)  # with an image's suffix
    others: list[File] = field(default_factory=list)  # with another one
    problems: list[Problem] = field(default_factory=list)


def list_files(root: Path, role: str, leave_out: str = "") -> Listing:
    """List all files below a folder, but for those below the real path `leave_out`."""
    listing = Listing()
    if not root.is_dir():
        listing.problems.append(_no_folder(root, role))
        return listing
    refused: list[Path] = []
    for place, entry in _walk(str(root), leave_out, refused):
        stem, dot, suffix = entry.name.rpartition(".")
        if not dot:
            stem, suffix = suffix, ""
        file = File(place, stem, f".{suffix.lower()}" if dot else "", entry.path)
        (listing.files if file.suffix in names.IMAGE_SUFFIXES else listing.others).append(file)
    if refused:
        message = f"{count(len(refused), 'folder')} in {root} may not be read; correct the permissions."
        listing.problems.append(problem("folder_unreadable", Severity.ERROR, message, refused, role=role))
    return listing


def stacks(files: list[File]) -> dict[str, int]:
    """Number of pages by path, for the files that have more than one."""
    tiffs = [file.path for file in files if file.suffix in TIFF_SUFFIXES]
    if len(tiffs) > MAX_OPENED:
        tiffs = [tiffs[i] for i in np.linspace(0, len(tiffs) - 1, NUM_SAMPLED).astype(int)]
    counts = {path: count_pages(Path(path)) for path in tiffs}
    return {path: num for path, num in counts.items() if num > 1}


def expand(files: list[File], pages: dict[str, int]) -> list[File]:
    """Put the pages of a stack in its place, as files of a folder that is called as the stack."""
    if not pages:
        return files
    return [one for file in files for one in (pages_of(file, pages[file.path]) if file.path in pages else (file,))]


def pages_of(stack: File, num: int) -> list[File]:
    """The pages of a stack as files."""
    paths = [page_path(Path(stack.path), i) for i in range(num)]
    return [File(f"{stack.place}{stack.stem}/", path.stem, stack.suffix, str(path)) for path in paths]


def _walk(root: str, leave_out: str, refused: list[Path]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (place, entry) of every file; links to folders are followed, but no folder is visited twice by links."""
    linked: set[str] = set()
    _add_with_ancestors(os.path.realpath(root), linked)
    waiting = [(root, "")]
    while waiting:
        folder, place = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            refused.append(Path(folder))
            continue
        for entry in entries:
            if names.is_system_name(entry.name):
                continue
            if not _is_folder(entry):
                yield place, entry
            elif _is_new(entry, leave_out, linked):
                waiting.append((entry.path, f"{place}{entry.name}/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and os.path.splitext(entry.name)[1].lower() in names.IMAGE_SUFFIXES:  # noqa: PTH122 - speed
        return False  # spares following the link: a third of the time where folders are made of links
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_new(entry: os.DirEntry[str], leave_out: str, linked: set[str]) -> bool:
    """Whether a folder is to be visited. `linked`: what links have shown and the root, and all the folders above them."""
    if not leave_out and not entry.is_symlink():
        return True
    real = os.path.realpath(entry.path)
    if real == leave_out:
        return False
    if entry.is_symlink():
        if real in linked:
            return False  # a link up its own tree, or to what another link has shown
        _add_with_ancestors(real, linked)
    return True


def _add_with_ancestors(folder: str, linked: set[str]) -> None:
    while folder not in linked:  # whose ancestors are all there already
        linked.add(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120 - speed


def _no_folder(root: Path, role: str) -> Problem:
    if root.suffix.lower() in names.VIDEO_SUFFIXES and root.is_file():
        message = (
            f"{root} is a video; take frames of it into a folder first (masktwins convert {root.name} FRAMES), and choose "
            "that folder."
        )
        return problem("video_file", Severity.ERROR, message, [root], role=role)
    if root.exists():
        message = f"{root} is a file; choose the folder it lies in."
        return problem("not_a_folder", Severity.ERROR, message, [root], role=role)
    message = f"The folder {root} does not exist; choose another one, or reconnect its drive."
    return problem("folder_missing", Severity.ERROR, message, [root], role=role)
