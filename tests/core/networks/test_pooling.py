import io

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from core.networks.pooling import AdaptiveMean, use_adaptive_mean


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 6), (7, 13), (16, 12)])
def test_it_is_torchs_pooling_with_its_gradient(cells, size):
    values = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    found, expected = AdaptiveMean(cells)(values), nn.AdaptiveAvgPool2d(cells)(values)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    first, second = (torch.autograd.grad((pooled * weights).sum(), values)[0] for pooled in (found, expected))
    torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)


def test_half_precision_is_pooled_in_full():
    values = torch.randn(1, 2, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(AdaptiveMean(3)(values), nn.AdaptiveAvgPool2d(3)(values), rtol=1e-6, atol=1e-6)
        assert AdaptiveMean(3)(values.bfloat16()).dtype == torch.bfloat16


def test_it_takes_the_place_of_torchs_wherever_it_stands():
    module = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.ReLU()), nn.AdaptiveAvgPool2d(3)])
    use_adaptive_mean(module)
    assert [m.cells for m in module.modules() if isinstance(m, AdaptiveMean)] == [2, 3]
    assert not any(isinstance(m, nn.AdaptiveAvgPool2d) for m in module.modules())


def test_onnx_pools_images_of_any_size():
    file = io.BytesIO()
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        AdaptiveMean(6).eval(), (torch.zeros(2, 3, 7, 10),), file, dynamo=True, verbose=False,
        dynamic_shapes={"values_BCHW": sizes}, input_names=["x"], output_names=["y"],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for size in ((2, 3), (6, 6), (19, 4)):
        values = torch.randn(2, 3, *size)
        expected = nn.AdaptiveAvgPool2d(6)(values).numpy()
        np.testing.assert_allclose(session.run(["y"], {"x": values.numpy()})[0], expected, rtol=1e-5, atol=1e-6)
