"""What a card computes is what a CPU computes, to stated tolerances."""

import copy

import numpy as np
import pytest
import torch

from core.configuration.choices import Architecture, JitterModel, Precision, TeacherStatistics
from core.configuration.config import RunConfig
from core.configuration.sections import MaskConfig
from core.configuration.settings import with_changes
from core.evaluation.health import Health, health_steps
from core.evaluation.metrics import ConfusionMatrix
from core.evaluation.predictor import Predictor
from core.loading.random import generator
from core.loading.sampling import Batch
from core.method.augment import colour_jitter, draw_colour, gaussian_blur
from core.method.draws import draw
from core.method.masking import pixel_masks
from core.method.masks import draw_block_masks, draw_keep_masks
from core.method.step import Images, masktwins_step
from core.method.student import Student
from core.method.teacher import Teacher
from core.networks.device import autocast, has_bf16
from tests.core.networks.small import SMALL, network

pytestmark = pytest.mark.cuda

LOGITS = {"rtol": 1e-3, "atol": 1e-4}  # float32, sums in another order
LOSS = 1e-3  # relative
BF16_LOSS = 0.03
SIDE = 128


def measure_health(*arguments, **options) -> Health:
    steps = health_steps(*arguments, **options)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("architecture", Architecture)
def test_logits_of_every_architecture(architecture, device):
    there = network(architecture, SMALL[architecture]).eval()
    here = copy.deepcopy(there)
    image = noise(150, 210, 3)  # no multiple of a stride
    expected = Predictor(here).logits(image)
    torch.testing.assert_close(Predictor(there, device).logits(image).cpu(), expected, **LOGITS)


def test_logits_of_hrda(device):
    there = network(Architecture.DAFORMER, "tu-test_resnet", hrda=True).eval()
    expected = Predictor(copy.deepcopy(there)).logits(noise(128, 192, 3))
    torch.testing.assert_close(Predictor(there, device).logits(noise(128, 192, 3)).cpu(), expected, **LOGITS)


def test_logits_with_channels_last(device):
    there = network(Architecture.DAFORMER, "tu-test_resnet").eval()
    expected = Predictor(copy.deepcopy(there)).logits(noise(96, 128, 3))
    predictor = Predictor(there.to(memory_format=torch.channels_last), device)
    torch.testing.assert_close(predictor.logits(noise(96, 128, 3)).cpu(), expected, **LOGITS)


def test_a_sliding_window(device):
    there = network(encoder="tu-test_resnet").eval()
    expected = Predictor(copy.deepcopy(there), window=(64, 96)).logits(noise(150, 210, 3))
    found = Predictor(there, device, window=(64, 96)).logits(noise(150, 210, 3)).cpu()
    torch.testing.assert_close(found, expected, **LOGITS)


def test_classes_in_bf16_are_mostly_those_of_float32(device):
    there = network(encoder="tu-test_resnet").eval()
    image = np.kron(noise(8, 12, 3), np.ones((16, 16, 1), np.uint8))
    expected = Predictor(copy.deepcopy(there)).predict(image)
    found = Predictor(there, device, precision=Precision.BF16).predict(image)
    assert np.mean(found == expected) > 0.95


def test_auto_precision_is_what_the_card_can_do(device, on_card):
    predictor = Predictor(network(), device, precision=Precision.AUTO)
    with predictor._autocast():
        x = torch.ones(2, 2, device=device)
        assert ((x @ x).dtype is torch.bfloat16) == (on_card and has_bf16(device))


# The step ---------------------------------------------------------------------------------------

STEPS = {
    "plain": {},
    "transformer": {"network.encoder": "tu-pvt_v2_b0"},
    "HRDA": {"network.hrda": True, "network.architecture": "daformer"},
    "K = 3, source too": {"mask.views": 3, "mask.domain": "both"},
    "AdaIN": {"augment.adain": True},
    "feature masks": {"mask.level": "features"},
    "separate twins": {"training.twin_forward": "separate"},
    "averaged statistics": {"training.teacher_statistics": "averaged"},
}


