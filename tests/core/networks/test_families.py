import numpy as np
import pytest
import torch
from torch import nn

from core.configuration.choices import Architecture
from core.export import portable
from core.labels import LabelSpace
from core.networks.families import build_empty, construct, described
from core.networks.pooling import AdaptiveMean
from core.networks.segmenter import NetworkError
from core.pixels import Normalisation

SPACE = LabelSpace("test", ("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))


@pytest.mark.parametrize("encoder", ["mit_b0", "mit_b5"])  # the smallest and the paper's
def test_every_mit_is_built_as_released(encoder):
    segmenter = build_empty(described(Architecture.DAFORMER, encoder), 19, Normalisation())
    modules = dict(segmenter.encoder.named_modules())
    epsilons = {(("attn" in n or "patch_embed" in n), m.eps) for n, m in modules.items() if hasattr(m, "eps")}
    assert epsilons == {(False, 1e-6), (True, 1e-5)}
    assert max(m.drop_prob for m in modules.values() if hasattr(m, "drop_prob")) == pytest.approx(0.1)
    assert segmenter.head.decoder.out_channels == 256


def test_heads_look_at_the_last_four_stages():
    """A ResNet has a fifth one, at stride 2."""
    for architecture in (Architecture.DAFORMER, Architecture.LINEAR):
        segmenter = construct(described(architecture, "tu-test_resnet"), 2, Normalisation()).eval()
        assert segmenter.logits_stride == 4
        with torch.no_grad():
            assert segmenter(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 16, 24)


def test_the_linear_head_of_a_vision_transformer_sees_its_last_layer_alone():
    segmenter = construct(described(Architecture.LINEAR, "tu-test_vit"), 2, Normalisation())
    assert segmenter.head.classifier.in_channels == segmenter.encoder.out_channels[-1]


@pytest.mark.parametrize("architecture", [Architecture.SEGFORMER, Architecture.UNET, Architecture.UPERNET])
def test_pyramids_are_needed_where_they_are(architecture):
    with pytest.raises(NetworkError, match=r"no finer and coarser stages: take dpt, daformer or linear .*tu-pvt_v2_b0"):
        construct(described(architecture, "tu-test_vit"), 2, Normalisation())


def test_dpt_can_be_exported_for_any_size(tmp_path):
    torch.manual_seed(0)
    segmenter = construct(described(Architecture.DPT, "tu-test_vit"), 3, Normalisation()).eval()
    program = portable.trace(segmenter)
    portable.write_onnx(program, tmp_path / "model.onnx", SPACE)
    run, expected = portable.open_onnx(tmp_path / "model.onnx"), portable.open_segmenter(segmenter)
    for shape in ((1, 3, 97, 131), (2, 3, 64, 208)):
        image = np.random.default_rng(0).random(shape, np.float32)
        np.testing.assert_allclose(run(image), expected(image), rtol=1e-3, atol=1e-4)
        with torch.no_grad():
            np.testing.assert_allclose(program.module()(torch.from_numpy(image)), expected(image), rtol=1e-4, atol=1e-5)


def test_upernet_pools_so_that_it_can_be_exported():
    """See `core.networks.pooling`, whose test writes the ONNX file: that of the whole network takes a minute."""
    segmenter = construct(described(Architecture.UPERNET, "tu-test_resnet"), 3, Normalisation())
    assert sorted(m.cells for m in segmenter.modules() if isinstance(m, AdaptiveMean)) == [1, 2, 3, 6]
    assert not any(isinstance(m, nn.AdaptiveAvgPool2d) for m in segmenter.head.modules())
