import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from core import files
from core.runs.previews import (
    CHUNK,
    MOST_KEPT,
    Preview,
    PreviewError,
    delete_previews_after,
    preview_path,
    preview_steps,
    read_preview,
    surplus,
    thin_previews,
    write_preview,
)


def picture(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def preview(step=7):
    frames = (
        {"target": picture(20, 31, 0), "confidence": picture(20, 31, 1), "teacher": picture(20, 31, 2)},
        {"target": picture(12, 50, 3), "ground_truth": picture(12, 50, 4)},
    )
    return Preview(step, ("dämmerung <b>.png", "b.png"), frames)


def test_what_is_written_is_read_back(tmp_path):
    written = preview()
    write_preview(tmp_path, written)
    read = read_preview(tmp_path, 7)
    assert (read.step, read.names) == (7, written.names)
    for mine, theirs in zip(read.frames, written.frames, strict=True):
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
        assert all(view.flags.owndata for view in mine.values())
    assert [path.name for path in tmp_path.iterdir()] == ["000007.png"]


def test_any_viewer_shows_the_sheet(tmp_path):
    write_preview(tmp_path, preview())
    with Image.open(tmp_path / "000007.png") as sheet:
        assert sheet.size == (50 + 4 + 50, 20 + 4 + 12)


def test_a_preview_without_frames_can_be_kept(tmp_path):
    write_preview(tmp_path, Preview(0, (), ()))
    assert read_preview(tmp_path, 0).frames == ()


def test_an_early_version_wrote_a_sheet_without_layout(tmp_path):
    sheet = picture(10, 12, 0)
    Image.fromarray(sheet).save(tmp_path / "000050.png")
    (views,) = read_preview(tmp_path, 50).frames
    assert np.array_equal(views["sheet"], sheet)


LAYOUTS = [
    "", "{", "[]", "{}", '{"frames": 1}', '{"frames": [1]}', '{"frames": [{"name": "a", "views": [1]}]}', "[" * 100_000,
    *(json.dumps({"frames": [{"name": "a", "views": {"target": box}}]}) for box in (
        [0, 0, 11, 1], [-1, 0, 2, 2], [0, 0, 0, 1], [0, 0], ["a", 0, 1, 1], None, [0, 0, 1e308, 1])),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_layout_is_a_sentence(tmp_path, layout):
    text = PngImagePlugin.PngInfo()
    text.add_text(CHUNK, layout)
    Image.fromarray(picture(10, 10, 0)).save(tmp_path / "000001.png", pnginfo=text)
    with pytest.raises(PreviewError, match=r"000001\.png cannot be read as a preview"):
        read_preview(tmp_path, 1)


def test_a_torn_or_missing_file_is_a_sentence(tmp_path):
    write_preview(tmp_path, preview())
    whole = preview_path(tmp_path, 7).read_bytes()
    for length in range(0, len(whole), 97):
        preview_path(tmp_path, 7).write_bytes(whole[:length])
        with pytest.raises(PreviewError):
            read_preview(tmp_path, 7)
    with pytest.raises(PreviewError):
        read_preview(tmp_path, 8)


def test_a_write_that_fails_leaves_the_preview_before_it(tmp_path, monkeypatch):
    write_preview(tmp_path, preview())
    before = preview_path(tmp_path, 7).read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_preview(tmp_path, Preview(7, (), ()))
    assert preview_path(tmp_path, 7).read_bytes() == before


def test_steps_are_listed_by_their_names(tmp_path):
    for name in ("000100.png", "000020.png", "1234567.png", ".000030.png.tmp", "note.png", "000040.jpg"):
        (tmp_path / name).touch()
    assert preview_steps(tmp_path) == [20, 100, 1234567]
    assert preview_steps(tmp_path / "nowhere") == []
    delete_previews_after(tmp_path, 100)
    assert preview_steps(tmp_path) == [20, 100]


@given(st.integers(1, 500), st.integers(2, 70))
def test_a_growing_run_keeps_evenly_spread_previews(count, most):
    kept: list[int] = []
    for step in range(50, 50 * (count + 1), 50):
        kept.append(step)
        for gone in surplus(kept, most):
            kept.remove(gone)
    assert len(kept) == min(count, most)
    assert kept[-1] == 50 * count
    if count > 1:
        assert kept[0] == 50
    assert max(np.diff(kept), default=0) <= 3 * (kept[-1] - kept[0]) / max(1, len(kept) - 1)


def test_thinning_deletes_files(tmp_path):
    for step in range(200):
        (tmp_path / f"{step:06d}.png").touch()
    thin_previews(tmp_path)
    steps = preview_steps(tmp_path)
    assert (len(steps), steps[0], steps[-1]) == (MOST_KEPT, 0, 199)
