import pytest

from core.errors import RunError
from core.runs.notes import LONGEST_LABEL, NOTES_FILE, Notes, read_notes, write_notes


def test_a_label_and_a_note_come_back(tmp_path):
    write_notes(tmp_path, Notes(" dusk,\n larger  blocks ", "ä note\nof two lines"))
    assert read_notes(tmp_path) == Notes("dusk, larger blocks", "ä note\nof two lines")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"label": "' + "x" * 200 + '"}'])
def test_a_file_that_cannot_be_used_has_no_note_and_at_most_a_short_label(tmp_path, text):
    (tmp_path / NOTES_FILE).write_text(text)
    assert len(read_notes(tmp_path).label) in (0, LONGEST_LABEL)
    assert read_notes(tmp_path).note == ""


def test_no_file_is_no_note(tmp_path):
    assert read_notes(tmp_path / "gone") == Notes()


def test_what_cannot_be_written_is_refused_with_the_limit(tmp_path):
    with pytest.raises(RunError, match="at most 80"):
        write_notes(tmp_path, Notes("x" * 81))
    with pytest.raises(RunError, match="could not be written"):
        write_notes(tmp_path / "gone", Notes("x"))
