import subprocess
import sys

import cv2
import numpy as np
import pytest

from core.labels import IGNORE
from core.render import (
    AGREE_COLOUR,
    BACKGROUND,
    BROKEN_COLOUR,
    DIFFER_COLOUR,
    FIXED_COLOUR,
    IGNORE_COLOUR,
    UNKNOWN_COLOUR,
    colourise,
    confidence_picture,
    delta_picture,
    disagreement_picture,
    grid,
    masked_picture,
    outcome_picture,
    overlay,
)

PALETTE = ((10, 20, 30), (200, 100, 0))
LABEL = np.array([[0, 1, IGNORE], [1, 7, 0]], np.uint8)
IMAGE = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
KEEP = np.array([[True, False, True], [False, True, False]])


def test_labels_get_their_colours():
    expected = [[PALETTE[0], PALETTE[1], IGNORE_COLOUR], [PALETTE[1], UNKNOWN_COLOUR, PALETTE[0]]]
    assert np.array_equal(colourise(LABEL, PALETTE), np.array(expected, np.uint8))


@pytest.mark.parametrize(("opacity", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (7.0, 1.0)])
def test_an_overlay_mixes_by_the_opacity(opacity, share):
    expected = (1 - share) * IMAGE.astype(float) + share * colourise(LABEL, PALETTE)
    expected[0, 2] = IMAGE[0, 2]
    assert np.abs(overlay(IMAGE, LABEL, PALETTE, opacity) - expected).max() <= 0.5


def test_confidence_runs_from_violet_to_yellow_with_rising_lightness():
    picture = confidence_picture(np.linspace(0, 1, 256)[None])
    assert picture[0, 0].tolist() == [68, 1, 84]
    assert picture[0, -1].tolist() == [253, 231, 37]
    lightness = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0, :, 0]
    smooth = np.diff(lightness[::15])
    assert smooth.min() > 0.7 * smooth.max()


def test_values_that_are_no_confidence_are_clipped():
    low, high = confidence_picture(np.array([[0.0]])), confidence_picture(np.array([[1.0]]))
    odd = confidence_picture(np.array([[np.nan, -3, -np.inf, 5, np.inf]], np.float32))
    assert np.array_equal(odd[0, :3], np.repeat(low[0], 3, 0))
    assert np.array_equal(odd[0, 3:], np.repeat(high[0], 2, 0))


def test_disagreement_shows_where_labels_differ():
    other = LABEL.copy()
    other[1, 0] = 0
    other[1, 2] = IGNORE
    expected = [[AGREE_COLOUR, AGREE_COLOUR, IGNORE_COLOUR], [DIFFER_COLOUR, AGREE_COLOUR, IGNORE_COLOUR]]
    assert np.array_equal(disagreement_picture(LABEL, other), np.array(expected, np.uint8))


def test_masked_pictures_of_twins_show_every_pixel_once():
    first, second = masked_picture(IMAGE, KEEP), masked_picture(IMAGE, ~KEEP)
    assert np.array_equal(first[KEEP], IMAGE[KEEP])
    assert np.array_equal(second[~KEEP], IMAGE[~KEEP])
    assert np.array_equal(np.where(KEEP[..., None], first, second), IMAGE)


def test_hidden_blocks_are_near_the_mean_colour_and_hatched():
    hidden = masked_picture(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), bool))
    values, counts = np.unique(hidden.reshape(-1, 3), axis=0, return_counts=True)
    assert values[counts.argmax()].tolist() == [124, 116, 104]
    assert len(values) == 2
    assert 0 < counts.min() / counts.sum() < 0.2


def test_a_grid_places_pictures_row_by_row():
    pictures = [np.full((2, 3, 3), value, np.uint8) for value in (50, 100, 150)]
    canvas = grid(pictures, columns=2, gap=1)
    assert canvas.shape == (5, 7, 3)
    assert (canvas[0, 0, 0], canvas[0, 4, 0], canvas[3, 0, 0]) == (50, 100, 150)
    assert canvas[3, 4].tolist() == list(BACKGROUND)
    assert canvas[2, 0].tolist() == list(BACKGROUND)


