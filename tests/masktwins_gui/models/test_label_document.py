import pytest

from core.labels import IGNORE, Encoding, LabelSpace, LabelSpaceError, load_space
from masktwins_gui.models.label_document import LabelDocument

PALETTE = ((1, 0, 0), (0, 2, 0), (0, 0, 3))


@pytest.fixture(params=["plain ids", "values", "colours"])
def document(request):
    classes = ("road", "lane", "sky")
    match request.param:
        case "plain ids":
            space = LabelSpace("s", classes, PALETTE)
        case "values":
            space = LabelSpace("s", classes, PALETTE, values={7: 0, 8: 1, 23: 2, 0: IGNORE})
        case "colours":
            colours = {(10, 10, 10): 0, (0, 2, 0): 1, (30, 30, 30): 2}
            space = LabelSpace("s", classes, PALETTE, Encoding.COLOURS, colours=colours)
    return LabelDocument.of(space)


def written(space):
    """What the files' values mean, by class name or "ignore"."""
    named = space.colours if space.encoding is Encoding.COLOURS else space.named_values()
    return {value: "ignore" if i == IGNORE else space.classes[i] for value, i in named.items()}


def test_an_edit_leaves_the_former_document_alone(document):
    before = document.space
    document.renamed(0, "street").merged(1, "street")
    assert document.space == before


def test_merging_counts_pixels_as_the_other_class_and_can_be_taken_back(document):
    merged = document.merged(1, "road")
    assert merged.space.classes == ("road", "sky")
    expected = {value: {"lane": "road"}.get(name, name) for value, name in written(document.space).items()}
    assert written(merged.space) == expected
    assert merged.rows[1].merged_into == "road"
    assert written(merged.merged(1, "").space) == written(document.space)


def test_ignoring_takes_what_was_merged_along(document):
    ignored = document.merged(1, "road").ignored(0, True)
    assert ignored.space.classes == ("sky",)
    assert set(written(ignored.space).values()) == {"ignore", "sky"}
    assert [row.ignored for row in ignored.rows] == [True, True, False]
    assert ignored.ignored(0, False).space.classes == ("road", "sky")


def test_a_new_name_reaches_what_is_merged(document):
    renamed = document.merged(1, "road").renamed(0, " street ")
    assert renamed.rows[1].merged_into == "street"
    assert renamed.space.classes == ("street", "sky")


def test_another_colour_on_screen_changes_no_label(document):
    coloured = document.coloured(1, (9, 9, 9))
    assert coloured.space.palette[1] == (9, 9, 9)
    assert written(coloured.space) == written(document.space)


def test_a_class_is_left_out_of_the_mean(document):
    left_out = document.counted(2, False)
    assert left_out.space.counted == ("road", "lane")
    assert left_out.counted(2, True).space == document.space


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.renamed(0, "sky"),
        lambda d: d.renamed(0, "  "),
        lambda d: d.merged(0, "moon"),
        lambda d: d.ignored(0, True).ignored(1, True).ignored(2, True),
    ],
)
def test_what_leaves_no_label_space_is_refused(document, edit):
    with pytest.raises(LabelSpaceError):
        edit(document)


def test_each_version_has_a_file_of_its_own(document, tmp_path):
    edited = document.merged(1, "road")
    first, second = document.save(tmp_path / "new"), edited.save(tmp_path / "new")
    assert first != second == edited.save(tmp_path / "new")
    assert load_space(second).classes == ("road", "sky")
    assert LabelDocument.read(second).rows == edited.rows  # the merged class is still a row
