"""Label spaces: lookups, TOML, what is built in, and a palette that colour-blind people can tell apart."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.labels import (
    DEFAULT_PALETTE,
    IGNORE,
    UNKNOWN,
    Encoding,
    LabelSpace,
    LabelSpaceError,
    built_in,
    built_in_names,
    default_palette,
    load_space,
    parse_space,
    space_to_toml,
)


def make(num: int = 3, **changes) -> LabelSpace:
    names = tuple(f"class {i}" for i in range(num))
    return LabelSpace(**{"name": "x", "classes": names, "palette": default_palette(num), **changes})


class TestLookup:
    def test_without_values_the_numbers_are_the_ids(self):
        table = make(3).lookup()
        assert table[:4].tolist() == [0, 1, 2, IGNORE]
        assert table[IGNORE] == IGNORE

    def test_unknown_values_can_be_told_from_ignored_ones(self):
        table = make(2, values={7: 1, 9: IGNORE}).lookup(UNKNOWN)
        assert [table[v] for v in (7, 9, IGNORE, 0, 65535)] == [1, IGNORE, IGNORE, UNKNOWN, UNKNOWN]

    def test_a_class_may_claim_255(self):
        assert make(2, values={0: 0, 255: 1}).lookup()[255] == 1

    def test_binary_without_values_means_0_and_255(self):
        table = make(2, encoding=Encoding.BINARY).lookup()
        assert (table[0], table[1], table[255]) == (0, 1, 1)

    def test_colours(self):
        table = make(2, encoding=Encoding.COLOURS, colours={(1, 2, 3): 1, (0, 0, 0): IGNORE}).colour_lookup(UNKNOWN)
        assert (table[0x010203], table[0], table[5]) == (1, IGNORE, UNKNOWN)

    def test_table_follows_the_encoding_and_is_made_once(self):
        space = make(2, encoding=Encoding.COLOURS, colours={(1, 2, 3): 1})
        assert space.table.size == 1 << 24
        assert space.table is space.table
        assert make(2).table.size == 65536

    def test_in_colours_takes_the_palette_where_there_is_no_mapping(self):
        space = make(2).in_colours()
        assert space.encoding is Encoding.COLOURS
        assert space.colours == {DEFAULT_PALETTE[0]: 0, DEFAULT_PALETTE[1]: 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ()}, "0 classes"),
        ({"classes": tuple(map(str, range(255))), "palette": default_palette(255)}, "255 classes"),
        ({"classes": ("a", "a", "b")}, "twice"),
        ({"palette": default_palette(2)}, "2 colours"),
        ({"values": {3: 3}}, "ids end at 2"),
        ({"values": {-1: 0}}, "cannot hold -1"),
        ({"values": {70000: 0}}, "cannot hold 70000"),
        ({"palette": ((0, 0, 0), (0, 0, 1), (0, 0, 256))}, "no colour"),
        ({"encoding": Encoding.COLOURS}, "names none"),
    ],
)
def test_impossible_spaces_are_refused_with_their_reason(changes, words):
    with pytest.raises(LabelSpaceError, match=words):
        make(**changes)


# TOML ----------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)
COLOUR = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def spaces(draw) -> LabelSpace:
    classes = tuple(draw(st.lists(TEXT, min_size=1, max_size=6, unique=True)))
    palette = tuple(draw(st.lists(COLOUR, min_size=len(classes), max_size=len(classes))))
    target = st.one_of(st.integers(0, len(classes) - 1), st.just(IGNORE))
    encoding = draw(st.sampled_from(Encoding))
    colours = draw(st.dictionaries(COLOUR, target, min_size=1 if encoding is Encoding.COLOURS else 0, max_size=8))
    values = draw(st.dictionaries(st.integers(0, 65535), target, max_size=8))
    if set(values.items()) <= {(IGNORE, IGNORE)}:
        values = {}  # says nothing: 255 is ignored anyway
    return LabelSpace(
        draw(TEXT), classes, palette, encoding, values, colours,
        instances=draw(st.sampled_from([0, 256, 1000])) if encoding is Encoding.IDS else 0,
        radius=draw(st.integers(0, 40)),
        ignore_others=draw(st.booleans()),
        uncounted=frozenset(draw(st.sets(st.sampled_from(classes)))),
    )  # fmt: skip


@settings(deadline=None)
@given(spaces())
def test_toml_gives_back_the_same_space(space):
    assert parse_space(tomllib.loads(space_to_toml(space))) == space


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_short_form_needs_names_only(tmp_path):
    space = load_space(write(tmp_path, '[[classes]]\nname = "straße"\n[[classes]]\nname = "sky"\n'))
    assert space == LabelSpace("own", ("straße", "sky"), default_palette(2))


def test_unnamed_label_space_toml_is_called_like_its_folder(tmp_path):
    folder = tmp_path / "depot"
    folder.mkdir()
    (folder / "label_space.toml").write_text('[[classes]]\nname = "a"\n')
    assert load_space(folder / "label_space.toml").name == "depot"


def test_values_default_to_the_position(tmp_path):
    text = 'ignore_values = [9]\n[[classes]]\nname = "a"\n[[classes]]\nname = "b"\nvalues = [5, 6]\n'
    assert load_space(write(tmp_path, text)).values == {9: IGNORE, 0: 0, 5: 1, 6: 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"no \[\[classes\]\]"),
        ("classes = 3", r"no \[\[classes\]\]"),
        ("classes = [", "not valid TOML"),
        ('[[classes]]\nname = ""', "needs a name"),
        ("[[classes]]\ncolour = [1, 2, 3]", "needs a name"),
        ('[[classes]]\nname = "a"\ncolor = [1, 2, 3]', "no key 'color'"),
        ('[[classes]]\nname = "a"\ncolour = [1, 2]', "three numbers"),
        ('[[classes]]\nname = "a"\ncolour = [1, 2, true]', "whole number"),
        ('[[classes]]\nname = "a"\nvalues = 3', "must be a list"),
        ('[[classes]]\nname = "a"\nvalues = [1]\n[[classes]]\nname = "b"\nvalues = [1]', "two classes"),
        ('encoding = "rgb"\n[[classes]]\nname = "a"', "choose ids, palette, colours, binary"),
        ('format_version = 2\n[[classes]]\nname = "a"', "format_version 2"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(LabelSpaceError, match=words) as caught:
        load_space(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(LabelSpaceError, match="cannot be read: it does not exist"):
        load_space(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelSpaceError, match="not valid TOML"):
        load_space(tmp_path / "bytes.toml")


MERGING = """
ignore_values = [9]
[[classes]]
name = "road"
[[classes]]
name = "pavement"
merge = "road"
[[classes]]
name = "hood"
ignore = true
[[classes]]
name = "sky"
counts = false
"""


def test_classes_can_be_merged_ignored_and_left_out_of_the_mean(tmp_path):
    space = load_space(write(tmp_path, MERGING))
    assert space.classes == ("road", "sky")
    assert space.values == {9: IGNORE, 0: 0, 1: 0, 2: IGNORE, 3: 1}
    assert space.counted == ("road",)
    assert parse_space(tomllib.loads(space_to_toml(space))) == space


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MERGING.replace('merge = "road"', 'merge = "raod"'), "Did you mean road"),
        ('[[classes]]\nname = "a"\nignore = true', "at least one must be left"),
        ('[[classes]]\nname = "a"\nignore = 1', "true or false"),
        ('instances = 100\n[[classes]]\nname = "a"', "256 or 1000"),
        ('radius = 300\n[[classes]]\nname = "a"', "0 to 255"),
    ],
)
def test_wrong_merging_and_reading_keys_are_refused(tmp_path, text, words):
    with pytest.raises(LabelSpaceError, match=words):
        load_space(write(tmp_path, text))


@pytest.mark.parametrize(("factor", "values"), [(256, [1792, 1793, 6657]), (1000, [7, 7001, 26001])])
def test_instances_are_read_as_their_class(factor, values):
    space = make(2, values={7: 0, 26: 1}, instances=factor)
    assert [int(space.table[value]) for value in values] == [0, 0, 1]
    assert space.table[30 * factor + 1] == UNKNOWN


def test_a_radius_reads_what_is_near_as_the_nearest():
    numbers = make(2, values={50: 0, 90: 1}, radius=8)
    assert [int(numbers.table[v]) for v in (41, 42, 58, 59, 83, 98)] == [UNKNOWN, 0, 0, UNKNOWN, 1, 1]
    colours = make(
        2, encoding=Encoding.COLOURS, colours={(200, 0, 0): 0, (200, 20, 0): 1, (0, 0, 0): IGNORE}, radius=12
    )
    packed = [0xC80900, 0xC80B00, 0xD30000, 0xC80021, 0x050505]  # 9, 11 and 11 away; 33 away; near the ignored black
    assert colours.table[packed].tolist() == [0, 1, 0, UNKNOWN, IGNORE]


def test_others_can_be_ignored():
    assert make(2, ignore_others=True).table[7] == IGNORE
    assert make(2).table[7] == UNKNOWN


# Built in ------------------------------------------------------------------------------------------


def test_every_built_in_space_loads_and_survives_a_round_trip():
    assert {"binary", "camvid11", "cityscapes", "cityscapes_ids", "voc"} <= set(built_in_names())
    for name in built_in_names():
        space = built_in(name)
        assert space.name == name
        assert len(set(space.palette)) == space.num_classes
        assert parse_space(tomllib.loads(space_to_toml(space))) == space


def test_cityscapes_known_answers():
    train, ids = built_in("cityscapes"), built_in("cityscapes_ids")
    assert train.classes == ids.classes
    assert train.num_classes == 19
    table = ids.lookup(UNKNOWN)
    assert [ids.classes[table[v]] for v in (7, 26, 33)] == ["road", "car", "bicycle"]
    assert all(table[v] == IGNORE for v in (0, 4, 15, 29, 34))
    assert table[35] == UNKNOWN
    assert train.palette[0] == (128, 64, 128)
    assert train.colour_lookup(UNKNOWN)[0x000000] == IGNORE


def test_camvid_and_voc_known_answers():
    camvid = built_in("camvid11")
    assert (camvid.classes[0], camvid.classes[3], camvid.classes[10]) == ("Sky", "Road", "Bicyclist")
    assert camvid.colours[128, 0, 192] == 3  # lane markings are road
    voc = built_in("voc")
    assert (voc.classes[15], voc.palette[15]) == ("person", (192, 128, 128))


def test_unknown_name_gets_a_hint():
    with pytest.raises(LabelSpaceError, match="Did you mean cityscapes"):
        built_in("cityscape")


# Palette -------------------------------------------------------------------------------------------

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def cielab(palette, vision) -> np.ndarray:
    srgb = np.asarray(palette) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.asarray(vision).T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    xyz /= (0.9505, 1, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("vision", VISION)
def test_default_palette_stays_apart_for_colour_blind_people(vision):
    lab = cielab(DEFAULT_PALETTE, VISION[vision])
    closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))
    assert closest > 16


@pytest.mark.parametrize("num", [1, 20, 21, 60, 254])
def test_default_palette_has_as_many_different_colours_as_asked_for(num):
    colours = default_palette(num)
    assert len(colours) == len(set(colours)) == num
    assert colours == default_palette(254)[:num]
