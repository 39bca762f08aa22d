import numpy as np
import torch
from torch import nn

from core.labels import IGNORE
from core.method.feature_distance import FeatureAnchor, feature_distance, majority_class
from tests.core.golden_units import THINGS


def test_golden_label_shrinking(golden):
    label = torch.from_numpy(golden["fd_gt"][:, 0].astype(np.uint8))
    np.testing.assert_array_equal(majority_class(label, (8, 8), range(19)), golden["fd_gt_down"][:, 0])


def test_golden_distance(golden):
    first, second = (torch.from_numpy(golden[f"fd_f{i}"]) for i in (1, 2))
    mask = torch.from_numpy(golden["fd_mask"][:, 0])
    np.testing.assert_allclose(feature_distance(first, second, mask), golden["fd_dist"], rtol=1e-6)


def test_golden_mask_is_of_the_things(golden):
    label = torch.from_numpy(golden["fd_gt"][:, 0].astype(np.uint8))
    np.testing.assert_array_equal(majority_class(label, (8, 8), THINGS) != IGNORE, golden["fd_mask"][:, 0])


def test_no_cell_gives_nothing_and_equal_features_a_finite_gradient():
    feature = torch.ones(1, 4, 2, 2, requires_grad=True)
    nowhere, everywhere = torch.zeros(1, 2, 2, dtype=torch.bool), torch.ones(1, 2, 2, dtype=torch.bool)
    assert feature_distance(feature, feature + 1, nowhere).item() == 0
    feature_distance(feature, feature.detach(), everywhere).backward()
    assert torch.isfinite(feature.grad).all()


def test_the_anchor_stays_where_the_encoder_was():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 5, 4, stride=4)

        def forward(self, x):
            return [x, self.layer(x)]

    encoder = Encoder()
    anchor = FeatureAnchor(encoder, (1,))
    label = torch.ones(2, 16, 16, dtype=torch.uint8)
    image = torch.randn(2, 3, 16, 16)
    assert anchor.distance(encoder(image), label).item() == 0
    with torch.no_grad():
        encoder.layer.bias += 2
    np.testing.assert_allclose(anchor.distance(encoder(image), label).item(), 2 * 5**0.5, rtol=1e-5)
    assert anchor.distance(encoder(image), torch.zeros_like(label)).item() == 0  # another class than the chosen one
