"""Networks of more than one resolution as files that take any image."""

import numpy as np
import pytest
import torch

from core.configuration.choices import Architecture
from core.export import portable
from core.labels import LabelSpace
from tests.core.networks.small import SMALL, network

SPACE = LabelSpace("three", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (90, 90, 90)))
SIZES = [(1, 97, 131), (2, 64, 96), (1, 200, 70)]  # batch, height, width


@pytest.fixture(scope="module", params=[Architecture.UNET, Architecture.DAFORMER])
def files(request, tmp_path_factory):
    segmenter = network(request.param, SMALL[request.param], hrda=True).eval()
    program = portable.trace(segmenter)
    folder = tmp_path_factory.mktemp("files")
    portable.write_pt2(program, folder / "model.pt2")
    portable.write_onnx(program, folder / "model.onnx", SPACE)
    return segmenter, portable.open_pt2(folder / "model.pt2"), portable.open_onnx(folder / "model.onnx")


@pytest.mark.parametrize("size", SIZES)
def test_hrda_is_exported_for_images_of_any_size(files, size):
    segmenter, pt2, onnx = files
    images = torch.rand(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(2)).numpy()
    expected = portable.open_segmenter(segmenter)(images)
    assert expected.shape == (size[0], 3, *size[1:])
    np.testing.assert_allclose(pt2(images), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(onnx(images), expected, rtol=1e-3, atol=1e-4)
