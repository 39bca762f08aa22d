import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.configuration.choices import Architecture, MaskStrategy, Precision, TeacherStatistics
from core.configuration.sections import MaskConfig, NetworkConfig
from core.dataset.folders import Pair
from core.evaluation import health as health_module
from core.evaluation.choice import values_of
from core.evaluation.health import COLUMNS, NUM_IMAGES, choose, health_steps, label_shares
from core.evaluation.predictor import PredictionError
from core.labels import IGNORE, LabelSpace
from core.method.teacher import Teacher
from core.networks.build import build
from core.networks.segmenter import Head, NetworkDescription, Segmenter
from core.pixels import Normalisation
from core.runs.folder import RunFolder

MASK = MaskConfig(block_size=4)
LEVELS = np.array([0, 128, 255], np.uint8)


class Brightness(nn.Module):
    """A pixel's red tells its class: near 0, 128 and 255, as surely as `gain` says."""

    def __init__(self, gain=1000.0, order=(0, 1, 2)):
        super().__init__()
        self.gain, self.order = gain, order

    def forward(self, image):
        logits = torch.cat([-self.gain * (image[:, :1] - level).abs() for level in (0, 128 / 255, 1)], 1)
        return [logits[:, self.order]]


class Side(nn.Module):
    """Class 0 in the left half of an image, class 2 in the right, whatever is to be seen."""

    def forward(self, image):
        right = torch.linspace(-1, 1, image.shape[3]).expand(image.shape[0], *image.shape[2:])
        return [torch.stack([-right, torch.full_like(right, -9), right], 1)]


class First(nn.Module):
    def forward(self, features):
        return features[0]


def segmenter(encoder):
    """Three classes at stride 1. A hidden pixel is black: class 0 of `Brightness`."""
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    description = NetworkDescription(Architecture.UNET, "none")
    head = Head(First(), nn.Identity())
    return Segmenter(encoder, head, num_classes=3, stride=1, normalisation=plain, description=description)


def picture(classes):
    """An image whose pixels are of these classes for `Brightness`."""
    return np.repeat(LEVELS[np.asarray(classes)][..., None], 3, 2)


def blocks(shares, height=20):
    """An image of 20 columns with this share of columns per class."""
    columns = np.repeat(np.arange(3), [round(20 * share) for share in shares])
    return picture(np.tile(columns, (height, 1)))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def measure_health(*arguments, **options):
    steps = health_steps(*arguments, **options)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def measure(encoder, images, reference=None, teacher=None, **kw):
    judge = None if teacher is None else segmenter(teacher)
    return measure_health(segmenter(encoder), judge, images, MASK, 0.9, reference, **kw)


# Known answers ---------------------------------------------------------------------------------


def test_a_sure_model_of_two_classes():
    found = measure(Brightness(), [blocks((0.5, 0, 0.5))], (0.5, 0.25, 0.25))
    assert found.shares == pytest.approx((0.5, 0, 0.5))
    assert found.confidence == pytest.approx(1)
    assert found.confident_share == 1
    assert found.entropy == pytest.approx(0, abs=1e-6)
    assert found.mutual_information == pytest.approx(math.log(2) / math.log(3), abs=1e-5)
    assert found.classes_seen == pytest.approx(2)
    assert found.drift == pytest.approx(0.25)
    assert found.agreement == 1
    assert found.missing_classes == 1
    assert not found.collapsed


def test_a_model_that_knows_nothing():
    found = measure(Brightness(gain=0.0), [noise(12, 20)], (0.4, 0.3, 0.3))
    assert found.confidence == pytest.approx(1 / 3)
    assert found.confident_share == 0
    assert found.entropy == pytest.approx(1)
    assert found.mutual_information == pytest.approx(0, abs=1e-6)
    assert found.shares == (1, 0, 0)
    assert found.classes_seen == pytest.approx(1)
    assert found.drift == pytest.approx(0.6)
    assert found.collapsed


def test_twins_of_a_model_without_context_disagree_wherever_something_is_to_be_seen():
    found = measure(Brightness(), [blocks((0.25, 0.25, 0.5)), blocks((0.75, 0, 0.25))])
    assert found.twin_disagreement == pytest.approx((0.75 + 0.25) / 2)  # each pixel is hidden in exactly one twin


