import pytest
import timm
import torch
from torch import nn

from core.networks.vit import GridRope, VitEncoder, is_vit


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return VitEncoder("test_vit", drop_path=0.0).eval()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tu-vit_small_patch14_dinov2.lvd142m", True),
        ("tu-vit_small_patch16_dinov3", True),
        ("tu-vit_small_patch16_224.augreg_in21k", True),
        ("tu-deit_tiny_patch16_224", True),
        ("tu-convnext_tiny", False),
        ("tu-pvt_v2_b0", False),
        ("mit_b0", False),
        ("vit_small_patch16_224", False),
    ],
)
def test_plain_vision_transformers_are_known_by_name(name, expected):
    assert is_vit(name) is expected


@pytest.mark.parametrize("size", [(160, 160), (48, 80), (16, 304)])
def test_four_layers_come_at_the_patches_stride_for_any_size(encoder, size):
    image = torch.randn(2, 3, *size)
    first, *layers = encoder(image)
    assert first is image
    assert [tuple(layer.shape) for layer in layers] == [
        (2, channels, size[0] // 16, size[1] // 16) for channels in encoder.out_channels[1:]
    ]
    assert encoder.output_stride == 16


def test_the_last_layer_is_what_timm_calls_its_features(encoder):
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        tokens = encoder.model.forward_features(image)[:, encoder.model.num_prefix_tokens :]
        torch.testing.assert_close(encoder(image)[-1].flatten(2).transpose(1, 2), tokens)


def test_position_embeddings_follow_the_size(encoder):
    """The same patch everywhere: only its place can tell one token of the first layer from another."""
    blank = torch.zeros(1, 3, 48, 80)
    with torch.no_grad():
        assert encoder(blank)[1].flatten(2).std(dim=2).max() > 1e-3


def test_drop_path_grows_to_the_last_block():
    rates = [block.drop_path1.drop_prob for block in VitEncoder("test_vit", drop_path=0.1).model.blocks[1:]]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.1)


def test_too_few_layers_are_refused(monkeypatch):
    def shallow(name, **options):
        return make(name, depth=3, **options)

    make = timm.create_model
    monkeypatch.setattr("core.networks.vit.timm.create_model", shallow)
    with pytest.raises(ValueError, match="3 layers"):
        VitEncoder("test_vit", drop_path=0.0)


# DINOv3's rotary embedding ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def dinov3():
    return VitEncoder("vit_small_patch16_dinov3", drop_path=0.0)


@pytest.mark.parametrize("grid", [(4, 6), (13, 7), (1, 37)])
def test_the_rotary_embedding_is_timms(dinov3, grid):
    theirs = timm.create_model("vit_small_patch16_dinov3").rope
    assert type(dinov3.model.rope) is GridRope
    assert torch.equal(dinov3.model.rope.get_embed(shape=grid), theirs.get_embed(shape=grid))


def test_a_traced_rotary_embedding_takes_other_sizes(dinov3):
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.rope = dinov3.model.rope

        def forward(self, image):
            return self.rope.get_embed(shape=(image.shape[0], image.shape[1]))

    sizes = {"image": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    traced = torch.export.export(Embedded(), (torch.zeros(5, 8),), dynamic_shapes=sizes).module()
    assert torch.equal(traced(torch.zeros(13, 7)), dinov3.model.rope.get_embed(shape=(13, 7)))
