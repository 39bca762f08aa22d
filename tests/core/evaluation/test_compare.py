import numpy as np
import pytest

from core.evaluation.boundary import band_width, boundary_counts, boundary_iou
from core.evaluation.compare import (
    Counts,
    Outcome,
    Ranked,
    compare,
    count_pairs,
    disagreement,
    outcomes,
    regions,
    total,
)
from core.labels import IGNORE


def ids(rows):
    return np.array(rows, np.uint8)


def ranked(rows, probabilities=None, entropy=None):
    maps = None if probabilities is None else np.array(probabilities, np.uint8)[None]
    return Ranked(ids(rows)[None], maps, entropy)


def test_pairs_are_counted_by_class():
    matrix = count_pairs(ids([[0, 0, 1], [1, IGNORE, 1]]), ids([[0, 1, 1], [1, 0, 0]]), 2)
    assert matrix.tolist() == [[1, 1], [1, 2]]
    with pytest.raises(ValueError, match="sizes differ"):
        count_pairs(ids([[0]]), ids([[0, 0]]), 2)


def test_without_a_label_only_the_change_is_known():
    result = compare(ranked([[0, 0, 1, 1]]), ranked([[0, 1, 1, 1]], [[255, 51, 51, 51]], 0.25), None, 2)
    assert result.change == pytest.approx(0.25)
    assert result.confidence == pytest.approx((1 + 3 * 0.2) / 4)
    assert result.entropy == 0.25
    assert result.gain is None
    assert result.confusion_a is None
    assert result.changes.cell(0, 1, 2) == 1
    assert result.changes.cell(1, 0, 2) == 0


def test_with_a_label_the_gain_is_the_difference_of_the_mean_iou():
    label = ids([[0, 0, 1, 1]])
    result = compare(ranked([[0, 0, 0, 1]]), ranked([[0, 0, 1, 1]]), label, 2)
    assert result.gain == pytest.approx(1 - (2 / 3 + 1 / 2) / 2)
    wrong_size = compare(ranked([[0, 0, 0, 1]]), ranked([[0, 0, 1, 1]]), ids([[0]]), 2)
    assert wrong_size.gain is None


def test_the_totals_are_those_of_one_large_image():
    rng = np.random.default_rng(0)
    a, b, label = (rng.integers(0, 5, (40, 30)).astype(np.uint8) for _ in range(3))
    parts = [compare(Ranked(a[s][None]), Ranked(b[s][None]), label[s], 5) for s in (np.s_[:10], np.s_[10:])]
    parts.append(compare(Ranked(a[None]), Ranked(b[None]), None, 5))
    sums = total(parts, 5)
    assert (sums.images, sums.labelled) == (3, 2)
    assert np.array_equal(sums.changes, 2 * count_pairs(a, b, 5))
    assert np.array_equal(sums.confusion_b, count_pairs(label, b, 5))
    assert total([], 5).changes.sum() == 0


def test_counts_keep_only_cells_with_pixels():
    counts = Counts.of(np.array([[0, 7], [0, 2]]))
    assert counts.cells.tolist() == [1, 3]
    assert counts.pixels.tolist() == [7, 2]


def test_disagreement_is_the_distance_of_the_probabilities():
    same = Ranked(ids([[[0]], [[1]]]), np.array([[[153]], [[102]]], np.uint8))
    swapped = Ranked(ids([[[1]], [[0]]]), np.array([[[153]], [[102]]], np.uint8))
    assert disagreement(same, same) == 0
    assert disagreement(same, swapped) == pytest.approx(0.2)  # |0.6 − 0.4|
    assert disagreement(ranked([[0]]), ranked([[1]])) == 1
    assert disagreement(ranked([[0]]), same) == pytest.approx(0.4)


def test_outcomes_follow_the_label():
    result = outcomes(ids([[0, 0, 1, 1, 0]]), ids([[0, 1, 1, 0, 1]]), ids([[0, 1, 0, 1, IGNORE]]))
    N, F, X, W = Outcome.NEUTRAL, Outcome.FIXED, Outcome.BROKEN, Outcome.BOTH_WRONG
    assert result.tolist() == [[N, F, W, X, N]]


def test_regions_come_by_size_with_their_main_change():
    first, second = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    second[2:6, 3:9] = 2  # 24 pixels
    second[10:12, 20:22] = 1
    second[12, 22] = 1  # touches at a corner
    found = regions(first != second, first, second)
    assert [(r.x, r.y, r.width, r.height, r.area, r.before, r.after) for r in found] == [
        (3, 2, 6, 4, 24, 0, 2),
        (20, 10, 3, 3, 5, 0, 1),
    ]
    assert regions(np.zeros((5, 5), bool), first, second) == ()


def test_a_pixel_tells_its_classes():
    maps = Ranked(ids([[[4]], [[2]]]), np.array([[[204]], [[51]]], np.uint8))
    assert maps.at(0, 0) == [(4, 0.8), (2, 0.2)]
    assert ranked([[3]]).at(0, 0) == [(3, None)]


# Boundary IoU ----------------------------------------------------------------------------------


def square(top, size=20, side=40):
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, 10 : 10 + size] = 1
    return mask


def test_equal_outlines_fit_wholly():
    counts = boundary_counts(square(10), square(10), 2, distance=2)
    assert counts[1].tolist() == [20 * 20 - 16 * 16] * 2
    assert boundary_iou(counts).tolist() == [1, 1]


def test_a_shifted_square_has_the_iou_counted_by_hand():
    """Two frames of a 10 × 10 square one pixel wide, one row apart, share the sides' 9 rows less the corners' rows."""
    counts = boundary_counts(square(10, 10), square(11, 10), 2, distance=1)
    # Each frame has 36 pixels. Rows 11..19 are in both squares: the left and right columns, and in row 11 and row 19
    # nothing more, since the one frame's row there is the other's inside.
    assert counts[1].tolist() == [18, 36 + 36 - 18]


def test_ignored_pixels_are_neither_counted_nor_an_outline():
    label = square(10)
    label[:, 20:] = IGNORE
    counts = boundary_counts(label, square(10), 2, distance=1)
    assert counts[1].tolist() == [
        20 + 9 + 9,
        20 + 9 + 9,
    ]  # the left side, and the top and bottom up to the ignored half


def test_the_band_is_a_share_of_the_diagonal():
    assert band_width(30, 40) == 1
    assert band_width(600, 800) == 20
    assert np.isnan(boundary_iou(np.zeros((1, 2), np.int64))[0])
    with pytest.raises(ValueError, match="differ in shape"):
        boundary_counts(square(1), square(1)[:3], 2)