def test_twins_of_a_model_that_needs_no_pixels_agree():
    assert measure(Side(), [noise(12, 20)]).twin_disagreement == 0


def test_the_student_is_what_the_twins_are_shown_to_and_the_teacher_what_is_judged():
    swapped = Brightness(order=(0, 2, 1))
    found = measure(swapped, [blocks((0.2, 0.3, 0.5))], teacher=Brightness())
    assert found.agreement == pytest.approx(0.2)  # the dark columns
    assert found.shares == pytest.approx((0.2, 0.3, 0.5))
    assert measure(Side(), [blocks((0.2, 0.3, 0.5))], teacher=Brightness()).twin_disagreement == 0


def test_stability_sees_mirroring_brightness_and_scale():
    flat = np.full((12, 20, 3), 255, np.uint8)
    assert measure(Brightness(), [flat]).stability == 1
    assert measure(Side(), [flat]).stability == pytest.approx(0.5)  # mirrored: all wrong; smaller: all right
    between = np.full((12, 20, 3), 178, np.uint8)  # class 1, and brightened class 2
    assert measure(Brightness(), [between]).stability == pytest.approx(0.5)
    stripes = picture(np.tile([[0, 2]], (12, 10)))
    assert measure(Brightness(), [stripes]).stability < 0.95  # a smaller scale blurs them


def test_without_reference_nothing_is_expected():
    found = measure(Brightness(), [blocks((1, 0, 0))])
    assert math.isnan(found.drift)
    assert (found.missing_classes, found.collapsed) == (0, False)


@pytest.mark.parametrize(
    ("predicted", "reference", "source", "missing", "collapsed"),
    [
        ((0.4, 0.3, 0.3), (0.4, 0.3, 0.3), None, 0, False),
        ((0.9, 0.05, 0.05), (0.4, 0.3, 0.3), None, 0, True),  # nearly everything is one class
        ((1, 0, 0), (0.4, 0.3, 0.3), None, 2, True),
        ((1, 0, 0), (0.4, 0.3, 0.3), (1, 0, 0), 0, True),  # the source-only model was no better: still collapsed
        ((0.6, 0.4, 0), (0.4, 0.3, 0.3), (0.5, 0.3, 0.2), 1, False),  # one class of three is lost
        (
            (0.6, 0.4, 0),
            (0.4, 0.3, 0.3),
            (0.6, 0.4, 0),
            0,
            False,
        ),  # which the source-only model did not see here either
        ((0.6, 0.4, 0), (0.6, 0.395, 0.005), None, 0, False),  # a rare class need not show itself
        (
            (0.5, 0, 0.5),
            (0.5, 0.5, 0),
            (0, 1, 0),
            1,
            True,
        ),  # as many classes as ever, but not the one that both know of
        ((0.95, 0.05, 0), (0.96, 0.04, 0), None, 0, False),  # few foreground pixels are the labels' way
        ((1, 0, 0), (0.96, 0.04, 0), None, 1, True),
    ],
)
def test_missing_classes_and_collapse(predicted, reference, source, missing, collapsed):
    found = measure(Brightness(), [blocks(predicted)], reference, source_shares=source)
    assert found.shares == pytest.approx(predicted)
    assert (found.missing_classes, found.collapsed) == (missing, collapsed)


# What must not matter --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(NetworkConfig(encoder="tu-test_resnet", weights="none"), 5)


IMAGES = tuple(
    noise(height, width, seed) for seed, (height, width) in enumerate([(40, 56), (40, 56), (33, 47), (40, 56)])
)


def test_how_images_are_batched_does_not_matter(network, monkeypatch):
    together = measure_health(network, None, IMAGES, MASK, 0.25, seed=3)
    monkeypatch.setattr(health_module, "BATCH_VALUES", 1)
    single = measure_health(network, None, IMAGES, MASK, 0.25, seed=3)
    assert together.row() == pytest.approx(single.row(), abs=1e-6, nan_ok=True)
    assert together.shares == pytest.approx(single.shares)


class Crowded(Brightness):
    """Has no memory for more than `most` images at once."""

    most = 1

    def forward(self, image):
        if len(image) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(image)


def test_where_memory_is_short_fewer_images_are_measured_together():
    images = [blocks((0.2, 0.3, 0.5)), blocks((0.5, 0.5, 0)), blocks((0, 0.5, 0.5))]
    assert measure(Crowded(), images).row() == pytest.approx(measure(Brightness(), images).row(), abs=1e-6, nan_ok=True)
    crowded = Crowded()
    crowded.most = 0
    with pytest.raises(PredictionError, match="too little memory"):
        measure(crowded, images)


