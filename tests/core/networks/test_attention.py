import copy

import pytest
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders.mix_transformer import Attention

from core.networks.attention import FusedAttention, fuse_attention


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    library = smp.encoders.get_encoder("mit_b0", weights=None).double().eval()
    ours = copy.deepcopy(library)
    fuse_attention(ours)
    return library, ours


def test_it_is_the_librarys_attention_with_its_gradients(encoders):
    library, ours = encoders
    assert list(ours.state_dict()) == list(library.state_dict())
    assert not any(type(module) is Attention for module in ours.modules())
    image = torch.randn(2, 3, 64, 96, dtype=torch.double)
    results, gradients = [], []
    for encoder in (library, ours):
        features = encoder(image)[2:]
        results.append(features)
        gradients.append(torch.autograd.grad(sum(f.square().mean() for f in features), list(encoder.parameters())))
    for found, expected in (*zip(*results[::-1], strict=True), *zip(*gradients[::-1], strict=True)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_float32_differs_by_rounding(encoders):
    library, ours = (encoder.float() for encoder in encoders)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for found, expected in zip(ours(image)[2:], library(image)[2:], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_copy_stays_fused_with_weights_of_its_own(encoders):
    _, ours = encoders
    twin = copy.deepcopy(ours)
    fused = [module for module in twin.modules() if isinstance(module, FusedAttention)]
    assert len(fused) == 8
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert ours.block1[0].attn.q.weight.any()
