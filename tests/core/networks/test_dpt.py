import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder

from core.networks.dpt import DptDecoder


def layers(grid, patch, channels=16):
    torch.manual_seed(1)
    image = torch.zeros(2, 3, grid[0] * patch, grid[1] * patch)
    return [image, *(torch.randn(2, channels, *grid) for _ in range(4))]


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("grid", [(3, 3), (4, 6), (5, 8)])
def test_any_grid_of_any_patch_gives_half_the_images_size(patch, grid):
    decoder = DptDecoder([16] * 4).train()
    result = decoder(layers(grid, patch))
    assert result.shape == (2, decoder.out_channels, grid[0] * patch // 2, grid[1] * patch // 2)
    result.square().mean().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None] == []


def test_it_is_the_librarys_decoder_but_for_how_it_resizes(monkeypatch):
    torch.manual_seed(0)
    decoder = DptDecoder([16] * 4).eval()
    library = DPTDecoder((16,) * 4, (16,) * 4, False, "ignore", (8, 8, 8, 16), decoder.out_channels).eval()
    library.load_state_dict(decoder.state_dict(), strict=False)
    assert {*library.state_dict()} <= {*decoder.state_dict()}
    decoder, library = decoder.double(), library.double()
    image, *maps = (feature.double() for feature in layers((4, 6), 16))

    resized = F.interpolate

    def with_corners(values, size, **_options):
        return resized(values, size=size, mode="bilinear", align_corners=True)

    expected = decoder.output(library(maps, [None] * 4))
    monkeypatch.setattr("core.networks.dpt.F.interpolate", with_corners)
    torch.testing.assert_close(decoder([image, *maps]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("width", "channels"), [(64, 64), (384, 64), (768, 128), (1024, 256)])
def test_it_is_as_wide_as_its_encoder_deserves(width, channels):
    with torch.device("meta"):
        assert DptDecoder([width] * 4).out_channels == channels


def test_dropout_is_off_in_evaluation():
    decoder, features = DptDecoder([16] * 4, dropout=0.5), layers((4, 4), 16)
    decoder.eval()
    assert torch.equal(decoder(features), decoder(features))
    decoder.output[-1].train()
    assert not torch.equal(decoder(features), decoder(features))
