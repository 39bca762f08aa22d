"""From what label files hold to classes: the rules, in the order in which they are tried.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.dataset.evidence import SOLID_SHARE, THIN_SHARE, Evidence, Storage, unpack
from core.dataset.instances import counts_instances, of_classes
from core.dataset.masses import Masses, weigh
from core.labels import (
    IGNORE,
    UNKNOWN,
    Colour,
    Encoding,
    LabelSpace,
    LabelSpaceError,
    built_in,
    default_palette,
)

Guess = tuple[LabelSpace, float, str]  # label space, confidence 0..1, reasons in plain words

STRAY_SHARE = 0.1  # strays may cover this much of the labels
MANY_VALUES = 32
SPREAD = 100  # smoothing spreads its values over at least as many grey levels
RARE_SHARE = 1e-4  # between 0 and 255, a value that is solid nowhere and rarer than this is a stray
NUM_GREYS = 16  # as many evenly spaced grey levels from 0 to 255 may be classes
GREY_RADIUS = 48
NEAR_SHARE = 0.6  # of the pixels, for classes found by mass

ENCODING_WORDS = {
    Encoding.IDS: "one number per pixel",
    Encoding.PALETTE: "palette indices",
    Encoding.COLOURS: "RGB colours",
    Encoding.BINARY: "0 and 255",
}
REMEDY = "To name, merge or ignore classes, write a draft with `masktwins labels DIR -o label_space.toml` and edit it."


def guess(found: Evidence) -> Guess:
    """Apply the rules. Raises LabelSpaceError when none applies, and for JPEGs."""
    result = guess_kind(found)
    if found.lossy:
        raise LabelSpaceError(lossy_words(found))
    return result


def guess_kind(found: Evidence) -> Guess:
    """Apply the rules, also to JPEGs: what a draft of a label space starts from."""
    if found.photographs:
        raise LabelSpaceError(_photograph_words(found))
    if found.storage is Storage.COLOURS:
        return _colours(found)
    for rule in (_instances, _named_cityscapes, _greys, _cityscapes_ids, _train_ids, _grey_masses):
        if result := rule(found):
            return result
    return _ids(found)


def lossy_words(found: Evidence) -> str:
    """Why JPEG labels are refused, and what to do."""
    return (
        f"The labels are JPEGs ({found.num_read} read, {len(found.shares)} different values). JPEG changes values along "
        "every edge, so these are not the classes. Save the labels as PNG from their origin. If there is no other copy, "
        "list the classes in a label space with radius = 24, so that each value counts as the nearest class: "
        "`masktwins labels DIR -o label_space.toml` writes a draft."
    )


def stray_words(found: Evidence, strays: Iterable[int]) -> str:
    """Say which values are ignored as strays, with their shares; "" for none."""
    values = sorted(strays, key=lambda value: -found.shares[value])
    if not values:
        return ""
    shown = ", ".join(
        f"{_word(value, found)} ({percent(found.shares[value])} of the pixels, in {found.files[value]} of "
        f"{found.num_read} files)"
        for value in values[:4]
    )
    more = f" and {len(values) - 4} more" if len(values) > 4 else ""
    return f" Stray values are ignored: {shown}{more}. To make one a class, name it in a label space."


def _word(value: int, found: Evidence) -> str:
    return f"#{value:06x}" if found.storage is Storage.COLOURS else str(value)


def percent(share: float) -> str:
    """A share in percent, with two digits where it is tiny."""
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.2g} %"


# Numbers -------------------------------------------------------------------------------------------


def _instances(found: Evidence) -> Guess | None:
    """Class and instance in one number: the remainders count from 0 or 1 within each class."""
    if found.storage is not Storage.NUMBERS or max(found.shares) <= IGNORE:
        return None
    fitting = [factor for factor in (1000, 256) if counts_instances(found.shares.keys(), factor)]
    if len(fitting) != 1:
        return None
    (factor,) = fitting
    classes = of_classes(found, factor)
    rules = (_named_cityscapes, _cityscapes_ids) if factor == 1000 else ()
    space, confidence, _ = next((result for rule in rules if (result := rule(classes))), None) or _ids(classes)
    words = (
        f"{_read(found)}: {len(found.shares)} numbers, each class × {factor} + instance; decoded to the classes "
        f"{_some(sorted(classes.shares))}."
    )
    return replace(space, instances=factor, encoding=Encoding.IDS), min(confidence, 0.8), words


def _named_cityscapes(found: Evidence) -> Guess | None:
    """The files' own names say it: ..._labelTrainIds.png, ..._labelIds.png."""
    values = found.shares.keys() - {IGNORE}
    for mark, name, highest in (
        ("trainids", "cityscapes", 18),
        ("labelids", "cityscapes_ids", 34),
        ("instanceids", "cityscapes_ids", 34),
    ):
        if values and max(values) <= highest and all(mark in file.lower() for file in found.names):
            return built_in(name), 0.95, f"{_read(found)}: Cityscapes' {_ids_word(name)}, as the files' names say."
    return None


