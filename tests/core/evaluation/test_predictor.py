import weakref
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.configuration.choices import Architecture
from core.evaluation.predictor import PredictionStoppedError, Predictor
from core.networks.segmenter import Head, NetworkDescription, Segmenter, resize
from core.pixels import Normalisation
from tests.core.released import released_hrda


class Blurred(nn.Module):
    """Two classes at stride 2 from a 5 × 5 neighbourhood: what a window's border cuts off matters."""

    def forward(self, image):
        mean = nn.functional.avg_pool2d(image, 5, stride=2, padding=2)
        return [torch.stack([mean[:, 0], 1 - mean[:, 1]], 1)]


class First(nn.Module):
    def forward(self, features):
        return features[0]


@pytest.fixture
def blurred():
    return Segmenter(
        Blurred(),
        Head(First(), nn.Identity()),
        num_classes=2,
        stride=2,
        normalisation=Normalisation(),
        description=NetworkDescription(Architecture.UNET, "none"),
    )


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def plain_loop(segmenter, image, side, step):
    """The definition: the windows' logits, weighted by how far a pixel is from the window's border, over the weights."""
    pixels = segmenter.normalisation.apply(torch.from_numpy(image).permute(2, 0, 1).float() / 255)
    total, weights = torch.zeros(2, *image.shape[:2]), torch.zeros(image.shape[:2])
    ramp = torch.tensor([min(i + 0.5, side - i - 0.5) for i in range(side)])
    for y, x in product(*(range(0, length - side + 1, step) for length in image.shape[:2])):
        logits = resize(segmenter(pixels[None, :, y : y + side, x : x + side]), (side, side))[0]
        total[:, y : y + side, x : x + side] += logits * ramp[:, None] * ramp
        weights[y : y + side, x : x + side] += ramp[:, None] * ramp
    return total / weights


def test_sliding_windows_give_what_a_plain_loop_gives(blurred):
    image = noise(48, 80)
    logits = Predictor(blurred, window=(16, 16), overlap=0.5, batch_size=3).logits(image)
    torch.testing.assert_close(logits, plain_loop(blurred, image, 16, 8))
    assert not torch.allclose(logits, Predictor(blurred).logits(image), atol=1e-3)  # windows do matter here


def test_ids_of_several_images_are_those_of_each(blurred):
    images = [noise(24, 40, seed) for seed in range(3)]
    for window in (None, (16, 16)):
        predictor = Predictor(blurred, window=window)
        together = predictor.ids(images)
        assert together.dtype == torch.uint8
        assert np.array_equal(together.numpy(), np.stack([predictor.predict(image) for image in images]))


def test_logits_of_normalised_pixels_are_those_of_the_images(blurred):
    images = [noise(24, 40, seed) for seed in range(2)]
    for window in (None, (16, 16)):
        predictor = Predictor(blurred, window=window)
        found = predictor.logits_of(predictor.pixels(images))
        torch.testing.assert_close(found, torch.stack([predictor.logits(image) for image in images]))


class PeakMemory(TorchDispatchMode):
    """Most bytes that tensors made within it held at once."""

    def __init__(self):
        super().__init__()
        self.held, self.peak, self.known = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        return result

    def add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self.remove, key, size)

    def remove(self, key, size):
        self.known.discard(key)
        self.held -= size


def peak_memory(segmenter, overlap):
    windows = []
    hook = segmenter.encoder.register_forward_pre_hook(lambda _module, inputs: windows.append(len(inputs[0])))
    with PeakMemory() as memory:
        Predictor(segmenter, window=(32, 32), overlap=overlap, batch_size=4).predict(noise(96, 128))
    hook.remove()
    return memory.peak, sum(windows)


def test_memory_does_not_grow_with_the_number_of_windows(blurred):
    (few_peak, few), (many_peak, many) = peak_memory(blurred, 0.0), peak_memory(blurred, 0.9)
    assert many > 40 * few
    assert many_peak <= few_peak
    assert few_peak > 2 * 96 * 128 * 4  # the logits of the image at least: the count works


def test_hrdas_windows_go_through_the_network_in_small_batches():
    torch.manual_seed(0)
    network = released_hrda()
    image, sizes = noise(128, 128), []
    whole = Predictor(network, batch_size=9).logits(image)
    network.encoder.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    torch.testing.assert_close(Predictor(network, batch_size=2).logits(image), whole)
    assert max(sizes) <= 2
    assert network.window_batch is None


def test_the_likeliest_classes_are_those_of_the_logits(blurred):
    image = noise(48, 80)
    for window in (None, (16, 16)):
        predictor = Predictor(blurred, window=window)
        probabilities, ids = predictor.logits(image).softmax(0).sort(0, descending=True)
        found = predictor.ranked(image)
        assert found.classes.shape == (2, 48, 80)
        assert np.array_equal(found.ids, ids[0].numpy())
        assert found.probabilities is not None
        assert np.abs(found.probabilities / 255 - probabilities.numpy()).max() <= 0.5 / 255 + 1e-6
        entropy = -(probabilities * probabilities.log()).sum(0).mean() / np.log(2)
        assert found.entropy == pytest.approx(float(entropy), rel=1e-5)
        assert found.features is not None
        assert found.features.shape == (2,)
    assert found.features == pytest.approx(
        blurred.encoder(predictor.pixels([image]))[0].mean((0, 2, 3)).numpy(), abs=0.1
    )
    assert not blurred.encoder._forward_hooks


def test_ranking_in_windows_holds_few_rows_at_a_time(blurred):
    def peak(height):
        with PeakMemory() as memory:
            Predictor(blurred, window=(32, 32), batch_size=2).ranked(noise(height, 64))
        return memory.peak - 64 * height * 3  # the image itself, one byte per channel

    assert peak(640) < 1.2 * peak(128)


def test_ranking_is_cancelled_between_windows(blurred):
    asked = []
    with pytest.raises(PredictionStoppedError):
        Predictor(blurred, window=(16, 16), batch_size=1).ranked(
            noise(48, 80), lambda: len(asked) == 3 or asked.append(1)
        )
    assert len(asked) == 3
