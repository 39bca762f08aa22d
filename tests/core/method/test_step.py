import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.configuration.choices import TeacherStatistics
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.loading.random import generator
from core.loading.sampling import Batch
from core.method.draws import AugmentDraw, StepDraws, draw
from core.method.feature_distance import FeatureAnchor
from core.method.losses import consistency, cross_entropy
from core.method.masking import pixel_masks
from core.method.step import Images, PseudoLabel, masked_predictions, masktwins_step, mixed, ramp_up, source_step
from core.method.student import Student
from core.method.teacher import Teacher
from core.pixels import Normalisation

NUM_CLASSES = 4


class Network(nn.Module):
    """Logits at half the resolution; no batch norm and no dropout unless asked for."""

    def __init__(self, *, norm: bool = False):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(6, NUM_CLASSES, 3, padding=1),
        )

    def forward(self, x):
        return self.layers(x)


def setup(height=32, width=48, batch=2, norm=False, **changes):
    config = with_changes(
        RunConfig(),
        {
            "mask.block_size": 8,
            "training.crop_size": (height, width),
            "training.batch_size": batch,
            "training.pseudo_label_threshold": 0.2,
            **{k.replace("__", "."): v for k, v in changes.items()},
        },
    )
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    host = Batch(
        torch.from_numpy(rng.integers(0, 256, (batch, 3, height, width), np.uint8)),
        torch.from_numpy(rng.integers(0, NUM_CLASSES, (batch, height, width)).astype(np.uint8)),
        torch.from_numpy(rng.integers(0, 256, (batch, 3, height, width), np.uint8)),
        torch.ones(batch, height, width, dtype=torch.bool),
    )
    network = Network(norm=norm).train()
    student = Student(network, Normalisation())
    teacher = Teacher(network, TeacherStatistics.BATCH)
    images = Images(host.source_image / 255, host.source_label, host.target_image / 255, host.target_valid)
    draws = draw(config, host, lambda purpose: generator(0, 0, purpose))
    return config, student, teacher, images, draws


def gradients(network):
    return torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("strategy", ["complementary", "random", "single", "off"])
@pytest.mark.parametrize("domain", ["target", "source", "both"])
def test_every_choice_of_masks_trains_at_any_size(size, batch, strategy, domain):
    config, student, teacher, images, draws = setup(*size, batch, mask__strategy=strategy, mask__domain=domain)
    losses = masktwins_step(student, teacher, images, draws, config, 0)
    expected = {"source", "mix"}
    if strategy != "off":
        expected.add("twins")
    if strategy in ("complementary", "random"):
        expected.add("consistency")
    assert set(losses) == expected
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert gradients(student.network).abs().sum() > 0


