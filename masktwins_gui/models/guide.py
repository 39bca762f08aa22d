"""The user guide that ships with the program: its chapters and their texts."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable

CONTENTS = "contents"
LINK = re.compile(r"\[([^\]]+)\]\(([a-z0-9-]+)\.md\)")


def chapters() -> list[tuple[str, str]]:
    """List the chapters as (name, title), in the order of the table of contents."""
    return [(name, title) for title, name in LINK.findall(text(CONTENTS))]


def text(chapter: str) -> str:
    """Read a chapter. Raises FileNotFoundError for one that does not exist."""
    if not re.fullmatch(r"[a-z0-9-]+", chapter):
        raise FileNotFoundError(chapter)
    return _folder().joinpath(f"{chapter}.md").read_text(encoding="utf-8")


def picture(path: str) -> bytes | None:
    """Read a picture that a chapter shows, such as pictures/train.png; None for anything else."""
    if not re.fullmatch(r"pictures/[\w-]+\.png", path):
        return None
    try:
        return _folder().joinpath(path).read_bytes()
    except FileNotFoundError:
        return None


def anchor(heading: str) -> str:
    """Return the word that a link to a heading ends with, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _folder() -> Traversable:
    return resources.files("resources").joinpath("guide")
