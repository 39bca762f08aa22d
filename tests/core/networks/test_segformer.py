import pytest
import segmentation_models_pytorch as smp
import torch

from core.networks.segformer import SegformerDecoder


@pytest.mark.parametrize("encoder", ["mit_b0", "resnet18"])  # with and without a stage at stride 2
def test_it_is_the_librarys_decoder(encoder):
    torch.manual_seed(0)
    library = smp.Segformer(encoder, encoder_weights=None, classes=3).decoder.double().eval()
    ours = SegformerDecoder(library)
    assert list(ours.state_dict()) == list(library.state_dict())
    channels = [mlp.linear.in_features for mlp in library.mlp_stage][::-1]
    start = 4 if encoder == "mit_b0" else 2
    features = [torch.zeros(2, 3, 64, 96, dtype=torch.double)]
    if encoder == "mit_b0":
        features.append(torch.zeros(2, 0, 32, 48, dtype=torch.double))
    features += [
        torch.randn(2, c, 64 // (start << i), 96 // (start << i), dtype=torch.double) for i, c in enumerate(channels)
    ]
    gradients = []
    for decoder in (library, ours):
        library.zero_grad()
        result = decoder(features)
        result.square().sum().backward()
        gradients.append((result.detach(), [p.grad.clone() for p in library.parameters()]))
    (expected, expected_gradients), (found, found_gradients) = gradients
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)
