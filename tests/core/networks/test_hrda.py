import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.configuration.choices import Architecture
from core.configuration.sections import NetworkConfig
from core.configuration.training import TrainingConfig
from core.networks.build import build
from core.networks.hrda import Hrda, ScaleAttention, fuse, sliding_boxes, sliding_windows
from core.networks.prediction import Box, Prediction, draw_box
from core.training.optim import build_optimizer
from tests.core.released import load_released, released_hrda


def around(architecture: Architecture, encoder: str) -> Hrda:
    torch.manual_seed(0)
    segmenter = build(NetworkConfig(architecture=architecture, encoder=encoder, weights="none"), 3)
    return Hrda.around(segmenter, channels=8)


@pytest.fixture(params=[(Architecture.UNET, "tu-test_resnet"), (Architecture.SEGFORMER, "tu-test_convnext")])
def network(request) -> Hrda:
    return around(*request.param)


# Against the released code ---------------------------------------------------------------------


@pytest.fixture
def released(golden):
    """The group of HRDA's golden numbers, which the compact copy may leave out."""
    arrays = {name.removeprefix("hrda_"): array for name, array in golden.items() if name.startswith("hrda_")}
    if not arrays:
        pytest.skip("golden.npz holds no hrda_* here")
    return arrays


def cell_box(released, k: int) -> Box:
    return Box(*(int(v) // 4 for v in released[f"box_{k}"]))  # the logits are at stride 4


def cross_entropy(logits, label, weight):
    logits = F.interpolate(logits, size=label.shape[-2:], mode="bilinear", align_corners=False)
    return (F.cross_entropy(logits, label, ignore_index=255, reduction="none") * weight).mean()


def test_fused_logits_losses_and_gradients_are_the_released_ones(released):
    label, weight = torch.from_numpy(released["label"][:, 0]), torch.from_numpy(released["weight"])
    fused, inputs = {}, {}
    seg = detail = torch.zeros(())
    for k in (1, 2):
        low, high, attention = (
            torch.from_numpy(released[f"{name}_logits_{k}"]).requires_grad_() for name in ("lr", "hr", "att")
        )
        inputs[k] = low, high
        fused[k] = fuse(low, high, attention, cell_box(released, k))
        np.testing.assert_allclose(fused[k].detach().numpy(), released[f"fused_{k}"], rtol=1e-6, atol=1e-6)
        y1, y2, x1, x2 = (int(v) for v in released[f"box_{k}"])
        seg = seg + 0.5 * 0.9 * cross_entropy(fused[k], label, weight)
        detail = detail + 0.5 * 0.1 * cross_entropy(high, label[:, y1:y2, x1:x2], weight[:, y1:y2, x1:x2])
    consistency = 0.01 * F.mse_loss(fused[1], fused[2])
    losses = {"loss_seg": seg, "hr_loss_seg": detail, "cm_loss_seg": consistency, "total": seg + detail + consistency}
    for name, value in losses.items():
        np.testing.assert_allclose(value.item(), released[f"{name}"], rtol=1e-6)
    losses["total"].backward()
    for k, (low, high) in inputs.items():
        for tensor, expected in ((low, released[f"grad_lr{k}"]), (high, released[f"grad_hr{k}"])):
            np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_windows_are_the_released_ones(released):
    boxes = [Box(*map(int, box)) for box in released["slide_boxes"]]
    assert sliding_boxes(256, 256) == boxes
    image = torch.randn(2, 3, 256, 256)
    for window, (y1, y2, x1, x2) in zip(sliding_windows(image), boxes, strict=True):
        assert torch.equal(window, image[..., y1:y2, x1:x2])


def test_fusing_whole_detail_is_the_released_way(released):
    low, high, attention = (torch.from_numpy(released[f"slide_{name}"]) for name in ("lr", "hr", "att"))
    found = fuse(low, high, attention)
    np.testing.assert_allclose(found.numpy(), released["slide_fused"], rtol=1e-6, atol=1e-6)


def test_the_golden_teacher_is_reproduced(golden_folder):
    path = golden_folder / "golden_step_hrda.npz"
    if not path.is_file():
        pytest.skip("golden_step_hrda.npz is not here")
    network = released_hrda().train()
    with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
        load_released(network, arrays, "init/")
        load_released(network, arrays, "ema_init_buffer/")
        logits = network(torch.from_numpy(arrays["0/batch/target_img"][:1]))
        assert logits.shape == (1, 5, 32, 32)
        logits = F.interpolate(logits, size=(128, 128), mode="bilinear", align_corners=False)
        np.testing.assert_allclose(logits.numpy(), arrays["0/teacher_logits"], rtol=0, atol=1e-5)


def test_the_attention_is_the_released_head():
    torch.manual_seed(0)
    attention = ScaleAttention((4, 6), num_classes=3, channels=5, dropout=0).double()
    stages = [torch.randn(2, 4, 8, 10).double(), torch.randn(2, 6, 4, 5).double()]
    embedded = [
        embed.proj(s.movedim(1, -1)).movedim(-1, 1) for embed, s in zip(attention.embed_layers, stages, strict=True)
    ]
    embedded[1] = F.interpolate(embedded[1], size=(8, 10), mode="bilinear", align_corners=False)
    expected = attention.classifier(attention.fuse_layer(torch.cat(embedded, dim=1)))
    torch.testing.assert_close(attention(stages), expected, rtol=1e-10, atol=1e-10)


# Around any network ----------------------------------------------------------------------------


def test_a_sub_crop_gives_a_prediction_of_its_own(network):
    crop = torch.randn(2, 3, 2 * network.stride, 3 * network.stride)
    box = draw_box(*crop.shape[-2:], network.detail_step, np.random.default_rng(0))
    found = network(crop, box=box)
    assert isinstance(found, Prediction)
    cell = network.logits_stride
    assert found.logits.shape == (2, 3, crop.shape[2] // cell, crop.shape[3] // cell)
    assert found.detail is not None
    assert found.detail.shape == (2, 3, crop.shape[2] // (2 * cell), crop.shape[3] // (2 * cell))
    assert found.box == box


def test_the_detail_is_what_the_plain_network_sees_there(network):
    network.eval()
    crop = torch.randn(1, 3, 2 * network.stride, 2 * network.stride)
    half = network.stride
    box = Box(0, half, half, 2 * half)
    with torch.no_grad():
        found = network(crop, box=box)
        expected = network.head(network.encoder(crop[..., :half, half:]))
        torch.testing.assert_close(found.detail, expected)
        low = network.head(network.encoder(F.avg_pool2d(crop, 2)))  # bilinear by one half is the mean of four pixels
        outside = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    rows = slice(half // network.logits_stride + 1, None)  # below the box, a cell away from it
    torch.testing.assert_close(found.logits[..., rows, :], outside[..., rows, :], rtol=1e-5, atol=1e-5)


def test_the_whole_crop_goes_before_the_detail(network):
    """Batch norm's running statistics depend on the order."""
    crop = torch.randn(2, 3, 2 * network.stride, 2 * network.stride)
    box = Box(0, network.stride, 0, network.stride)
    seen = []
    for part in (network.encoder, network.head):
        part.register_forward_pre_hook(
            lambda _part, args: seen.append(args[0] if isinstance(args[0], torch.Tensor) else args[0][0])
        )
    network(crop, box=box)
    low, detail = F.avg_pool2d(crop, 2), crop[..., : network.stride, : network.stride]
    for found, expected in zip(seen, (low, low, detail, detail), strict=True):
        torch.testing.assert_close(found, expected)


def test_every_part_gets_a_gradient(network):
    crop = torch.randn(2, 3, 2 * network.stride, 2 * network.stride)
    found = network(crop, box=Box(0, network.stride, 0, network.stride))
    found.logits.square().mean().backward()
    parts = [network.encoder, network.head, network.scale_attention.embed_layers, network.scale_attention.classifier]
    for part in parts:
        assert sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize("size", [(64, 96), (97, 131), (40, 70)])
def test_images_of_any_size(network, size):
    network.eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        together = network(images)
        singles = torch.cat([network(image[None]) for image in images])
    fits = all(side % network.stride == 0 for side in size)
    assert together.shape[-2:] == (tuple(s // network.logits_stride for s in size) if fits else size)
    torch.testing.assert_close(together, singles, rtol=1e-4, atol=1e-5)


def test_an_image_is_padded_until_half_of_it_holds_two_strides(network):
    network.eval()
    side = 2 * network.stride
    image = torch.randn(1, 3, 40, side + 1)
    padded = F.pad(image, (0, network.stride - 1, 0, side - 40), mode="replicate")
    with torch.no_grad():
        expected = F.interpolate(network(padded), size=padded.shape[2:], mode="bilinear", align_corners=False)
        assert torch.equal(network(image), expected[..., :40, : side + 1])


@pytest.mark.parametrize("window_batch", [1, 4, 9])
def test_the_windows_may_go_through_in_parts(network, window_batch):
    network.eval()
    image = torch.randn(2, 3, 2 * network.stride, network.stride)
    with torch.no_grad():
        whole = network(image)
        network.window_batch = window_batch
        sizes = []
        network.encoder.register_forward_hook(lambda _module, args, _output: sizes.append(len(args[0])))
        torch.testing.assert_close(network(image), whole, rtol=1e-4, atol=1e-5)
    assert max(sizes) == 2 * window_batch


def test_overlapping_windows_are_averaged():
    network = around(Architecture.UNET, "tu-test_resnet").eval()
    side = network.stride
    image = torch.randn(1, 3, side, side)
    total, count = torch.zeros(1, 3, side, side), torch.zeros(side, side)
    with torch.no_grad():
        for y1, y2, x1, x2 in sliding_boxes(side, side):
            total[..., y1:y2, x1:x2] += network.head(network.encoder(image[..., y1:y2, x1:x2]))
            count[y1:y2, x1:x2] += 1
        network.scale_attention.classifier.weight.zero_()
        network.scale_attention.classifier.bias.fill_(100)  # attention 1: all is read from the detail
        torch.testing.assert_close(network(image), total / count, rtol=1e-4, atol=1e-5)


def test_features_are_changed_before_the_head(network):
    network.eval()
    image = torch.randn(1, 3, network.stride, network.stride)
    seen = []

    def halve(features, box):
        seen.append((box, features[0].shape[-1]))
        return [features[0], *(f / 2 for f in features[1:])]

    with torch.no_grad():
        plain = network(image)
        changed = network(image, on_features=halve)
    assert not torch.allclose(plain, changed)
    half = network.stride // 2
    assert seen == [(None, half), *((box, half) for box in sliding_boxes(*image.shape[-2:]))]
    seen.clear()
    box = Box(0, half, half, 2 * half)
    network(image.expand(2, -1, -1, -1), box=box, on_features=halve)
    assert seen == [(None, half), (box, half)]


def test_features_left_as_they_are_change_nothing(network):
    network.eval()
    image = torch.randn(2, 3, network.stride, network.stride)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(network(image, on_features=lambda features, _box: features), expected)


def test_offsets_are_whole_cells_of_the_low_resolution_logits():
    assert around(Architecture.UNET, "tu-test_resnet").detail_step == 8
    network = released_hrda()
    assert network.detail_step == 8
    assert network.stride == 64


class Cells(nn.Module):
    """One logit per patch of 14 pixels."""

    out_channels = (3, 4)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 14, stride=14)

    def forward(self, image):
        return [image, self.conv(image)]


class Last(nn.Module):
    def forward(self, features):
        return features[-1]


def test_cells_as_large_as_the_stride_are_kept_whole():
    plain = released_hrda()
    plain.encoder, plain.head, plain.stride, plain._logits_stride = Cells(), Last(), 14, 14
    plain.num_classes = 4
    network = Hrda.around(plain, channels=4).eval()
    assert (network.stride, network.detail_step) == (56, 56)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 56, 112)).shape == (1, 4, 4, 8)


@pytest.mark.parametrize("box", [Box(0, 32, 0, 64), Box(4, 68, 0, 64)])
def test_a_box_that_does_not_fit_is_refused(box):
    with pytest.raises(ValueError, match="not half of 128"):
        released_hrda()(torch.zeros(2, 3, 128, 128), box=box)


def test_a_crop_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"training\.crop_size"):
        released_hrda()(torch.zeros(2, 3, 96, 96), box=Box(0, 48, 0, 48))


def test_the_attention_is_trained_as_the_head(network):
    groups = build_optimizer(network, TrainingConfig()).param_groups
    of_head = {id(p) for group in groups if group["is_head"] for p in group["params"]}
    assert all(id(p) in of_head for p in network.scale_attention.parameters())
