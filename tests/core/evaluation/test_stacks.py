"""Predictions of TIFF stacks are stacks."""

import numpy as np
import pytest
from PIL import Image

from core.dataset.pages import count_pages
from core.dataset.reading import read_image
from core.evaluation.files import OutputKind, predict_path
from core.evaluation.predictor import Predictor
from tests.core.evaluation.test_files import PALETTE, brightness, levels

__all__ = ["brightness"]


def write_stack(path, num=3, height=20, width=30):
    """Write a stack of known pixels; return their classes."""
    pages = [levels(height, width, seed) for seed in range(num)]
    first, *others = [Image.fromarray(image) for image, _ in pages]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others)
    return [classes for _, classes in pages]


def pages_of(path):
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            yield image.mode, np.array(image)


@pytest.mark.parametrize("out", ["out", "out/own.tif"])
def test_a_stack_gives_a_stack_of_as_many_pages(tmp_path, brightness, out):
    expected = write_stack(tmp_path / "cells.tif")
    outcome = predict_path(Predictor(brightness), tmp_path / "cells.tif", tmp_path / out, OutputKind.IDS, PALETTE)
    assert outcome.written == 3
    target = tmp_path / out if out.endswith(".tif") else tmp_path / out / "cells.tif"
    for (mode, page), classes in zip(pages_of(target), expected, strict=True):
        assert mode == "L"
        np.testing.assert_array_equal(page, classes)
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # the slices are gone


def test_stacks_in_a_folder_beside_images(tmp_path, brightness):
    expected = write_stack(tmp_path / "in/deep/cells.tif")
    Image.fromarray(levels(20, 30)[0]).save(tmp_path / "in/one.png")
    outcome = predict_path(Predictor(brightness), tmp_path / "in", tmp_path / "out", OutputKind.COLOURS, PALETTE)
    assert (outcome.written, outcome.problems) == (4, ())
    assert count_pages(tmp_path / "out/deep/cells.tif") == 3
    modes = [(mode, page) for mode, page in pages_of(tmp_path / "out/deep/cells.tif")]
    assert modes[1][0] == "P"
    np.testing.assert_array_equal(modes[1][1], expected[1])
    assert read_image(tmp_path / "out/one.png").shape == (20, 30, 3)
    again = predict_path(Predictor(brightness), tmp_path / "in", tmp_path / "out", OutputKind.COLOURS, PALETTE)
    assert again.problems == ()  # its own stack is replaced


def test_a_stack_of_others_is_left_alone(tmp_path, brightness):
    write_stack(tmp_path / "cells.tif")
    write_stack(tmp_path / "out/cells.tif", num=2)
    outcome = predict_path(Predictor(brightness), tmp_path / "cells.tif", tmp_path / "out", OutputKind.IDS, PALETTE)
    assert [problem.code for problem in outcome.problems] == ["not_overwritten"]
    assert count_pages(tmp_path / "out/cells.tif") == 2
    assert len(list((tmp_path / "out/cells").iterdir())) == 3
