import pytest
import torch

from core.method.style import in_turn, style_of


def features(scale, shift, batch=2):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, 16, 16, generator=generator)
    maps = [torch.randn(batch, 5, side, side, generator=generator) * scale + shift for side in (8, 4)]
    return [image, torch.empty(batch, 0, 8, 8), *maps]


def test_source_features_take_the_targets_moments_and_keep_their_pattern():
    source, target = features(1.0, 0.0), features(3.0, -2.0)
    restyled = style_of(target).apply(source)
    assert restyled[0] is source[0]
    for own, new, wanted in zip(source[2:], restyled[2:], target[2:], strict=True):
        torch.testing.assert_close(new.mean((2, 3)), wanted.mean((2, 3)), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(new.std((2, 3)), wanted.std((2, 3)), atol=1e-2, rtol=1e-2)
        pattern = torch.corrcoef(torch.stack([own[0, 0].flatten(), new[0, 0].flatten()]))[0, 1]
        assert pattern.item() == pytest.approx(1, abs=1e-4)


def test_gradients_reach_the_source_alone():
    source, target = features(1.0, 0.0), features(3.0, -2.0)
    for f in source[2:] + target[2:]:
        f.requires_grad_()
    (style_of(target).apply(source)[2] ** 3).sum().backward()
    assert source[2].grad.abs().sum() > 0
    assert target[2].grad is None


def test_a_shorter_target_batch_is_taken_in_turn():
    rows = torch.arange(2)[:, None]
    assert in_turn(rows, 5).flatten().tolist() == [0, 1, 0, 1, 0]
    assert in_turn(rows, 2) is rows
    style_of(features(3.0, 1.0, batch=1)).apply(features(1.0, 0.0, batch=3))
