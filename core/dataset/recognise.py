"""Find out how a folder of labels writes its classes: numbers, palettes, RGB colours, 0 and 255, Cityscapes' ids.

Some labels are read, evenly spread over the folder, and the evidence gathered is matched with the label spaces built in;
what matches none gets classes called "class 0", "class 1" and so on. A user's own mapping wins over all of it.

Importable without torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.dataset import evidence, guesses
from core.dataset.evidence import Evidence, Storage
from core.dataset.unknown import value_word
from core.labels import UNKNOWN, Encoding, LabelSpace, LabelSpaceError, built_in, load_space

logger = logging.getLogger(__name__)

AUTO = "auto"
OWN_FILE = "label_space.toml"  # picked up in the folder of the labels, or in its parent


@dataclass(frozen=True)
class Recognition:
    """A label space, how sure it is (0..1; 1: stated by the user), and the reasons in plain words."""

    space: LabelSpace
    confidence: float
    explanation: str
    unknown: Mapping[str, float] = field(default_factory=dict)  # values not known to the space: share of pixels read
    shares: Mapping[int, float] = field(default_factory=dict)  # all values, colours packed: share of the pixels read

    @property
    def unknown_share(self) -> float:
        return sum(self.unknown.values())


def recognise(labels: Sequence[Path], limit: int = 24) -> Recognition:
    """Recognise the encoding and the classes from label files alone.

    Args:
        labels: the label files of one folder.
        limit: how many are read at least; where they are small, more are, so that a rare class is not missed.

    Raises:
        LabelSpaceError: nothing can be made of them; the message says why and what to do.
    """
    if not labels:
        raise LabelSpaceError("There are no label files to recognise classes from.")
    found = evidence.gather(labels, limit)
    space, confidence, explanation = guesses.guess(found)
    logger.info("recognised %s (%.0f %%): %s", space.encoding.value, 100 * confidence, explanation)
    return Recognition(space, confidence, explanation, _unknown(space, found), found.shares)


def resolve_space(label_space: str, labels: Sequence[Path]) -> Recognition:
    """Return the label space that a configuration's `data.label_space` means for these label files.

    Args:
        label_space: "auto", the name of a built-in label space, or the path of a label-space TOML. "auto" takes
            `label_space.toml` in the labels' folder or its parent if there is one, and recognises the classes if not.
        labels: the label files.

    Raises:
        LabelSpaceError: an unknown name, a file that cannot be used, or labels of which nothing can be made.
    """
    if label_space == AUTO:
        own = own_file(labels)
        return recognise(labels) if own is None else _stated(load_space(own), str(own), labels)
    if label_space.endswith(".toml") or Path(label_space).is_absolute():
        return _stated(load_space(Path(label_space)), label_space, labels)
    return _stated(built_in(label_space), f"the built-in label space {label_space}", labels)


def own_file(labels: Sequence[Path]) -> Path | None:
    """The `label_space.toml` in the labels' folder or its parent."""
    if not labels:
        return None
    folder = Path(os.path.commonpath({label.parent.absolute() for label in labels}))
    return next((file for file in (folder / OWN_FILE, folder.parent / OWN_FILE) if file.is_file()), None)


def _stated(space: LabelSpace, origin: str, labels: Sequence[Path]) -> Recognition:
    """A label space the user has chosen. It wins over whatever the files look like."""
    found = read_as(space, labels)
    words = f"{space.num_classes} classes as {origin} says, {guesses.ENCODING_WORDS[found.space.encoding]}."
    return replace(found, explanation=words)


def read_as(space: LabelSpace, labels: Sequence[Path]) -> Recognition:
    """Read labels by a given space, in the encoding of the files. Raises LabelSpaceError for JPEGs without a radius."""
    found = _sample(labels)
    if found is None:
        return Recognition(space, 1.0, "")
    space = _as_stored(space, found)
    if found.lossy and not space.radius:
        raise LabelSpaceError(guesses.lossy_words(found))
    words = f"Read as the source's labels, {guesses.ENCODING_WORDS[space.encoding]}."
    return Recognition(space, 1.0, words, _unknown(space, found), found.shares)


def _sample(labels: Sequence[Path]) -> Evidence | None:
    """A few of the labels; None where none can be read, which the check reports."""
    try:
        return evidence.gather(labels, 4) if labels else None
    except LabelSpaceError:
        return None


def _as_stored(space: LabelSpace, found: Evidence) -> LabelSpace:
    """The same classes in the encoding of the files, where the stated one could not read them at all."""
    if found.storage is Storage.COLOURS and space.encoding is not Encoding.COLOURS:
        return space.in_colours()
    if found.storage is Storage.PALETTE and space.encoding is Encoding.IDS and not space.instances:
        return replace(space, encoding=Encoding.PALETTE)
    return space


def _unknown(space: LabelSpace, found: Evidence) -> dict[str, float]:
    """Shares of the values that the space does not know, the most frequent first."""
    if (found.storage is Storage.COLOURS) != (space.encoding is Encoding.COLOURS):
        return {}  # palettes as colours: what the files hold was not gathered in this form
    values = [value for value in found.shares if space.table[value] == UNKNOWN]
    values.sort(key=lambda value: -found.shares[value])
    return {value_word(value, space): found.shares[value] for value in values}