def test_no_more_images_go_through_the_network_together_than_fit(network, monkeypatch):
    together = measure_health(network, None, IMAGES, MASK, 0.25, seed=3)
    sizes, monkeypatched = [], 40 * 56 * 2
    monkeypatch.setattr(health_module, "most_pixels", lambda _: monkeypatched)
    hook = network.register_forward_pre_hook(
        lambda _, inputs: sizes.append(inputs[0].shape[0] * inputs[0][0, 0].numel())
    )
    few = measure_health(network, None, IMAGES, MASK, 0.25, seed=3)
    assert max(sizes) <= monkeypatched
    assert few.row() == pytest.approx(together.row(), abs=1e-6, nan_ok=True)
    sizes.clear()
    monkeypatched = 400
    found = measure_health(network, None, IMAGES, MASK, 0.25, seed=3)
    hook.remove()
    assert max(sizes) <= 400
    assert sum(found.shares) == pytest.approx(1)


def test_progress_is_told_after_each_batch(network, monkeypatch):
    monkeypatch.setattr(health_module, "BATCH_VALUES", 1)
    assert list(health_steps(network, None, IMAGES, MASK, 0.25)) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_pixel_counts_the_same():
    small, large = blocks((1, 0, 0), height=10), blocks((0, 0, 1), height=30)
    assert measure(Brightness(), [small, large]).shares == pytest.approx((0.25, 0, 0.75))


def test_the_trainings_strategy_and_ratio_do_not_matter_and_the_block_size_and_seed_do(network):
    def disagreement(seed=0, **changes):
        return measure_health(network, None, IMAGES, MaskConfig(**changes), 0.5, seed=seed).twin_disagreement

    first = disagreement(block_size=8)
    assert disagreement(block_size=8, ratio=(0.1, 0.9), strategy=MaskStrategy.OFF, views=4) == first
    assert disagreement(block_size=2) != first
    assert disagreement(seed=1, block_size=8) != first


def test_nothing_is_changed_and_nothing_drawn(network):
    teacher = Teacher(network, TeacherStatistics.OWN)  # its own forwards move its statistics
    network.train()
    network.head.eval()
    teacher.network.train()
    before = [{name: tensor.clone() for name, tensor in n.state_dict().items()} for n in (network, teacher.network)]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = measure_health(network, teacher.network, IMAGES, MASK, 0.5)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    for one, state in zip((network, teacher.network), before, strict=True):
        assert all(torch.equal(state[name], tensor) for name, tensor in one.state_dict().items())
    assert (network.training, network.encoder.training, network.head.training) == (True, True, False)
    assert teacher.network.training
    assert measure_health(network, teacher.network, IMAGES, MASK, 0.5).shares == first.shares
    network.eval()


