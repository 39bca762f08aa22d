import numpy as np
import pytest
import torch

from core.labels import IGNORE
from core.method.losses import consistency, cross_entropy, twin_cross_entropy
from core.networks.prediction import Prediction
from core.networks.segmenter import resize


def tensor(array, *, grad=False):
    result = torch.from_numpy(np.asarray(array))
    return result.requires_grad_() if grad else result


def test_golden_cross_entropy(golden):
    logits, label, weight = (
        tensor(golden["ce_logits"], grad=True),
        tensor(golden["ce_label"]),
        tensor(golden["ce_weight"]),
    )
    assert cross_entropy(logits, label).item() == pytest.approx(golden["ce_loss_unweighted"].item(), rel=1e-6)
    loss = cross_entropy(logits, label, weight)
    assert loss.item() == pytest.approx(golden["ce_loss_weighted"].item(), rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(
        logits.grad, golden["ce_grad_weighted"], atol=1e-6 * np.abs(golden["ce_grad_weighted"]).max()
    )


def test_golden_twin_losses_and_gradients(golden):
    z1, z2 = tensor(golden["twin_logits1"], grad=True), tensor(golden["twin_logits2"], grad=True)
    label, weight = tensor(golden["twin_label"])[:, 0], tensor(golden["twin_weight"])
    seg = twin_cross_entropy([Prediction(z1), Prediction(z2)], label, weight, 0.5)
    cm = float(golden["twin_cm_weight"]) * consistency([z1, z2])
    assert cross_entropy(z1, label, weight).item() == pytest.approx(golden["twin_loss_ce1"].item(), rel=1e-6)
    assert cross_entropy(z2, label, weight).item() == pytest.approx(golden["twin_loss_ce2"].item(), rel=1e-6)
    assert seg.item() == pytest.approx(golden["twin_loss_seg"].item(), rel=1e-6)
    assert cm.item() == pytest.approx(golden["twin_loss_cm"].item(), rel=1e-6)
    (seg + cm).backward()
    for z, name in ((z1, "twin_grad1"), (z2, "twin_grad2")):
        np.testing.assert_allclose(z.grad, golden[name], atol=1e-6 * np.abs(golden[name]).max())


def test_ignored_pixels_count_in_the_denominator_alone():
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    full = cross_entropy(logits, label).item()
    half = torch.full_like(label, IGNORE)
    half[:, :2] = 0
    kept = torch.nn.functional.cross_entropy(logits[:, :, :2], label[:, :2]).item()
    assert cross_entropy(logits, half).item() == pytest.approx(kept / 2, rel=1e-6)
    assert full != pytest.approx(kept / 2)


def test_nothing_but_ignored_pixels_is_zero_and_finite():
    label = torch.full((1, 4, 4), IGNORE)
    assert cross_entropy(torch.randn(1, 3, 4, 4), label).item() == 0


def test_twin_balance_weighs_the_twins():
    z1, z2, label = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert twin_cross_entropy([Prediction(z1), Prediction(z2)], label, None, 1.0).item() == pytest.approx(
        cross_entropy(z1, label).item()
    )
    assert twin_cross_entropy([Prediction(z1)], label, None, 0.3).item() == pytest.approx(
        cross_entropy(z1, label).item()
    )


def test_consistency_reaches_both_twins():
    z1, z2 = torch.randn(1, 3, 4, 4, requires_grad=True), torch.randn(1, 3, 4, 4, requires_grad=True)
    consistency([z1, z2]).backward()
    assert z1.grad is not None
    torch.testing.assert_close(z1.grad, -z2.grad)


def test_resize_leaves_the_right_size_alone():
    logits = torch.randn(1, 2, 5, 7)
    assert resize(logits, (5, 7)) is logits
    assert resize(logits, (10, 9)).shape == (1, 2, 10, 9)


def test_more_than_two_views_count_alike_and_agree_by_pairs():
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(1, 3, 4, 4, generator=generator) for _ in range(3)]
    label = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mean = sum(cross_entropy(v, label).item() for v in views) / 3
    assert twin_cross_entropy([Prediction(v) for v in views], label, None, 0.9).item() == pytest.approx(mean)
    pairs = [((views[i] - views[j]) ** 2).mean().item() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert consistency(views).item() == pytest.approx(sum(pairs) / 3)