def test_the_losses_are_the_papers():
    config, student, teacher, images, draws = setup(augment__colour_jitter=False, augment__blur=False)
    losses = masktwins_step(student, teacher, images, draws, config, 0)
    z = student.network
    norm = Normalisation()
    assert losses["source"].item() == pytest.approx(
        cross_entropy(z(norm.apply(images.source)), images.source_label).item()
    )

    x_T = norm.apply(images.target)
    p = nn.functional.interpolate(z(x_T), size=(32, 48), mode="bilinear").softmax(1)
    confidence, plabel = p.max(1)
    q = (confidence >= 0.2).float().mean((1, 2))[:, None, None].expand_as(confidence)
    first, second = (z(x_T * keep) for keep in pixel_masks(draws.target_masks, (32, 48), x_T.device))
    expected = 0.5 * cross_entropy(first, plabel, q) + 0.5 * cross_entropy(second, plabel, q)
    assert losses["twins"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses["consistency"].item() == pytest.approx(0.01 * consistency([first, second]).item(), rel=1e-5)


def test_gradients_are_those_of_the_sum():
    config, student, teacher, images, draws = setup(
        augment__colour_jitter=False, augment__blur=False, augment__class_mix=False
    )
    masktwins_step(student, teacher, images, draws, config, 0)
    accumulated = gradients(student.network)
    student.network.zero_grad()
    z, x_T = student.network, student.normalisation.apply(images.target)
    with torch.no_grad():
        confidence, plabel = nn.functional.interpolate(z(x_T), size=(32, 48), mode="bilinear").softmax(1).max(1)
        q = (confidence >= 0.2).float().mean((1, 2))[:, None, None].expand_as(confidence)
    first, second = (z(x_T * keep) for keep in pixel_masks(draws.target_masks, (32, 48), x_T.device))
    total = (
        cross_entropy(z(student.normalisation.apply(images.source)), images.source_label)
        + 0.5 * cross_entropy(first, plabel, q)
        + 0.5 * cross_entropy(second, plabel, q)
        + 0.01 * consistency([first, second])
    )
    total.backward()
    torch.testing.assert_close(accumulated, gradients(student.network), rtol=1e-4, atol=1e-7)


def test_batched_and_separate_twins_agree_without_batch_norm():
    results = []
    for forward in ("batched", "separate"):
        config, student, teacher, images, draws = setup(training__twin_forward=forward)
        losses = masktwins_step(student, teacher, images, draws, config, 0)
        results.append((losses, gradients(student.network)))
    (batched, g1), (separate, g2) = results
    for name in batched:
        assert batched[name].item() == pytest.approx(separate[name].item(), rel=1e-5)
    torch.testing.assert_close(g1, g2, rtol=1e-4, atol=1e-7)


class CountForwards:
    def __init__(self, network):
        self.count = 0
        network.register_forward_hook(lambda *_: setattr(self, "count", self.count + 1))


@pytest.mark.parametrize(
    ("changes", "forwards"),
    [
        ({}, 3),  # source, mixed, twins
        ({"loss__mix_weight": 0.0}, 2),
        ({"augment__class_mix": False}, 2),
        ({"loss__twin_weight": 0.0, "loss__consistency_weight": 0.0}, 2),
        ({"loss__twin_weight": 0.0}, 3),
        ({"mask__strategy": "off", "loss__mix_weight": 0.0}, 1),
        ({"training__twin_forward": "separate"}, 4),
    ],
)
def test_work_of_weight_zero_is_not_done(changes, forwards):
    config, student, teacher, images, draws = setup(**changes)
    counter = CountForwards(student.network)
    masktwins_step(student, teacher, images, draws, config, 0)
    assert counter.count == forwards


@pytest.mark.parametrize("moves", [False, True])
def test_masked_forwards_move_running_statistics_only_when_asked(moves):
    config, student, teacher, images, draws = setup(norm=True, training__masked_statistics=moves, loss__mix_weight=0.0)
    masktwins_step(student, teacher, images, draws, config, 0)
    after_step = student.network.layers[1].running_mean.clone()
    other = setup(norm=True)[1]
    source_step(other, images, config)
    assert torch.equal(after_step, other.network.layers[1].running_mean) is not moves


def test_pixels_that_are_not_valid_count_nothing():
    config, student, teacher, images, draws = setup(augment__class_mix=False)
    nowhere = Images(images.source, images.source_label, images.target, torch.zeros_like(images.target_valid))
    losses = masktwins_step(student, teacher, nowhere, draws, config, 0)
    assert losses["twins"].item() == 0
    assert losses["consistency"].item() > 0


def test_an_unconfident_teacher_weighs_nothing():
    config, student, teacher, images, draws = setup(training__pseudo_label_threshold=0.999)
    losses = masktwins_step(student, teacher, images, draws, config, 0)
    assert losses["twins"].item() == 0


class NoSynchronisation(TorchDispatchMode):
    """Fails where a value of a tensor is asked for by the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert "_local_scalar_dense" not in name, "the step waits for the device"
        assert "nonzero" not in name, "the step waits for the device"
        return func(*args, **(kwargs or {}))


def test_the_step_never_waits_for_the_device():
    config, student, teacher, images, draws = setup(norm=True, augment__jitter_probability=1.0)
    assert draws.mixed.colour is not None
    blurred = AugmentDraw(draws.target.colour, sigma=0.7)
    with NoSynchronisation():
        masktwins_step(
            student, teacher, images, StepDraws(draws.pasted_classes, blurred, blurred, draws.target_masks), config, 3
        )


def test_draws_are_a_function_of_seed_and_step():
    *_, first = setup()
    *_, again = setup()
    assert np.array_equal(first.target_masks[0], again.target_masks[0])
    assert np.array_equal(first.pasted_classes, again.pasted_classes)


class Pyramid(nn.Module):
    """An encoder of two stages and a head, called as `core.networks.segmenter.Segmenter` is."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.second = nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.classifier = nn.Conv2d(6, NUM_CLASSES, 1)
        self.seen = 0  # images that went through the encoder

    def encoder(self, x):
        self.seen += len(x)
        first = self.first(x).relu()
        return [x, first, self.second(first)]

    def forward(self, x, on_features=None):
        features = self.encoder(x)
        return self.classifier((features if on_features is None else on_features(features, None))[-1])


def with_pyramid(**changes):
    config, _, _, images, draws = setup(**changes)
    torch.manual_seed(0)
    network = Pyramid().train()
    return config, Student(network, Normalisation()), Teacher(network, TeacherStatistics.BATCH), images, draws


def test_masked_features_hide_blocks_from_the_head_and_cost_one_look_at_the_image():
    config, student, teacher, images, draws = with_pyramid(mask__level="features", mask__views=3)
    losses = masktwins_step(student, teacher, images, draws, config, 0)
    assert student.network.seen == 2 * 3  # source, mixed, and the target once for all of its views
    assert {"twins", "consistency"} <= set(losses)

    x = torch.randn(1, 3, 32, 48)
    keep = pixel_masks(draws.target_masks, (32, 48), x.device)[0][:1]
    views = masked_predictions(student, x, [keep, ~keep], None, config)
    clean, blank = student(x).logits, student.network.classifier.bias.view(1, -1, 1, 1)
    small = nn.functional.interpolate(keep.float(), size=clean.shape[-2:]).bool()
    torch.testing.assert_close(views[0].logits, torch.where(small, clean, blank))
    torch.testing.assert_close(views[1].logits, torch.where(small, blank, clean))


def test_adain_changes_the_source_loss_alone():
    losses = []
    for adain in (False, True):
        config, student, teacher, images, draws = with_pyramid(augment__adain=adain)
        losses.append(masktwins_step(student, teacher, images, draws, config, 0))
    plain, styled = losses
    assert plain["source"].item() != pytest.approx(styled["source"].item(), rel=1e-4)
    assert plain["twins"].item() == pytest.approx(styled["twins"].item())


def test_the_feature_distance_pulls_towards_the_anchor():
    config, student, teacher, images, draws = with_pyramid(
        loss__feature_distance_weight=0.5, network__weights="imagenet"
    )
    anchor = FeatureAnchor(Encoder(student.network), range(NUM_CLASSES))
    blocks = Images(images.source, images.source_label // NUM_CLASSES, images.target, images.target_valid)
    losses = masktwins_step(student, teacher, blocks, draws, config, 0, anchor)
    assert losses["feature_distance"].item() == 0
    with torch.no_grad():
        student.network.second.bias += 1
    moved = source_step(student, blocks, config, anchor=anchor)
    assert moved["feature_distance"].item() == pytest.approx(0.5 * 6**0.5, rel=1e-4)


class Encoder(nn.Module):
    def __init__(self, pyramid):
        super().__init__()
        self.pyramid = pyramid

    def forward(self, x):
        return self.pyramid.encoder(x)


def test_losses_without_labels_grow_over_the_ramp():
    full = masktwins_step(*setup()[1:], setup()[0], 0)
    config, student, teacher, images, draws = setup(loss__ramp_steps=10)
    begun = masktwins_step(student, teacher, images, draws, config, 0)
    assert begun["source"].item() == pytest.approx(full["source"].item())
    for name in ("mix", "twins", "consistency"):
        assert begun[name].item() == pytest.approx(full[name].item() / 10, rel=1e-4)
    assert ramp_up(9, 10) == ramp_up(50, 10) == 1.0


def test_one_target_image_serves_all_mixed_images():
    config, student, teacher, images, _ = setup(batch=3)
    one = Images(images.source, images.source_label, images.target[:1], images.target_valid[:1])
    host = Batch((images.source * 255).byte(), images.source_label, (one.target * 255).byte(), one.target_valid)
    draws = draw(config, host, lambda purpose: generator(0, 0, purpose))
    assert len(draws.target_masks[0]) == 1
    losses = masktwins_step(student, teacher, one, draws, config, 0)
    assert all(torch.isfinite(loss) for loss in losses.values())
    labelled = PseudoLabel(torch.zeros(1, 32, 48, dtype=torch.long), torch.full((1, 32, 48), 0.25))
    image, label, weight = mixed(one, labelled, draws, Normalisation(), config)
    assert len(image) == len(label) == len(weight) == 3
