"""Numbers that hold a class and an instance: class × 256 + instance, or class × 1000 + instance. Importable without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from core.dataset.evidence import Evidence
from core.labels import IGNORE


def counts_instances(values: Iterable[int], factor: int) -> bool:
    """Whether numbers look like class × factor + instance."""
    members: dict[int, set[int]] = {}
    plain: set[int] = set()
    for value in values:
        if value < factor:
            plain.add(value)
        elif value != 65535:
            members.setdefault(value // factor, set()).add(value % factor)
    if factor == 256:
        members.setdefault(0, set()).update(plain - {IGNORE})
        members = {c: numbers for c, numbers in members.items() if numbers}
    elif any(value > IGNORE for value in plain):
        return False
    largest = max((len(numbers) for numbers in members.values()), default=0)
    counted = all(min(n) <= 1 and max(n) < 2 * len(n) + 1 for n in members.values())
    return largest >= 2 and counted and largest < 255 and max(members) <= IGNORE


def of_classes(found: Evidence, factor: int) -> Evidence:
    """The evidence of the classes alone."""

    def part(value: int) -> int:
        return value // factor if value >= factor else value if factor == 1000 else 0

    shares: Counter[int] = Counter()
    solid: Counter[int] = Counter()
    files: Counter[int] = Counter()
    for value, share in found.shares.items():
        shares[part(value)] += share  # type: ignore[assignment]  # a Counter of shares
        files[part(value)] = max(files[part(value)], found.files[value])
    for value, share in found.solid.items():
        solid[part(value)] += share  # type: ignore[assignment]
    return replace(found, shares=shares, solid=solid, files=files)
