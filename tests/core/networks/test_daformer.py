import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.networks.daformer import DAFormerDecoder
from tests.core.released import load_released, released_plain


def released_order(decoder: DAFormerDecoder, stages: list[torch.Tensor]) -> torch.Tensor:
    """The head as it is described: a Linear over each stage's pixels, concatenated at the finest stage's size, ASPP."""
    size = stages[0].shape[2:]
    embedded = [
        F.interpolate(embed.proj(stage.movedim(1, -1)).movedim(-1, 1), size=size, mode="bilinear", align_corners=False)
        for embed, stage in zip(decoder.embed_layers, stages, strict=True)
    ]
    joined = torch.cat(embedded, dim=1)
    branches = []
    for branch in decoder.fuse_layer.aspp_modules:
        value = joined
        layers = [branch] if hasattr(branch, "conv") else [branch.depthwise_conv, branch.pointwise_conv]
        for layer in layers:
            value = layer.bn(layer.conv(value)).clamp(min=0)
        branches.append(value)
    bottleneck = decoder.fuse_layer.bottleneck
    return bottleneck.bn(bottleneck.conv(torch.cat(branches, dim=1))).clamp(min=0)


def pyramid(sides: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.randn(2, c, side, side + 2, dtype=torch.double) for c, side in zip((4, 6, 8, 10), sides, strict=True)]


@pytest.mark.parametrize("sides", [(16, 8, 4, 2), (6, 6, 6, 6)])  # a pyramid; a plain vision transformer
def test_it_is_the_released_head(sides):
    torch.manual_seed(0)
    decoder = DAFormerDecoder((4, 6, 8, 10), channels=12, dropout=0).double()
    stages = pyramid(sides)
    expected = released_order(decoder, stages)
    found = decoder(stages)
    assert found.shape == (2, 12, sides[0], sides[0] + 2)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_the_branches_are_as_released():
    decoder = DAFormerDecoder((4, 6, 8, 10), channels=12)
    plain, *dilated = decoder.fuse_layer.aspp_modules
    assert plain.conv.kernel_size == (1, 1)
    for dilation, branch in zip((6, 12, 18), dilated, strict=True):
        conv = branch.depthwise_conv.conv
        assert (conv.kernel_size, conv.dilation, conv.padding, conv.groups) == ((3, 3), *[(dilation,) * 2] * 2, 48)
    assert all(conv.bias is None for conv in decoder.modules() if isinstance(conv, nn.Conv2d))
    assert {(norm.eps, norm.momentum) for norm in decoder.modules() if isinstance(norm, nn.BatchNorm2d)} == {
        (1e-5, 0.1)
    }
    assert decoder.out_channels == 12


def test_the_image_and_empty_stages_in_front_are_left_out():
    decoder = DAFormerDecoder((4, 6, 8, 10), channels=12).double().eval()
    stages = pyramid((16, 8, 4, 2))
    image, empty = torch.randn(2, 3, 64, 72).double(), torch.empty(2, 0, 32, 36).double()
    finer = torch.randn(2, 5, 32, 36).double()
    assert torch.equal(decoder([image, empty, *stages]), decoder(stages))
    assert torch.equal(decoder([image, finer, *stages]), decoder(stages))


def test_dropout_takes_whole_channels_in_training_only():
    torch.manual_seed(0)
    decoder = DAFormerDecoder((4, 6, 8, 10), channels=200, dropout=0.5).double()
    stages = pyramid((8, 4, 2, 1))
    dropped = (decoder(stages) == 0).all((2, 3)).double().mean()
    assert 0.4 < dropped < 0.6
    assert (decoder.eval()(stages) == 0).all((2, 3)).double().mean() < 0.2


def test_the_golden_teacher_is_reproduced(golden_folder):
    path = golden_folder / "golden_step_plain.npz"
    if not path.is_file():
        pytest.skip("golden_step_plain.npz is not here")
    network = released_plain().train()
    with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
        load_released(network, arrays, "init/")
        load_released(network, arrays, "ema_init_buffer/")
        logits = network(torch.from_numpy(arrays["0/batch/target_img"][:1]))
        logits = F.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=False)
        np.testing.assert_allclose(logits.numpy(), arrays["0/teacher_logits"], rtol=0, atol=1e-5)