def test_a_smaller_picture_is_centred_in_its_cell():
    canvas = grid([np.full((4, 4, 3), 9, np.uint8), np.full((2, 2, 3), 200, np.uint8)], columns=2, gap=0)
    assert np.argwhere(canvas[..., 0] == 200).tolist() == [[1, 5], [1, 6], [2, 5], [2, 6]]


def test_a_grid_of_fewer_pictures_than_columns_has_no_empty_cells():
    assert grid([np.zeros((2, 2, 3), np.uint8)], columns=3).shape == (2, 2, 3)


@pytest.mark.parametrize(("pictures", "columns"), [([], 1), ([np.zeros((1, 1, 3), np.uint8)], 0)])
def test_an_impossible_grid_is_refused(pictures, columns):
    with pytest.raises(ValueError, match="grid"):
        grid(pictures, columns)


@pytest.mark.parametrize(
    "call",
    [
        lambda: overlay(IMAGE, LABEL[:1], PALETTE),
        lambda: masked_picture(IMAGE, KEEP[:1]),
        lambda: disagreement_picture(LABEL, LABEL[:, :1]),
        lambda: colourise(IMAGE, PALETTE),
        lambda: confidence_picture(np.zeros((1, 2, 2))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match=r"sizes differ|\(H, W\)"):
        call()


@pytest.mark.parametrize(
    "make",
    [
        lambda: colourise(LABEL, PALETTE),
        lambda: overlay(IMAGE, LABEL, PALETTE),
        lambda: confidence_picture(np.zeros((2, 3), np.float32)),
        lambda: disagreement_picture(LABEL, LABEL),
        lambda: masked_picture(IMAGE, KEEP),
        lambda: masked_picture(IMAGE, np.ones_like(KEEP)),
        lambda: grid([IMAGE], 1),
    ],
)
def test_pictures_are_owned_contiguous_rgb_and_inputs_stay(make):
    before = IMAGE.copy(), LABEL.copy(), KEEP.copy()
    picture = make()
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    assert picture.flags.c_contiguous
    assert picture.flags.owndata
    picture[:] = 77
    assert all(np.array_equal(a, b) for a, b in zip(before, (IMAGE, LABEL, KEEP), strict=True))


def test_importing_it_needs_no_torch():
    code = "import sys; import core.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_delta_is_grey_where_nothing_changes_and_hatched_where_it_does():
    image = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    before, after = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    after[:, 32:] = 1
    picture = delta_picture(image, before, after, PALETTE)
    left = picture[:, :32].reshape(-1, 3)
    assert np.array_equal(left[:, 0], left[:, 1])
    assert (left == left[0]).all()
    right = [tuple(colour) for colour in picture[:, 32:].reshape(-1, 3).tolist()]
    assert set(right) == set(PALETTE)
    share = right.count(PALETTE[0]) / len(right)
    assert 0.2 < share < 0.4  # the class before is the hatching, the class after the ground


def test_outcomes_differ_in_colour_and_in_pattern():
    image = np.full((64, 64, 3), 100, np.uint8)
    masks = np.zeros((3, 64, 64), bool)
    for index in range(3):
        masks[index, 16 * index : 16 * index + 16] = True
    picture = outcome_picture(image, *masks)
    fixed, broken, wrong, rest = (picture[16 * index : 16 * index + 16] for index in range(4))
    assert (fixed == fixed[0, 0]).all()
    assert np.abs(fixed[0, 0].astype(int) - FIXED_COLOUR).max() < 64
    for part in (broken, wrong):
        assert 0.2 < (part == IGNORE_COLOUR).all(-1).mean() < 0.4
    assert np.abs(broken[0, 5].astype(int) - BROKEN_COLOUR).max() < 64
    assert not np.array_equal((broken == IGNORE_COLOUR).all(-1), (wrong == IGNORE_COLOUR).all(-1))
    assert (rest == 80).all()
