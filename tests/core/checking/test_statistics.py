"""Numbers about images: known answers, and what must not change them."""

import math

import numpy as np
import pytest

from core.checking.statistics import MAX_PIXELS, NUM_BINS, ClassTally, DomainTally, gap, measure, sample
from core.labels import IGNORE, UNKNOWN, LabelSpace, default_palette


def flat(value: tuple[int, int, int], hw: tuple[int, int] = (20, 30)) -> np.ndarray:
    return np.full((*hw, 3), value, np.uint8)


def domain(*images: np.ndarray):
    tally = DomainTally(num_images=len(images))
    for image in images:
        tally.add(measure(image))
    return tally.result()


def test_a_flat_picture():
    one = measure(flat((100, 100, 100)))
    assert one.brightness == pytest.approx(100, abs=1e-3)
    assert one.contrast == pytest.approx(0, abs=1e-3)
    assert (one.saturation, one.hw) == (0, (20, 30))
    assert one.sharpness == pytest.approx(0, abs=1e-6)
    assert one.histogram.shape == (3, NUM_BINS)
    assert one.histogram[:, 100 // 8].tolist() == [1, 1, 1]


def test_pure_green():
    one = measure(flat((0, 200, 0)))
    assert one.brightness == pytest.approx(0.587 * 200, rel=1e-4)
    assert one.saturation == 1


def test_large_pictures_are_sampled_evenly():
    picture = np.zeros((1000, 1500, 3), np.uint8)
    picture[:, 750:] = 200
    one = measure(picture)
    assert one.brightness == pytest.approx(100, abs=3)
    assert one.histogram.sum() == pytest.approx(3)


@pytest.mark.parametrize("hw", [(100, 100), (128, 128), (129, 128), (720, 1280), (1024, 2048), (5, 9000)])
def test_measuring_costs_the_same_for_large_pictures(hw):
    num = len(sample(flat((1, 2, 3), hw)))
    assert min(hw[0] * hw[1], MAX_PIXELS) / 4 <= num <= 1.1 * MAX_PIXELS


@pytest.mark.parametrize("hw", [(1, 1), (1, 50), (2, 2), (3, 3), (129, 127), (2000, 1)])
def test_any_size_can_be_measured(hw):
    one = measure(flat((10, 20, 30), hw))
    assert one.hw == hw
    assert math.isfinite(one.sharpness)


def test_blur_lowers_the_sharpness():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = (sharp.astype(int) + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) // 4
    assert measure(blurred.astype(np.uint8)).sharpness < measure(sharp).sharpness / 3


def test_gap_of_a_camera_with_itself_is_zero_and_of_a_darker_one_is_not():
    day, dusk = domain(flat((160, 160, 160))), domain(flat((80, 80, 80)))
    same = gap(day, day)
    assert same is not None
    assert (same.brightness, same.contrast, same.colour, same.sharpness, same.size) == (0, 0, 0, 0, 0)
    darker = gap(day, dusk)
    assert darker is not None
    assert darker.brightness == pytest.approx(-80, abs=1e-3)
    assert darker.colour == pytest.approx(80)  # every value must move by 80


def test_gap_in_size_is_in_octaves():
    larger = gap(domain(flat((1, 1, 1), (20, 20))), domain(flat((1, 1, 1), (40, 40))))
    assert larger is not None
    assert larger.size == pytest.approx(1, abs=1e-3)


def test_no_gap_without_images():
    assert gap(domain(), domain(flat((1, 1, 1)))) is None
    assert math.isnan(domain().brightness_mean)


def test_domain_statistics_average_over_images():
    both = domain(flat((100, 100, 100)), flat((200, 200, 200), (40, 30)), flat((150, 150, 150)))
    assert both.brightness_mean == pytest.approx(150, abs=1e-3)
    assert both.brightness_spread == pytest.approx(np.std([100, 200, 150]), abs=1e-3)
    assert both.sizes == (((20, 30), 2), ((40, 30), 1))
    assert np.sum(both.histograms) == pytest.approx(3)


def test_class_shares_leave_ignored_pixels_out():
    space = LabelSpace("x", ("a", "b", "c"), default_palette(3))
    tally = ClassTally()
    counts = np.zeros(256, np.int64)
    counts[[0, 1, IGNORE, UNKNOWN]] = 30, 10, 50, 10
    tally.add(counts)
    assert tally.shares(space) == {"a": 0.75, "b": 0.25, "c": 0}
    assert tally.occurrences(space) == {"a": 1, "b": 1, "c": 0}
    assert tally.ignored_share == 0.6