def _ids_word(name: str) -> str:
    return "train ids, 0 to 18" if name == "cityscapes" else "ids, 0 to 34, of which 19 are classes"


def _greys(found: Evidence) -> Guess | None:
    """0 and 255, or a few evenly spaced levels up to 255, whatever strays and smoothed edges lie between."""
    if not {0, IGNORE} <= found.solid.keys() or not all(value <= IGNORE for value in found.shares):
        return None
    smooth = _is_smooth(found)
    levels = [v for v in sorted(found.shares) if _is_level(v, found, smooth=smooth)]
    strays = [value for value in found.shares if value not in levels]
    num = len(levels)
    if num > NUM_GREYS or found.share(strays) > STRAY_SHARE * (2 if num == 2 else 1):
        return None
    if any(abs(value - 255 * i / (num - 1)) > 1 for i, value in enumerate(levels)):
        return None
    mapping = {value: i for i, value in enumerate(levels)}
    if num == 2:
        space = built_in("binary") if not strays else replace(built_in("binary"), values=mapping)
        words = f"{_read(found)}: masks of 0 and 255, two classes"
    else:
        space = _auto_space(num, Encoding.IDS, values=mapping)
        words = f"{_read(found)}: {num} grey levels from 0 to 255, each taken as a class"
    if smooth:
        space = replace(space, radius=min(GREY_RADIUS, 255 // (num - 1) // 3), ignore_others=True)
        return space, 0.9 if num == 2 else 0.6, f"{words}; {_smooth_words(strays, found, space.radius)}."
    space = replace(space, values={**space.values, **dict.fromkeys(strays, IGNORE)}) if strays else space
    return space, 0.9 if num == 2 else 0.6, f"{words}.{stray_words(found, strays)}"


def _smooth_words(strays: Sequence[int], found: Evidence, radius: int) -> str:
    share = percent(found.share(strays))
    return f"{share} of other values, at edges, count as the nearest class up to {radius} levels away, else are ignored"


def _is_smooth(found: Evidence) -> bool:
    """Whether the values between 0 and 255 come from smoothing, or from a compression that was undone."""
    between = [value for value in found.shares if 0 < value < IGNORE]
    if len(between) < 2 or max(between) - min(between) < SPREAD:
        return False
    return found.share(value for value in between if not found.is_tiny(value)) > 0


def _is_level(value: int, found: Evidence, *, smooth: bool) -> bool:
    """Whether a grey value is a class of its own, besides 0 and 255."""
    if value in (0, IGNORE):
        return True
    if found.is_tiny(value):
        return False
    if smooth:
        near = min(value, IGNORE - value) <= GREY_RADIUS
        return value in found.solid and found.shares[value] >= THIN_SHARE and not near
    return value in found.solid or found.shares[value] >= RARE_SHARE


def _cityscapes_ids(found: Evidence) -> Guess | None:
    """Numbers up to 33 or 34 with Cityscapes' road, building, vegetation, sky and car among them, and void ids too."""
    values = found.shares.keys() - {IGNORE}
    if not {7, 11, 21, 23, 26} <= values or not 26 <= max(values) <= 34 or not values & {0, 1, 3, 4}:
        return None
    frequent = sum(found.shares[value] for value in (7, 11, 21, 23))
    if frequent < 0.4:
        return None
    words = f"{_read(found)}: numbers up to {max(values)} that are spread as Cityscapes' ids are, 19 of them classes."
    return built_in("cityscapes_ids"), 0.7, words


def _train_ids(found: Evidence) -> Guess | None:
    """Numbers 0..18 and 255, mostly road, building, vegetation."""
    values = found.shares.keys() - {IGNORE}
    if IGNORE not in found.shares or not values or max(values) != 18 or len(values) < 15:
        return None
    if found.shares.get(0, 0) < 0.15 or found.shares.get(2, 0) < 0.05:
        return None
    words = f"{_read(found)}: numbers 0 to 18 and 255, spread as Cityscapes' train ids are. {_doubt()}"
    return built_in("cityscapes"), 0.6, words


def _grey_masses(found: Evidence) -> Guess | None:
    """Grey levels that were smoothed or compressed: a few of them hold most of the pixels."""
    if len(found.shares) <= MANY_VALUES or found.storage is not Storage.NUMBERS:
        return None
    masses = weigh(found)
    num = len(masses.centres)
    if not 2 <= num <= NUM_GREYS or masses.near < NEAR_SHARE or found.share(masses.centres) < 0.5:
        return None
    if found.solid_share < SOLID_SHARE or max(found.shares) > IGNORE:
        return None
    mapping = {value: i for i, value in enumerate(masses.centres)}
    space = _auto_space(num, Encoding.IDS, values=mapping)
    space = replace(space, values=mapping, radius=max(1, masses.radius), ignore_others=True)
    words = (
        f"{_read(found)}: {num} grey levels ({_some(masses.centres)}) hold most of the pixels, each taken as a class; "
        f"{_nearest_words(masses, found)}. {REMEDY}"
    )
    return space, 0.4, words


def _ids(found: Evidence) -> Guess:
    """The numbers are the classes; far apart, each one that occurs is a class."""
    occurring = sorted(found.shares.keys() - {IGNORE})
    if not occurring:
        raise LabelSpaceError(f"The {found.num_read} labels read hold nothing but 255, which means: no label.")
    _refuse_photographs(found, found.solid_share >= SOLID_SHARE and len(occurring) < UNKNOWN)
    encoding = Encoding.PALETTE if found.storage is Storage.PALETTE else Encoding.IDS
    if encoding is Encoding.PALETTE and (known := _known_palette(found)):
        return known
    values = [value for value in occurring if not found.is_tiny(value)] or occurring
    ignored = " and 255 for no label" if IGNORE in found.shares else ""
    if max(values) >= IGNORE or (max(values) >= 40 and len(values) * 4 <= max(values)):
        strays = [value for value in occurring if value not in values]
        mapping = {**{value: i for i, value in enumerate(values)}, **dict.fromkeys(strays, IGNORE)}
        space = _auto_space(len(values), encoding, values=mapping)
        words = f"{_read(found)}: {len(values)} numbers far apart ({_some(values)}){ignored}, each taken as a class."
        return space, 0.4, f"{words}{stray_words(found, strays)} {REMEDY}"
    num = max(values) + 1
    strays = [value for value in occurring if value >= num]
    mapping = {**{i: i for i in range(num)}, **dict.fromkeys(strays, IGNORE)} if strays else None
    space = _auto_space(num, encoding, values=mapping, palette=_shown(found.palette, num))
    missing = num - len(set(occurring) & set(range(num)))
    gaps = f"; {missing} of them do not occur" if missing else ""
    what = "palette images with indices" if encoding is Encoding.PALETTE else "numbers"
    words = f"{_read(found)}: {what} 0 to {num - 1}{ignored}{gaps}.{stray_words(found, strays)}"
    return space, 0.9 if not gaps else 0.7, words


def _some(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")


def _shown(palette: Mapping[int, Colour], num: int) -> tuple[Colour, ...] | None:
    """The files' own colours for display, unless they are grey or do not tell the classes apart."""
    colours = [palette[i] for i in range(num) if i in palette]
    if len(set(colours)) < len(colours) or all(red == green == blue for red, green, blue in colours):
        return None
    defaults = [colour for colour in default_palette(2 * num) if colour not in colours]
    return tuple(palette.get(i, defaults[i]) for i in range(num))


def _known_palette(found: Evidence) -> Guess | None:
    """Palettes of known datasets: every index has the colour of a built-in class."""
    for name in ("voc", "cityscapes", "camvid11"):
        space = built_in(name)
        used = found.palette.keys() - {IGNORE}
        if len(used) >= 2 and max(used) < space.num_classes and all(found.palette[i] == space.palette[i] for i in used):
            words = f"{_read(found)}: palette images with the colours of {name}, {space.num_classes} classes."
            return replace(space, encoding=Encoding.PALETTE), 0.9, words
    return None


# Colours -------------------------------------------------------------------------------------------


def _colours(found: Evidence) -> Guess:
    colours = {unpack(value): share for value, share in found.shares.items()}
    for name in ("cityscapes", "camvid11", "voc"):
        space = built_in(name).in_colours()
        covered = sum(share for colour, share in colours.items() if colour in space.colours)
        seen = {target for colour, target in space.colours.items() if colour in colours and target != IGNORE}
        if covered >= 1 - STRAY_SHARE and len(seen) >= min(3, space.num_classes):
            return _known_colours(found, space, covered)
    masses = weigh(found)
    few = len(found.shares) <= MANY_VALUES
    is_label = masses.near >= NEAR_SHARE and masses.explained >= 1 - STRAY_SHARE and found.solid_share >= SOLID_SHARE
    _refuse_photographs(found, few or (is_label and len(masses.centres) < UNKNOWN))
    if not masses.centres:
        raise LabelSpaceError(_photograph_words(found))
    classes = [unpack(value) for value in masses.centres]
    tiny = [v for v in found.shares if v not in masses.centres and found.is_tiny(v)] if few else []
    space = LabelSpace(
        "recognised", _names(len(classes)), tuple(classes), Encoding.COLOURS,
        colours={colour: i for i, colour in enumerate(classes)},
        radius=masses.radius, ignore_others=bool(masses.radius) or bool(tiny),
    )  # fmt: skip
    words = f"{_read(found)}: RGB images with {len(classes)} colours, each taken as a class"
    if masses.radius:
        words += f"; {_nearest_words(masses, found)}"
    return space, 0.7, f"{words}.{stray_words(found, tiny)} {REMEDY}"


def _known_colours(found: Evidence, space: LabelSpace, covered: float) -> Guess:
    words = f"{_read(found)}: RGB images, {100 * covered:.1f} % of them in the colours of {space.name}"
    if covered > 1 - 1e-9:
        return space, 0.9, f"{words}."
    return replace(space, ignore_others=True), 0.9, f"{words}; the rest is ignored."


def _nearest_words(masses: Masses, found: Evidence) -> str:
    own = found.share(masses.centres)
    what = "colours" if found.storage is Storage.COLOURS else "values"
    return (
        f"{percent(masses.near - own)} of other {what} count as the nearest class, up to {masses.radius} away; "
        f"{percent(max(0.0, 1 - masses.near))}, at edges, are ignored"
    )


def _refuse_photographs(found: Evidence, is_label: bool) -> None:
    """Labels are made of areas: refuse files with many values that no areas explain."""
    if len(found.shares) > MANY_VALUES and not is_label:
        raise LabelSpaceError(_photograph_words(found))


def _photograph_words(found: Evidence) -> str:
    jpeg = " They are JPEGs, which change colours: save them as PNG." if found.lossy else ""
    return (
        f"The {found.num_read} labels read look like photographs, or like numbered objects: {len(found.shares)} different "
        f"values, and {100 * (1 - found.solid_share):.0f} % of the pixels form no area.{jpeg} Are images and labels "
        f"exchanged? If not, describe the classes in a label space. {REMEDY}"
    )


# Common --------------------------------------------------------------------------------------------


def _auto_space(
    num: int, encoding: Encoding, *, values: Mapping[int, int] | None = None, palette: Sequence[Colour] | None = None
) -> LabelSpace:
    return LabelSpace("recognised", _names(num), tuple(palette or default_palette(num)), encoding, values or {})


def _names(num: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(num))


def _read(found: Evidence) -> str:
    unreadable = f" ({found.num_unreadable} cannot be read)" if found.num_unreadable else ""
    return f"{found.num_read} labels read{unreadable}"


def _doubt() -> str:
    return "If that is wrong, choose the classes by hand."