class Waits(TorchDispatchMode):
    """Counts operations whose result the host has to wait for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += any(
            word in str(func) for word in ("_local_scalar_dense", "bincount", "nonzero", "unique", "masked_select")
        )
        return func(*args, **(kwargs or {}))


def test_the_host_does_not_wait_between_batches(network):
    with Waits() as waits:
        measure_health(network, None, IMAGES, MASK, 0.5, (0.2,) * 5)
    assert waits.count == 0
    with Waits() as waits:
        torch.ones(2).sum().item()
    assert waits.count == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 3), (65, 33)])
def test_any_size_of_image(network, size):
    found = measure_health(network, None, [noise(*size)], MaskConfig(block_size=64), 0.5, (0.2,) * 5)
    for name, value in found.row().items():
        if name not in ("health_classes_seen", "health_missing_classes"):
            assert 0 <= value <= 1, name
    assert 1 <= found.classes_seen <= 5
    assert sum(found.shares) == pytest.approx(1)


def test_each_image_has_a_mask_of_its_own_whatever_stands_before_it():
    first, second = (health_module._keep_mask(MASK, 32, 32, 0, index) for index in (0, 1))
    assert not np.array_equal(first, second)
    assert [(first, len(batch)) for first, batch in health_module._batches(IMAGES, 5, 10**9)] == [
        (0, 2),
        (2, 1),
        (3, 1),
    ]


def test_a_block_as_large_as_the_image_still_hides_a_part_of_it():
    flat = np.full((32, 32, 3), 255, np.uint8)
    keep = health_module._keep_mask(MaskConfig(block_size=64), 32, 32, 0, 0)
    assert 0 < keep.mean() < 1
    assert measure(Brightness(), [flat]).twin_disagreement == 1


def test_bf16_is_near(network):
    exact = measure_health(network, None, IMAGES, MASK, 0.25)
    rough = measure_health(network, None, IMAGES, MASK, 0.25, precision=Precision.BF16)
    assert rough.confidence != exact.confidence
    assert rough.confidence == pytest.approx(exact.confidence, abs=0.02)


def test_without_images_it_is_refused(network):
    with pytest.raises(ValueError, match="image"):
        measure_health(network, None, [], MASK, 0.5)


# The images, the labels and the columns --------------------------------------------------------


def write_pairs(folder, images, labels=None):
    pairs = []
    for index, image in enumerate(images):
        path = folder / f"{index:03d}.png"
        Image.fromarray(image).save(path)
        label = None
        if labels is not None:
            label = folder / f"{index:03d}_label.png"
            Image.fromarray(labels[index]).save(label)
        pairs.append(Pair(path, label, path.stem))
    return pairs


def test_images_are_evenly_chosen_and_shrunk(tmp_path):
    pairs = write_pairs(tmp_path, [np.full((4, 6, 3), i, np.uint8) for i in range(3 * NUM_IMAGES)])
    found = choose(pairs)
    assert len(found) == NUM_IMAGES
    values = [image[0, 0, 0] for image in found]
    assert (values[0], values[-1]) == (0, 3 * NUM_IMAGES - 1)
    assert set(np.diff(values)) <= {3, 4}
    assert len(choose(pairs[:2])) == 2
    assert choose([]) == ()
    (wide,) = choose(write_pairs(tmp_path, [noise(10, 2048)]))
    assert (wide.shape, wide.dtype) == ((5, 1024, 3), np.uint8)


def test_unreadable_images_are_passed_over(tmp_path):
    pairs = write_pairs(tmp_path, [noise(8, 8, i) for i in range(3)])
    pairs[1].image.write_bytes(b"no image")
    pairs[2].image.unlink()
    assert [image.tolist() for image in choose(pairs)] == [noise(8, 8, 0).tolist()]


def test_shares_of_labels(tmp_path):
    space = LabelSpace("test", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    labels = [np.array([[0, 0, 1, IGNORE]], np.uint8), np.array([[2, IGNORE, IGNORE, IGNORE]], np.uint8)]
    pairs = write_pairs(tmp_path, [noise(1, 4)] * 2, labels)
    assert label_shares(pairs, space) == (0.5, 0.25, 0.25)
    assert label_shares([Pair(pairs[0].image, None, "unlabelled")], space) is None
    pairs[1].label.write_bytes(b"no label")
    assert label_shares(pairs, space) == pytest.approx((2 / 3, 1 / 3, 0))


def test_columns_hold_all_but_the_shares_and_come_back_from_the_file(tmp_path):
    found = measure(Brightness(), [blocks((1, 0, 0))], (0.4, 0.3, 0.3))
    assert tuple(found.row()) == COLUMNS
    run = RunFolder(tmp_path)
    writer = run.open_metrics(["step", *COLUMNS], 0)
    writer.append({"step": 1, **found.row()})
    writer.append({"step": 2})
    writer.close()
    first, second = run.metrics()
    assert values_of(first) == pytest.approx({name: float(getattr(found, name)) for name in values_of(first)})
    assert values_of(first)["collapsed"] == 1
    assert values_of(second) == {}


def test_variety_is_relative_to_the_labels_and_at_most_one():
    network = segmenter(Brightness())
    found = measure_health(network, None, IMAGES, MASK, 0.5)
    assert found.variety == pytest.approx(math.log(found.classes_seen) / math.log(network.num_classes))
    poorer = (0.9, 0.1, *[0.0] * (network.num_classes - 2))
    assert measure_health(network, None, IMAGES, MASK, 0.5, poorer).variety >= found.variety
    single = (1.0, *[0.0] * (network.num_classes - 1))
    assert measure_health(network, None, IMAGES, MASK, 0.5, single).variety == 1
