"""Recognising what label files hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from core.dataset.evidence import solid_values, value_counts
from core.dataset.reading import read_label
from core.dataset.recognise import recognise, resolve_space
from core.labels import DEFAULT_PALETTE, IGNORE, Encoding, LabelSpaceError, built_in, space_to_toml


def areas(values: list[int], side: int = 40) -> np.ndarray:
    """Vertical stripes, one per value, uint8 (side, side)."""
    return np.repeat(np.array(values, np.uint8)[None], side, axis=0).repeat(-(-side // len(values)), axis=1)[:, :side]


def save(folder: Path, *arrays: np.ndarray, names: str = "{}.png") -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / names.format(i) for i in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array).save(path)
    return paths


def save_palette(folder: Path, ids: np.ndarray, colours: list[tuple[int, int, int]], name: str = "p.png") -> Path:
    image = Image.fromarray(ids, "P")
    image.putpalette([channel for colour in colours for channel in colour])
    image.save(folder / name)
    return folder / name


def paint(ids: np.ndarray, colours) -> np.ndarray:
    return np.array(colours, np.uint8)[ids]


def test_ids(tmp_path):
    found = recognise(save(tmp_path, areas([0, 1, 2]), areas([1, 3, 255])))
    assert found.space.encoding is Encoding.IDS
    assert found.space.classes == ("class 0", "class 1", "class 2", "class 3")
    assert found.space.palette == DEFAULT_PALETTE[:4]
    assert found.space.values == {}
    assert found.confidence >= 0.9
    assert "2 labels read: numbers 0 to 3 and 255" in found.explanation


def test_ids_with_gaps_are_less_sure(tmp_path):
    found = recognise(save(tmp_path, areas([0, 5])))
    assert found.space.num_classes == 6
    assert found.confidence < 0.9
    assert "4 of them do not occur" in found.explanation


def test_numbers_far_apart_are_classes_in_their_order(tmp_path):
    paths = save(tmp_path, areas([10, 90, 200]))
    found = recognise(paths)
    assert found.space.values == {10: 0, 90: 1, 200: 2}
    assert set(np.unique(read_label(paths[0], found.space))) == {0, 1, 2}
    assert found.confidence < 0.5


def test_sixteen_bit_numbers(tmp_path):
    found = recognise(save(tmp_path, areas([1, 2]).astype(np.uint16) * 1000))
    assert found.space.values == {1000: 0, 2000: 1}


def test_grey_saved_as_rgb_counts_as_numbers(tmp_path):
    assert recognise(save(tmp_path, np.dstack([areas([0, 1, 2])] * 3))).space.encoding is Encoding.IDS


def test_binary_masks_also_with_smooth_edges(tmp_path):
    sharp = areas([0, 255], side=128)
    for array in (sharp, np.array(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(1.2)))):
        (path,) = save(tmp_path, array)
        found = recognise([path])
        assert found.space.classes == built_in("binary").classes
        assert "0 and 255" in found.explanation
        label = read_label(path, found.space)
        assert (label[sharp == 0] != 1).all()
        assert (label[sharp == 255] != 0).all()
        assert np.mean(label == IGNORE) < 0.03
        assert found.unknown == {}  # what lies between is ignored, and this is said


def test_one_bit_masks(tmp_path):
    Image.fromarray(areas([0, 255])).convert("1").save(tmp_path / "a.png")
    assert recognise([tmp_path / "a.png"]).space.encoding is Encoding.BINARY


def test_few_thin_ids_beside_255_are_not_taken_for_smoothing(tmp_path):
    label = areas([0, 255], side=300)
    label[:, 40] = 1  # a wire, one pixel wide
    found = recognise(save(tmp_path, label))
    assert found.space.encoding is Encoding.IDS
    assert found.space.num_classes == 2


def test_grey_levels(tmp_path):
    found = recognise(save(tmp_path, areas([0, 85, 170, 255])))
    assert found.space.values == {0: 0, 85: 1, 170: 2, 255: 3}
    assert "4 grey levels" in found.explanation


def test_palette_keeps_indices_and_shows_the_files_colours(tmp_path):
    colours = [(9, 8, 7), (200, 0, 0), (0, 200, 0)]
    found = recognise([save_palette(tmp_path, areas([0, 1, 2]), colours)])
    assert found.space.encoding is Encoding.PALETTE
    assert found.space.palette == tuple(colours)
    assert found.space.classes == ("class 0", "class 1", "class 2")


def test_a_grey_palette_is_not_used_for_display(tmp_path):
    found = recognise([save_palette(tmp_path, areas([0, 1, 2]), [(i, i, i) for i in range(3)])])
    assert found.space.palette == DEFAULT_PALETTE[:3]


def test_pascal_voc_is_known_by_its_palette(tmp_path):
    voc = built_in("voc")
    found = recognise([save_palette(tmp_path, areas([0, 3, 15]), list(voc.palette))])
    assert found.space.classes == voc.classes
    assert found.space.encoding is Encoding.PALETTE


def test_palettes_that_differ_are_read_as_colours(tmp_path):
    a = save_palette(tmp_path, areas([0, 1]), [(1, 2, 3), (200, 0, 0)], "a.png")
    b = save_palette(tmp_path, areas([0, 1]), [(200, 0, 0), (1, 2, 3)], "b.png")
    found = recognise([a, b])
    assert found.space.encoding is Encoding.COLOURS
    np.testing.assert_array_equal(read_label(a, found.space), 1 - read_label(b, found.space))


def test_unknown_colours_become_classes_and_strays_do_not(tmp_path):
    colours = [(10, 20, 30), (250, 10, 90), (0, 0, 0)]
    sharp = Image.fromarray(paint(areas([0, 1, 2], side=200), colours))
    smooth = np.array(sharp.filter(ImageFilter.GaussianBlur(0.7)))
    paths = save(tmp_path, smooth)
    found = recognise(paths)
    assert found.space.encoding is Encoding.COLOURS
    assert sorted(found.space.colours) == sorted(colours)
    assert "at edges, are ignored" in found.explanation
    label = read_label(paths[0], found.space)
    assert 0 < np.mean(label == IGNORE) < 0.1
    assert label[5, 5] == found.space.colours[10, 20, 30]


def test_a_thin_colour_is_a_class_too(tmp_path):
    picture = paint(areas([0, 1], side=100), [(10, 20, 30), (250, 10, 90)])
    picture[50] = (0, 250, 0)  # a wire, one pixel wide
    found = recognise(save(tmp_path, picture))
    assert sorted(found.space.colours) == [(0, 250, 0), (10, 20, 30), (250, 10, 90)]


@pytest.mark.parametrize("name", ["cityscapes", "camvid11", "voc"])
def test_official_colours(tmp_path, name):
    space = built_in(name)
    ids = areas(list(range(0, space.num_classes, 2)), side=120)
    found = recognise(save(tmp_path, paint(ids, space.palette)))
    assert found.space.classes == space.classes
    assert found.space.encoding is Encoding.COLOURS
    assert name in found.explanation
    np.testing.assert_array_equal(read_label(tmp_path / "0.png", found.space), ids)


def test_cityscapes_by_file_names(tmp_path):
    train = save(tmp_path, areas([0, 1, 255]), names="{}_gtFine_labelTrainIds.png")
    ids = save(tmp_path, areas([7, 11, 33]), names="{}_gtFine_labelIds.png")
    assert recognise(train).space == built_in("cityscapes")
    assert recognise(ids).space == built_in("cityscapes_ids")


def test_cityscapes_by_numbers_alone(tmp_path):
    ids = recognise(save(tmp_path, areas([7, 7, 7, 11, 11, 21, 23, 26, 33, 3, 1])))
    assert ids.space == built_in("cityscapes_ids")
    assert ids.confidence < 0.9
    train = recognise(save(tmp_path, areas([0] * 6 + [2] * 4 + [*range(1, 19), 255], side=145)))
    assert train.space == built_in("cityscapes")
    assert "choose the classes by hand" in train.explanation


def test_many_small_labels_are_all_read_so_that_a_rare_class_is_not_missed(tmp_path):
    arrays = [areas([0, 1])] * 70
    arrays[37] = areas([0, 6])
    assert recognise(save(tmp_path, *arrays)).space.num_classes == 7


def test_broken_files_among_them_are_passed_over(tmp_path):
    paths = save(tmp_path, areas([0, 1]), areas([0, 1]))
    paths[0].write_bytes(b"broken")
    found = recognise(paths)
    assert found.space.num_classes == 2
    assert "1 cannot be read" in found.explanation


@pytest.mark.parametrize("kind", ["grey", "colour"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_photographs_are_refused(tmp_path, kind, suffix):
    noise = np.random.default_rng(1).normal(0, 9, (200, 200, 3))
    picture = np.clip(np.linspace(0, 255, 200)[None, :, None] + noise, 0, 255).astype(np.uint8)
    with pytest.raises(LabelSpaceError, match="look like photographs"):
        recognise(save(tmp_path, picture if kind == "colour" else picture[..., 0], names=f"{{}}.{suffix}"))


def test_colours_with_too_many_strays_are_refused(tmp_path):
    picture = paint(areas([0, 1], side=200), [(10, 20, 30), (250, 10, 90)])
    # 20 % of the pixels in 125 colours, nowhere an area.
    picture[:40] = np.random.default_rng(1).integers(0, 5, (40, 200, 3)) * 40 + 5
    with pytest.raises(LabelSpaceError, match="look like photographs"):
        recognise(save(tmp_path, picture))


def test_nothing_to_recognise(tmp_path):
    with pytest.raises(LabelSpaceError, match="no label files"):
        recognise([])
    with pytest.raises(LabelSpaceError, match="nothing but 255"):
        recognise(save(tmp_path, areas([255])))
    (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(LabelSpaceError, match=r"None of the 1 labels tried can be read.*x\.png"):
        recognise([tmp_path / "x.png"])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.booleans())
def test_reading_recognised_ids_gives_them_back(tmp_path_factory, ids, with_ignored):
    label = areas(ids + [255] * with_ignored)
    paths = save(tmp_path_factory.mktemp("ids"), label)
    found = recognise(paths)
    if found.space.encoding is Encoding.IDS and not found.space.values and found.space.name == "recognised":
        np.testing.assert_array_equal(read_label(paths[0], found.space), label)
    else:
        assert found.space.encoding is Encoding.BINARY
        assert set(ids) == {0}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_values_are_counted_as_numpy_counts_them(kind, seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.integers(0, 6, (4, rng.integers(1, 9))), 3, axis=1).astype(kind) * 40
    for ours, theirs in zip(value_counts(values), np.unique(values, return_counts=True), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_solid_means_equal_to_all_eight_neighbours(height, width, seed):
    values = np.random.default_rng(seed).integers(0, 2, (height, width)).repeat(2, axis=0).repeat(2, axis=1)
    by_hand = [
        values[y, x]
        for y in range(1, len(values) - 1)
        for x in range(1, len(values[0]) - 1)
        if len(np.unique(values[y - 1 : y + 2, x - 1 : x + 2])) == 1
    ]
    assert sorted(solid_values(values).tolist()) == sorted(by_hand) or min(values.shape) < 3


# Strays --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strays", [{254: 1}, {1: 1}, {254: 1, 127: 2, 3: 1}, dict.fromkeys(range(1, 255, 3), 1)])
@pytest.mark.parametrize("num_files", [1, 12])
def test_strays_do_not_destroy_binary_masks(tmp_path, strays, num_files):
    arrays = [areas([0, 255], side=100) for _ in range(num_files)]
    position = 0
    for value, count in strays.items():
        for _ in range(count):
            arrays[0][position % 97, position % 89] = value
            position += 7
    paths = save(tmp_path, *arrays)
    found = recognise(paths)
    assert found.space.classes == ("background", "foreground")
    label = read_label(paths[0], found.space)
    assert label[50, 80] == 1  # 255 is the object
    assert label[50, 10] == 0
    assert len(strays) > 4 or "Stray values are ignored: " in found.explanation
    assert len(strays) > 1 or f"{next(iter(strays))} (" in found.explanation


def test_a_stray_does_not_add_classes_up_to_it(tmp_path):
    arrays = [areas([0, 1, 2, 255], side=100) for _ in range(3)]
    arrays[1][7, 7] = 77
    found = recognise(save(tmp_path, *arrays))
    assert found.space.classes == ("class 0", "class 1", "class 2")
    assert found.space.table[77] == IGNORE
    assert "77 (0.0033 % of the pixels, in 1 of 3 files)" in found.explanation


def test_a_value_in_many_files_is_a_class_though_it_is_rare(tmp_path):
    arrays = [areas([0, 1], side=100) for _ in range(5)]
    for array in arrays:
        array[3:6, 3:6] = 2
    assert recognise(save(tmp_path, *arrays)).space.num_classes == 3


@pytest.mark.parametrize("small", [[1, 2, 3, 4, 5, 6], [1]])
def test_sparse_ids_beside_much_255_stay_ids(tmp_path, small):
    label = areas([0, 255, 255], side=120)
    for i, value in enumerate(small):
        label[4 + 10 * i, 3:30] = value  # scribbles, one pixel wide
        label[6 + 10 * i, 3:30] = value
    found = recognise(save(tmp_path, label, label))
    assert found.space.num_classes == 1 + len(small)
    assert found.space.table[255] == IGNORE


# Instances -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "factor", "classes"),
    [
        ([0, 1792, 2816, 2817, 2818, 6656, 6657], 256, {0, 7, 11, 26}),
        ([3328, 3329, 3330, 256, 257, 512], 256, {1, 2, 13}),
        ([7, 8, 24000, 24001, 26000, 26001, 26002], 1000, {7, 8, 24, 26}),
        ([1, 2, 5001, 5002, 5003], 1000, {1, 2, 5}),
    ],
)
def test_instances_are_decoded_to_classes(tmp_path, values, factor, classes):
    label = np.repeat(np.array(values, np.uint16)[None], 30, axis=0).repeat(6, axis=1)
    (path,) = save(tmp_path, label)
    found = recognise([path])
    assert found.space.instances == factor
    assert f"class × {factor} + instance" in found.explanation
    read = read_label(path, found.space)
    parts = np.where(label >= factor, label // factor, label if factor == 1000 else 0)
    for one in classes:
        assert len(np.unique(read[parts == one])) == 1, "one class, one id"


def test_cityscapes_instances_by_name(tmp_path):
    label = np.repeat(np.array([7, 11, 26000, 26001], np.uint16)[None], 9, axis=0).repeat(9, axis=1)
    found = recognise(save(tmp_path, label, names="{}_gtFine_instanceIds.png"))
    assert found.space.classes == built_in("cityscapes_ids").classes
    assert found.space.classes[read_label(tmp_path / "0_gtFine_instanceIds.png", found.space)[4, 30]] == "car"


@pytest.mark.parametrize("values", [[1000, 2000], [300, 700, 9000], [*range(0, 300, 60)], [256, 300, 500]])
def test_other_large_numbers_are_not_taken_for_instances(tmp_path, values):
    label = np.repeat(np.array(values, np.uint16)[None], 30, axis=0).repeat(6, axis=1)
    assert recognise(save(tmp_path, label)).space.instances == 0


# Smoothed and compressed colours -------------------------------------------------------------------


def test_jpeg_labels_are_refused_unless_a_radius_says_otherwise(tmp_path):
    colours = [(128, 64, 128), (70, 70, 70), (107, 142, 35)]
    folder = tmp_path / "labels"
    folder.mkdir()
    path = folder / "a.jpg"
    Image.fromarray(paint(areas([0, 1, 2], side=96), colours)).save(path, quality=85)
    with pytest.raises(LabelSpaceError, match=r"The labels are JPEGs .* radius = 24"):
        recognise([path])
    rows = "".join(f'[[classes]]\nname = "c{i}"\ncolour = {list(c)}\n' for i, c in enumerate(colours))
    own = folder / "label_space.toml"
    own.write_text(f'encoding = "colours"\n{rows}')
    with pytest.raises(LabelSpaceError, match="radius = 24"):
        resolve_space("auto", [path])
    own.write_text(f'encoding = "colours"\nradius = 24\n{rows}')
    label = read_label(path, resolve_space("auto", [path]).space)
    assert np.mean(label == areas([0, 1, 2], side=96)) > 0.9


def test_jpegs_among_other_labels_do_not_change_what_is_recognised(tmp_path):
    paths = save(tmp_path, *[areas([0, 1, 2])] * 3)
    Image.fromarray(areas([0, 1, 2]) * 3).save(tmp_path / "z.jpg")
    assert recognise([*paths, tmp_path / "z.jpg"]).space.num_classes == 3


def test_colours_that_were_jpegs_once_are_found_by_mass(tmp_path):
    colours = [(128, 64, 128), (70, 70, 70), (107, 142, 35), (0, 0, 142)]
    ids = areas([0, 1, 2, 3], side=160)
    Image.fromarray(paint(ids, colours)).save(tmp_path / "x.jpg", quality=80)
    (path,) = save(tmp_path / "png", np.array(Image.open(tmp_path / "x.jpg")))
    found = recognise([path])
    assert found.space.num_classes == 4
    for colour in colours:
        assert min(np.abs(np.subtract(colour, own)).max() for own in found.space.colours) <= 3
    label = read_label(path, found.space)
    assert np.mean(label == IGNORE) < 0.1
    assert "count as the nearest class" in found.explanation


def test_the_users_own_space_wins_over_what_the_files_look_like(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    noise[:100] = (200, 0, 0)
    (path,) = save(tmp_path / "labels", noise)
    with pytest.raises(LabelSpaceError, match="photographs"):
        recognise([path])
    (tmp_path / "labels/label_space.toml").write_text(
        'encoding = "colours"\nignore_others = true\n[[classes]]\nname = "a"\ncolour = [200, 0, 0]\n'
    )
    found = resolve_space("auto", [path])
    assert found.space.classes == ("a",)
    assert (read_label(path, found.space)[:100] == 0).all()


CHANNEL = st.sampled_from([0, 60, 120, 180, 240])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(CHANNEL, CHANNEL, CHANNEL), min_size=2, max_size=7, unique=True).filter(
        lambda colours: any(len(set(colour)) > 1 for colour in colours)
    ),
    st.floats(0.4, 1.2),
    st.randoms(),
)
def test_any_palette_with_smoothed_edges_is_recovered_by_mass(tmp_path_factory, colours, blur, random):
    random.shuffle(colours)
    ids = np.arange(len(colours)).repeat(40)[None].repeat(120, axis=0)
    smooth = Image.fromarray(paint(ids, colours)).filter(ImageFilter.GaussianBlur(blur))
    (path,) = save(tmp_path_factory.mktemp("smooth"), np.array(smooth))
    found = recognise([path])
    assert sorted(found.space.colours) == sorted(colours)
    label = read_label(path, found.space)
    middle = ids % 1 == 0
    middle[:, [x for x in range(ids.shape[1]) if x % 40 < 6 or x % 40 > 33]] = False
    expected = np.array([found.space.colours[colour] for colour in colours])[ids]
    assert (label[middle] == expected[middle]).all()


# Unknown values ------------------------------------------------------------------------------------


def test_unknown_values_of_a_stated_space_are_told_with_their_share(tmp_path):
    paths = save(tmp_path / "labels", areas([3, 5, 7, 7]))
    (tmp_path / "label_space.toml").write_text(OWN)
    found = resolve_space("auto", paths)
    assert found.unknown == {"7": pytest.approx(0.5)}
    assert found.unknown_share == pytest.approx(0.5)


# A stated label space ------------------------------------------------------------------------------

OWN = 'name = "own"\n[[classes]]\nname = "a"\nvalues = [3]\n[[classes]]\nname = "b"\nvalues = [5]\n'


@pytest.mark.parametrize("place", ["labels", "."])
def test_auto_picks_up_a_label_space_toml(tmp_path, place):
    paths = save(tmp_path / "labels", areas([3, 5]))
    (tmp_path / place / "label_space.toml").write_text(OWN)
    found = resolve_space("auto", paths)
    assert (found.space.name, found.confidence) == ("own", 1.0)
    assert "label_space.toml" in found.explanation
    assert set(np.unique(read_label(paths[0], found.space))) == {0, 1}


def test_auto_recognises_without_one(tmp_path):
    assert resolve_space("auto", save(tmp_path / "labels", areas([0, 1]))).space.name == "recognised"


def test_auto_says_what_is_wrong_with_the_file(tmp_path):
    paths = save(tmp_path / "labels", areas([3, 5]))
    (tmp_path / "label_space.toml").write_text("classes = 1")
    with pytest.raises(LabelSpaceError, match=r"label_space\.toml"):
        resolve_space("auto", paths)


def test_a_path_and_a_name(tmp_path):
    paths = save(tmp_path / "labels", areas([3, 5]))
    (tmp_path / "mine.toml").write_text(OWN)
    assert resolve_space(str(tmp_path / "mine.toml"), paths).space.classes == ("a", "b")
    assert resolve_space("camvid11", paths).space == built_in("camvid11")
    with pytest.raises(LabelSpaceError, match="no label space 'camvid'"):
        resolve_space("camvid", paths)
    with pytest.raises(LabelSpaceError, match="cannot be read"):
        resolve_space("nowhere.toml", paths)


def test_a_stated_space_follows_files_in_colours(tmp_path):
    space = built_in("cityscapes")
    ids = areas([0, 5, 18])
    paths = save(tmp_path, paint(ids, space.palette))
    found = resolve_space("cityscapes", paths)
    assert found.space.classes == space.classes
    np.testing.assert_array_equal(read_label(paths[0], found.space), ids)


def test_what_was_recognised_survives_being_stored(tmp_path):
    paths = save(tmp_path / "labels", paint(areas([0, 1], side=60), [(1, 2, 3), (200, 0, 0)]))
    found = recognise(paths)
    (tmp_path / "stored.toml").write_text(space_to_toml(found.space))
    assert resolve_space(str(tmp_path / "stored.toml"), paths).space == found.space


def test_real_data(camvid):
    found = recognise(sorted((camvid / "source/labels").iterdir()))
    assert found.space.encoding is Encoding.IDS
    assert found.space.num_classes == 11
    assert found.confidence >= 0.9
