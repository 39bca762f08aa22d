"""Values of label files that the label space does not know: counted, told by value, and refused from a share on.

Importable without torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.labels import Encoding, LabelSpace

ALLOWED_SHARE = 0.01  # of the labels' pixels; more than this stops the work unless the user allows it


def value_word(value: int, space: LabelSpace) -> str:
    """A file's value as people write it: a number, or a colour as #rrggbb."""
    return f"#{value:06x}" if space.encoding is Encoding.COLOURS else str(value)


@dataclass
class UnknownValues:
    """Collects the unknown values of labels."""

    space: LabelSpace
    pixels: int = 0  # of all labels added
    counts: Counter[int] = field(default_factory=Counter)
    files: Counter[int] = field(default_factory=Counter)
    example: Path | None = None  # the first file with one

    def add(self, path: Path, pixels: int, unknown: Mapping[int, int]) -> None:
        """Add a label of `pixels` pixels with its unknown values, as `read_label_and_unknown` gives them."""
        self.pixels += pixels
        self.counts.update(unknown)
        self.files.update(unknown.keys())
        if unknown and self.example is None:
            self.example = path

    @property
    def share(self) -> float:
        """Share of all pixels."""
        return self.counts.total() / max(1, self.pixels)

    def shares(self) -> dict[str, float]:
        """Share of all pixels by value in words, the most frequent first."""
        return {value_word(value, self.space): n / self.pixels for value, n in self.counts.most_common()}

    def words(self) -> str:
        """One sentence for people; "" where every value is known."""
        return words(self.shares(), self.example)


def words(shares: Mapping[str, float], example: Path | None = None) -> str:
    """Say which unknown values there are, and what to do; "" for none."""
    if not shares:
        return ""
    shown = ", ".join(f"{value} ({_percent(share)})" for value, share in list(shares.items())[:6])
    more = f" and {len(shares) - 6} more" if len(shares) > 6 else ""
    where = f", for example {example.name}" if example else ""
    return (
        f"{_percent(sum(shares.values()))} of the labels' pixels have values that the label space does not know: "
        f'{shown}{more}{where}. They count as "no label". Add them to a class or to the ignored values in a label space.'
    )


def words_of_one(path: Path, counts: Mapping[int, int], space: LabelSpace) -> str:
    """Say that a label has unknown values."""
    shown = ", ".join(f"{value_word(value, space)} ({n} pixels)" for value, n in Counter(counts).most_common(6))
    return (
        f'{path} has values that the label space does not know: {shown}. They count as "no label". '
        "`masktwins check` lists them all."
    )


def jpeg_words(paths: Sequence[Path]) -> str:
    """Say that labels are JPEGs, and what to do."""
    return (
        f"{len(paths)} of the labels {'is a JPEG' if len(paths) == 1 else 'are JPEGs'}, such as {paths[0].name}. JPEG changes "
        "values along every edge. Save the labels as PNG from their origin, or list the classes in a label space with "
        "radius = 24, so that each value counts as the nearest class."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.2g} %"
