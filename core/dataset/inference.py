"""Infer from names how images and labels belong together, where the usual conventions do not say it.

The explanation looked for is a pair of templates: an image is called HEAD + id + TAIL, its label OTHER HEAD + id + OTHER TAIL,
with or without leading zeros in numbers, in the same place or wherever the id is unique. The pair of templates that pairs
most files one to one wins. Two explanations that give one image different labels compete, and then nothing is paired.

Importable without torch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.dataset import names
from core.dataset.evidence import spread
from core.dataset.explanations import ZEROS, Affixes, Inferred, Rule, template
from core.dataset.kinds import folder_per_image, several_labels
from core.dataset.problems import Problem, Severity, problem
from core.dataset.walking import File

LEAST_SHARE = 0.5  # of the smaller side must be paired
LEAST_SHARE_OF_REST = 0.8  # where the usual conventions have paired the others already
COMPETING = 0.5  # another explanation with this share of the best one's pairs competes
NUM_SAMPLED = 24  # names looked at to find templates
NUM_SAMPLED_OF_MANY = 600  # where one side has many more files than the other
MAX_TEMPLATES = 12  # of one side that are tried
MAX_NAME = 120  # characters

Placing = Callable[[str], str]


def infer(images: Sequence[File], labels: Sequence[File], *, rest: bool = False) -> Inferred:
    """Find the explanation that pairs most of the files.

    Args:
        rest: the usual conventions have paired other files of the same folders already.
    """
    if not images or not labels:
        return Inferred()
    results = [_pair(images, labels, rule) for rule in _rules(images, labels)]
    results.sort(
        key=lambda one: (-len(one.pairs), one.cuts_words, one.rule.cuts_numbers, one.rule.padded, _length(one.rule))
    )
    smaller, larger = sorted((len(images), len(labels)))
    share = LEAST_SHARE_OF_REST if rest else LEAST_SHARE
    good = [
        one
        for one in results
        if len(one.pairs) >= share * smaller
        and (len(one.pairs) > 1 or (not rest and smaller == 1 and (larger == 1 or one.rule.is_whole)))
    ]
    if not good:
        return Inferred() if rest else folder_per_image(images, labels) or several_labels(images, labels)
    best = good[0]
    for other in results:
        if (
            len(other.pairs) >= COMPETING * len(best.pairs)
            and other.cuts_words <= best.cuts_words
            and best.differs(other)
        ):
            if rest:
                return Inferred()
            kinds = several_labels(images, labels)
            return kinds if kinds.problem else Inferred(problem=_competing(images, best, other))
    return Inferred({path: [label] for path, label in best.pairs.items()}, _shortest_ids(best, images))


@dataclass(frozen=True)
class _Result:
    """What a rule pairs: labels by the images' paths. `cuts_words`: ids begin or end within a word of a name."""

    rule: Rule
    pairs: dict[str, File]
    cuts_words: bool

    def differs(self, other: _Result) -> bool:
        """Whether the other gives an image another label, or a label another image."""
        owners = {label.path: path for path, label in self.pairs.items()}
        return any(
            self.pairs.get(path, label) != label or owners.get(label.path, path) != path
            for path, label in other.pairs.items()
        )


def _length(rule: Rule) -> int:
    """Characters outside the ids: of two equal explanations the one with longer ids says more."""
    return sum(len(part.head) + len(part.tail) for part in (rule.image, rule.label))


# Explanations --------------------------------------------------------------------------------------


def _rules(images: Sequence[File], labels: Sequence[File]) -> list[Rule]:
    """Candidates, most of which pair nothing."""
    found: dict[Rule, None] = {}
    for padded in (False, True):
        plain = Rule(Affixes(), Affixes(), padded)
        of_images = sorted({plain.name(file.stem) for file in images})
        of_labels = sorted({plain.name(file.stem) for file in labels})
        if padded and all(ZEROS.search(file.stem) is None for file in (*images, *labels)):
            break
        for image in _affixes(of_images):
            cores = {core for name in of_images if (core := image.core(name)) is not None}
            for label in _around(_sample(of_labels, len(of_images)), cores):
                found[Rule(image, label, padded)] = None
        if not padded and (whole := _stripped(of_images, of_labels)):
            found[Rule(*whole)] = None
    return list(found)


def _sample(of_labels: Sequence[str], num_images: int) -> list[str]:
    """Names spread over the list; more where most of them may have no image."""
    num = NUM_SAMPLED if len(of_labels) <= 2 * num_images else NUM_SAMPLED_OF_MANY
    return [str(path) for path in islice(spread([Path(name) for name in of_labels]), num)]


def _affixes(of_images: Sequence[str]) -> list[Affixes]:
    """How images may be named: nothing around the id, or what all names begin and end with, up to a separator."""
    start, end = _common_start(of_images), _common_end(of_images)
    heads = ["", *(start[:i] for i in range(len(start), 0, -1) if not (start[i - 1].isdigit()))]
    tails = ["", *(end[i:] for i in range(len(end)) if not end[i].isdigit())]
    heads = [head for head in heads if not head or not head[-1].isalnum() or head == heads[1]]
    tails = [tail for tail in tails if not tail or not tail[0].isalnum() or tail == tails[1]]
    found = [Affixes(head, tail) for head in heads[:4] for tail in tails[:4]]
    return [one for one in found if all(one.core(name) for name in of_images)][:MAX_TEMPLATES]


