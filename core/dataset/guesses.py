"""From what label files hold to classes: the rules, in the order in which they are tried.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.dataset.evidence import Evidence, Storage, unpack
from core.labels import IGNORE, UNKNOWN, Colour, Encoding, LabelSpace, LabelSpaceError, built_in, default_palette

Guess = tuple[LabelSpace, float, str]  # label space, confidence 0..1, reasons in plain words

STRAY_SHARE = 0.1  # strays may cover this much of the labels
SOLID_SHARE = 0.2  # labels with many values have at least this share of pixels that equal their neighbours
MANY_VALUES = 32
FEW_STRAYS = 5
NUM_GREYS = 16  # as many evenly spaced grey levels from 0 to 255 may be classes

ENCODING_WORDS = {
    Encoding.IDS: "one number per pixel",
    Encoding.PALETTE: "palette indices",
    Encoding.COLOURS: "RGB colours",
    Encoding.BINARY: "0 and 255",
}
REMEDY = "Describe the classes in a label_space.toml beside the labels."


def guess(found: Evidence) -> Guess:
    """Apply the rules. Raises LabelSpaceError when none applies."""
    if found.storage is Storage.COLOURS:
        return _colours(found)
    for rule in (_named_cityscapes, _greys, _cityscapes_ids, _train_ids):
        if result := rule(found):
            return result
    return _ids(found)


# Numbers -------------------------------------------------------------------------------------------


def _named_cityscapes(found: Evidence) -> Guess | None:
    """The files' own names say it: ..._labelTrainIds.png, ..._labelIds.png."""
    values = found.shares.keys() - {IGNORE}
    for mark, name, highest in (("trainids", "cityscapes", 18), ("labelids", "cityscapes_ids", 34)):
        if values and max(values) <= highest and all(mark in file.lower() for file in found.names):
            return built_in(name), 0.95, f"{_read(found)}: Cityscapes' {_ids_word(name)}, as the files' names say."
    return None


def _ids_word(name: str) -> str:
    return "train ids, 0 to 18" if name == "cityscapes" else "ids, 0 to 34, of which 19 are classes"


def _greys(found: Evidence) -> Guess | None:
    """0 and 255, or a few evenly spaced levels up to 255; smoothed edges are strays."""
    values, strays = found.classes, found.share(found.strays)
    num = len(values)
    if not 2 <= num <= NUM_GREYS or values[0] != 0 or values[-1] != IGNORE or strays > STRAY_SHARE:
        return None
    if 0 < len(found.strays) < FEW_STRAYS:
        return None  # smoothing leaves many values; these few may be the ids of small things
    if any(abs(value - 255 * i / (num - 1)) > 1 for i, value in enumerate(values)):
        return None
    stray_words = f"; {100 * strays:.1f} % of other values, at edges, are ignored" if strays else ""
    if num == 2:
        return built_in("binary"), 0.9, f"{_read(found)}: masks of 0 and 255, two classes{stray_words}."
    space = _auto_space(num, Encoding.IDS, values={value: i for i, value in enumerate(values)})
    return space, 0.6, f"{_read(found)}: {num} grey levels from 0 to 255, each taken as a class{stray_words}."


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


def _ids(found: Evidence) -> Guess:
    """The numbers are the classes; far apart, each one that occurs is a class."""
    values = sorted(found.shares.keys() - {IGNORE})
    if not values:
        raise LabelSpaceError(f"The {found.num_read} labels read hold nothing but 255, which means: no label.")
    _refuse_photographs(found)
    encoding = Encoding.PALETTE if found.storage is Storage.PALETTE else Encoding.IDS
    if encoding is Encoding.PALETTE and (known := _known_palette(found)):
        return known
    ignored = " and 255 for no label" if IGNORE in found.shares else ""
    if max(values) >= IGNORE or (max(values) >= 40 and len(values) * 4 <= max(values)):
        space = _auto_space(len(values), encoding, values={value: i for i, value in enumerate(values)})
        shown = ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")
        return (
            space,
            0.4,
            f"{_read(found)}: {len(values)} numbers far apart ({shown}){ignored}, each taken as a class. {REMEDY}",
        )
    num = max(values) + 1
    space = _auto_space(num, encoding, palette=_shown(found.palette, num))
    gaps = f"; {num - len(values)} of them do not occur" if len(values) < num else ""
    what = "palette images with indices" if encoding is Encoding.PALETTE else "numbers"
    return space, 0.9 if not gaps else 0.7, f"{_read(found)}: {what} 0 to {num - 1}{ignored}{gaps}."


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
            words = f"{_read(found)}: RGB images, {100 * covered:.1f} % of them in the colours of {name}; the rest is ignored."
            return space, 0.9, words
    _refuse_photographs(found)
    classes = [unpack(value) for value in found.classes]
    covered = found.share(found.classes)
    space = LabelSpace(
        "recognised", _names(len(classes)), tuple(classes), Encoding.COLOURS,
        colours={colour: i for i, colour in enumerate(classes)},
    )  # fmt: skip
    rest = f"; {100 * (1 - covered):.1f} % of other colours, at edges, are ignored" if covered < 1 - 1e-9 else ""
    return space, 0.7, f"{_read(found)}: RGB images with {len(classes)} colours, each taken as a class{rest}. {REMEDY}"


def _refuse_photographs(found: Evidence) -> None:
    """Labels are made of areas: refuse files where few pixels form any, and colours most of which are strays."""
    many = len(found.shares) > MANY_VALUES
    strays = found.share(found.strays) if found.storage is Storage.COLOURS else 0
    if not many or (found.solid_share >= SOLID_SHARE and strays <= STRAY_SHARE and len(found.classes) < UNKNOWN):
        return
    jpeg = " They are JPEGs, which change colours: save them as PNG." if found.lossy else ""
    raise LabelSpaceError(
        f"The {found.num_read} labels read look like photographs, or like numbered objects: {len(found.shares)} different "
        f"values, and {100 * (1 - found.solid_share):.0f} % of the pixels form no area.{jpeg} Are images and labels "
        f"exchanged? If not: {REMEDY}"
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