def step(device, precision=Precision.FP32, **changes):
    """Losses of an adaptation step, and the gradient's norm."""
    config = with_changes(
        RunConfig(),
        {
            "network.encoder": "tu-test_resnet", "mask.block_size": 16, "training.crop_size": SIDE,
            "augment.jitter_probability": 1.0, "training.pseudo_label_threshold": 0.3, **changes,
        },
    )  # fmt: skip
    segmenter = network(config.network.architecture, config.network.encoder, hrda=config.network.hrda).train()
    for module in segmenter.modules():  # whose draws differ from device to device
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    label = noise(2, SIDE // 16, SIDE // 16, seed=1) % 3
    host = Batch(
        torch.from_numpy(noise(2, 3, SIDE, SIDE)),
        torch.from_numpy(np.kron(label, np.ones((1, 16, 16), np.uint8))),
        torch.from_numpy(noise(2, 3, SIDE, SIDE, seed=2)),
        torch.ones(2, SIDE, SIDE, dtype=torch.bool),
    )
    draws = draw(config, host, lambda p: generator(0, 0, p), int(getattr(segmenter, "detail_step", 0)))
    segmenter = segmenter.to(device)
    student = Student(segmenter, segmenter.normalisation, autocast(precision, device))
    teacher = Teacher(segmenter, config.training.teacher_statistics)
    source, label, target, valid = (tensor.to(device) for tensor in vars(host).values())
    images = Images(source / 255, label, target / 255, valid)
    losses = masktwins_step(student, teacher, images, draws, config, 0)
    gradients = [p.grad for p in segmenter.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.cat([g.flatten().float() for g in gradients]))
    return {name: loss.item() for name, loss in losses.items()} | {"gradient": norm.item()}


@pytest.mark.parametrize("case", STEPS)
def test_losses_and_gradient_of_a_step(case, device):
    assert step(device, **STEPS[case]) == pytest.approx(step("cpu", **STEPS[case]), rel=LOSS, abs=1e-5)


@pytest.mark.parametrize("case", ["plain", "HRDA"])
def test_losses_in_bf16(case, device):
    found, expected = step(device, Precision.BF16, **STEPS[case]), step("cpu", **STEPS[case])
    for name in ("source", "mix", "twins"):
        assert found[name] == pytest.approx(expected[name], rel=BF16_LOSS, abs=1e-3)


@pytest.mark.parametrize("views", [2, 4])
def test_masks_are_equal_bit_for_bit(device, views):
    for height, width, block in ((512, 1024, 64), (300, 217, 13), (97, 131, 40)):
        mask = MaskConfig(block_size=block, views=views)
        sent = draw_block_masks(mask, 2, height, width, np.random.default_rng(block))
        expected = draw_keep_masks(mask, 2, height, width, np.random.default_rng(block))
        found = pixel_masks(sent, (height, width), torch.device(device))
        for on_device, on_host in zip(found, expected, strict=True):
            np.testing.assert_array_equal(on_device.cpu().numpy(), on_host)


@pytest.mark.parametrize("model", JitterModel)
def test_jitter_and_blur(device, model):
    image = torch.from_numpy(noise(2, 3, 60, 80)) / 255
    draws = draw_colour(np.random.default_rng(3), 2, 0.2)
    expected = gaussian_blur(colour_jitter(image, draws, model), 0.8)
    found = gaussian_blur(colour_jitter(image.to(device), draws, model), 0.8).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_confusion_matrix(device):
    label, prediction = noise(4, 50, 60) % 5, noise(4, 50, 60, seed=1) % 5
    label[:, :5] = 255
    found, expected = ConfusionMatrix(5, device), ConfusionMatrix(5)
    for matrix in (found, expected):
        matrix.update(label, torch.from_numpy(prediction).to(matrix._counts.device))
    np.testing.assert_array_equal(found.matrix, expected.matrix)


def test_health(device):
    here = network(encoder="tu-test_resnet").eval()
    images = [noise(64, 96, 3, seed=i) for i in range(3)]
    arguments = (images, MaskConfig(block_size=8), 0.5)
    expected = measure_health(copy.deepcopy(here), None, *arguments)
    found = measure_health(here.to(device), None, *arguments, device=device)
    assert found.row() == pytest.approx(expected.row(), rel=0.02, abs=0.01, nan_ok=True)


def test_batch_statistics_of_the_teacher(device):
    segmenter = network(Architecture.UNET, "tu-test_resnet").train()
    x = torch.from_numpy(noise(2, 3, 64, 64)) / 255
    expected = Teacher(segmenter, TeacherStatistics.BATCH).logits(x)
    found = Teacher(segmenter.to(device), TeacherStatistics.BATCH).logits(x.to(device)).cpu()
    torch.testing.assert_close(found, expected, **LOGITS)