def _around(sample: Iterable[str], cores: set[str]) -> list[Affixes]:
    """What stands around ids in the labels' names, the most frequent first."""
    votes: Counter[Affixes] = Counter()
    for name in sample:
        if len(name) > MAX_NAME:
            continue
        cuts = [
            i for i in range(len(name) + 1) if not (0 < i < len(name) and name[i - 1].isdigit() and name[i].isdigit())
        ]
        votes.update(Affixes(name[:a], name[b:]) for a in cuts for b in cuts if a < b and name[a:b] in cores)
    return [affixes for affixes, _ in votes.most_common(MAX_TEMPLATES)]


def _stripped(of_images: Sequence[str], of_labels: Sequence[str]) -> tuple[Affixes, Affixes] | None:
    """Names whose ids are cut out of a longer run of digits: what all names share is taken off, if that explains all."""
    if len(of_images) < 3 or len(of_images) != len(of_labels):
        return None
    ends = []
    for side in (of_images, of_labels):
        head = _common_start(side)
        tail = _common_end([name[len(head) :] for name in side])
        ends.append(Affixes(head, tail))
    image, label = ends
    grown = _grows(image, label) or _grows(label, image)
    if not grown or {image.core(name) for name in of_images} != {label.core(name) for name in of_labels}:
        return None
    return image, label


def _grows(short: Affixes, long: Affixes) -> bool:
    """Whether one side adds text to the other's names, and not digits alone: 11 is no longer name for 1."""
    if not (long.head.endswith(short.head) and long.tail.startswith(short.tail)):
        return False
    added = long.head[: len(long.head) - len(short.head)], long.tail[len(short.tail) :]
    return not any(part.isdigit() for part in added)


def _common_start(of_files: Sequence[str]) -> str:
    """What all names begin with."""
    first, last = min(of_files), max(of_files)
    return first[
        : next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ]


def _common_end(of_files: Sequence[str]) -> str:
    return _common_start([name[::-1] for name in of_files])[::-1]


def _pair(images: Sequence[File], labels: Sequence[File], rule: Rule) -> _Result:
    """Pair one to one by the rule: in the same place, else where folders' names differ, else anywhere."""
    of_images = [(file, core) for file in images if (core := rule.image.core(rule.name(file.stem))) is not None]
    of_labels = [(file, core) for file in labels if (core := rule.label.core(rule.name(file.stem))) is not None]
    best: dict[str, File] = {}
    for place in (names.fold, names.plain_place, _anywhere):
        groups: dict[tuple[str, str], list[File]] = defaultdict(list)
        for file, core in of_labels:
            groups[place(file.place), core].append(file)
        owners = Counter((place(file.place), core) for file, core in of_images)
        pairs = {
            file.path: groups[key][0]
            for file, core in of_images
            if owners[key := (place(file.place), core)] == 1 and len(groups.get(key, ())) == 1
        }
        if len(pairs) > len(best):
            best = pairs
        if len(best) == min(len(images), len(labels)):
            break
    return _Result(rule, best, _cuts_words(rule, (core for _, core in islice(of_labels, NUM_SAMPLED))))


def _cuts_words(rule: Rule, cores: Iterable[str]) -> bool:
    """Whether letters of a label's name are cut from letters of the id."""
    head, tail = rule.label.head[-1:], rule.label.tail[:1]
    return any((head.isalpha() and core[0].isalpha()) or (tail.isalpha() and core[-1].isalpha()) for core in cores)


def _anywhere(_: str) -> str:
    return ""


# Words ---------------------------------------------------------------------------------------------


def _shortest_ids(result: _Result, images: Sequence[File]) -> Rule:
    """The same rule, where what all ids begin with, up to a separator or a number, counts as text around them."""
    rule = result.rule
    cores = [rule.image.core(rule.name(file.stem)) for file in images if file.path in result.pairs]
    ids = [core for core in cores if core]
    if len(set(ids)) < 2:
        return rule
    shared = _common_start(ids).rstrip("0123456789")
    if shared and shared[-1].isalpha() and not all(core[len(shared) :][:1].isdigit() for core in ids):
        shared = shared.rstrip("abcdefghijklmnopqrstuvwxyz0123456789")
    if not shared or any(len(core) <= len(shared) for core in ids):
        return rule
    image, label = rule.image, rule.label
    return Rule(Affixes(image.head + shared, image.tail), Affixes(label.head + shared, label.tail), rule.padded)


def _competing(images: Sequence[File], first: _Result, second: _Result) -> Problem:
    by_path = {file.path: file for file in images}
    words = []
    for result in (first, second):
        rule = result.rule
        path, label = next(iter(result.pairs.items()))
        image = by_path[path]
        left = template(image.stem, rule.image, Path(path).suffix, padded=rule.padded)
        right = template(label.stem, rule.label, Path(label.path).suffix, padded=rule.padded)
        words.append((left, right, len(result.pairs), image.name, label.name))
    shown = " and ".join(f"`{a} ↔ {b}` ({num} pairs, such as {x} with {y})" for a, b, num, x, y in words)
    message = (
        f"Two explanations of the names compete: {shown}. Nothing is paired. Choose one with "
        f"--pair '{words[0][0]}:{words[0][1]}' (data.pairing)."
    )
    return problem("pairing_ambiguous", Severity.ERROR, message, [], role="labels")
