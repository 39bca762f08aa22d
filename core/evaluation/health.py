"""Measure without labels how a model does on the new camera, by what it predicts on fixed target images.

Shapes: B images, C classes, H × W pixels. The teacher's predictions on unmasked images are judged. The student's under fixed
masks show how much it uses what it sees around a hole. Nothing is drawn from torch's default generator and nothing in the
networks changes, so a training may be measured at any step and still resume exactly.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from core.configuration.choices import MaskStrategy, Precision
from core.configuration.sections import MaskConfig
from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_image, read_label
from core.evaluation.footprint import most_pixels
from core.evaluation.predictor import PredictionError, Predictor
from core.labels import LabelSpace
from core.loading.random import generator
from core.memory import is_out_of_memory
from core.method.masks import draw_keep_masks
from core.networks.segmenter import Segmenter, resize
from core.pixels import evenly_spaced, shrunk

logger = logging.getLogger(__name__)

NUM_IMAGES = 16  # the same at every measurement, so that few suffice; one costs 5.6 passes over them
NUM_LABELS = 64
LONGEST_SIDE = 1024  # pixels of a measured image: half of a 2048-pixel camera, where thin objects are still visible
BATCH_VALUES = 2**25  # logits (float32) that are held at once: 128 MiB each in the few tensors of that size
DARKER, BRIGHTER, SMALLER = 0.8, 1.25, 0.75  # factors of the changed views
FREQUENT = 0.01  # least share of the pixels of a class that is expected in the predictions
MISSING = 1 / 20  # of its expected share: a class below it is missing
LEAST_VARIETY = 1 / 4  # of the labels' (effective number of classes − 1), below which predictions have collapsed

# The scalars of a batch, in the order in which they are stacked; the shares and the mean probabilities of the classes follow.
_SCALARS = ("confidence", "confident_share", "entropy", "twin_disagreement", "agreement", "stability")


@dataclass(frozen=True)
class Health:
    """Hold what can be measured without labels: means over all pixels of the images, 0..1 unless noted otherwise.

    Higher is better for stability and mutual_information, which make up the score (`core.evaluation.choice`). The others
    only describe: self-training raises confidence and agreement and lowers entropy and twin_disagreement whether it is right
    or wrong, and another scene has other class shares (drift, variety) anyway.

    A class is *expected* with at least 1 % of the source labels' pixels and, where the source-only model's shares are known,
    of its predictions on these images too; it is *missing* with less than a twentieth of the smaller of the two.
    """

    confidence: float  # the teacher's highest probability
    confident_share: float  # share of pixels where that reaches τ
    entropy: float  # of the teacher's probabilities per pixel, relative to log C
    twin_disagreement: (
        float  # share of pixels on which the student predicts differently from the two complementary twins
    )
    agreement: float  # share of pixels on which student and teacher predict the same; 1 without a teacher
    stability: float  # share of pixels whose prediction outlives mirroring, other brightness and a smaller scale
    mutual_information: float  # entropy of the mean probabilities minus the mean entropy, relative to log C
    drift: float  # total variation distance of the predicted class shares to the source labels'; NaN where these are unknown
    variety: (
        float  # entropy of the predicted class shares relative to the source labels' (unknown: to log C), at most 1
    )
    classes_seen: float  # effective number of predicted classes, 1..C: exp of the entropy of their shares
    missing_classes: int  # number of expected classes that are hardly predicted
    collapsed: bool  # variety under a quarter of the labels', or more than half of the expected classes are missing
    shares: tuple[float, ...] = ()  # predicted share of the pixels, per class

    def row(self) -> dict[str, float]:
        """Return cells of metrics.csv by column name (see `COLUMNS`), without the shares. collapsed is 0 or 1."""
        return {f"health_{name}": float(value) for name, value in asdict(self).items() if name != "shares"}


COLUMNS = tuple(f"health_{field.name}" for field in fields(Health) if field.name != "shares")


# The images ---------------------------------------------------------------------------


def choose(pairs: Sequence[Pair]) -> tuple[np.ndarray, ...]:
    """Read at most `NUM_IMAGES` evenly spaced images, shrunk to a longest side of `LONGEST_SIDE`; RGB uint8 (H, W, 3).

    The result may be empty. The arrays are meant to be kept for the whole run.
    """
    return tuple(shrunk(image, LONGEST_SIDE) for image in readable(pairs, NUM_IMAGES))


def readable(pairs: Sequence[Pair], number: int) -> Iterator[np.ndarray]:
    """Read at most `number` evenly spaced images, one by one; RGB uint8 (H, W, 3). Unreadable ones are left out."""
    for pair in evenly_spaced(pairs, number):
        try:
            yield read_image(pair.image)
        except (ReadError, OSError) as error:
            logger.warning("image skipped: %s", error)


def label_shares(pairs: Sequence[Pair], space: LabelSpace) -> tuple[float, ...] | None:
    """Return the share of each class (C,) in at most `NUM_LABELS` evenly spaced labels; None without labelled pixels."""
    counts = np.zeros(256, np.int64)
    for pair in evenly_spaced([pair for pair in pairs if pair.label is not None], NUM_LABELS):
        assert pair.label is not None
        try:
            counts += np.bincount(read_label(pair.label, space).ravel(), minlength=256)
        except (ReadError, OSError) as error:
            logger.warning("left out of the class shares: %s", error)
    classes = counts[: space.num_classes]
    return tuple((classes / classes.sum()).tolist()) if classes.any() else None


# Measuring -------------------------------------------------------------------------------------


def health_steps(
    student: Segmenter,
    teacher: Segmenter | None,
    images: Sequence[np.ndarray],
    mask: MaskConfig,
    threshold: float,
    reference_shares: Sequence[float] | None = None,
    *,
    source_shares: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = Precision.FP32,
    seed: int = 0,
) -> Generator[tuple[int, int], None, Health]:
    """Measure a student and its teacher on images (`choose`), always the same ones with the same masks in a run.

    The twins are complementary halves of the image with blocks of the configured size, whatever the training's strategy, so
    that runs with other masks, and changes while a run trains, can be compared.

    As many images go through the network at once as memory allows. Where not even one fits, it is shrunk.

    Args:
        teacher: None (source-only phase) lets the student play both roles.
        threshold: τ, from which on a pixel is sure.
        reference_shares: (C,) share of each class in the source labels; None leaves the drift unknown.
        source_shares: (C,) the `shares` of the source-only model on the same images; None while it is not known. No drift is
            measured against it: it is what adaptation is to correct.
        seed: of the masks.

    Yields:
        (images done, images in all) after each batch.

    Returns:
        The health.

    Raises:
        ValueError: no images.
        PredictionError: the device's memory does not suffice.
    """
    if not images:
        raise ValueError("the health of a model needs at least one readable target image")
    trainee = Predictor(student, device, precision=precision)
    judge = trainee if teacher is None else Predictor(teacher, device, precision=precision)
    most = most_pixels(judge)
    images = [_within(image, most) for image in images]
    rows: list[tuple[Tensor, int]] = []
    for first, batch in _batches(images, student.num_classes, most):
        height, width = batch[0].shape[:2]
        keep = np.concatenate([_keep_mask(mask, height, width, seed, first + i) for i in range(len(batch))])
        with torch.no_grad():
            rows += _measure_within_memory(trainee, judge, batch, keep, threshold)
        yield first + len(batch), len(images)
    table = torch.stack([row for row, _ in rows]).cpu().double().numpy()  # the only wait for the device
    means = np.average(table, axis=0, weights=[pixels for _, pixels in rows])
    return _health(means, student.num_classes, reference_shares, source_shares)


def _within(image: np.ndarray, most_pixels: int) -> np.ndarray:
    """Shrink an image that has more pixels."""
    height, width = image.shape[:2]
    scale = math.sqrt(most_pixels / (height * width))
    return image if scale >= 1 else shrunk(image, max(1, int(max(height, width) * scale)))


def _batches(
    images: Sequence[np.ndarray], num_classes: int, most_pixels: int
) -> Iterator[tuple[int, Sequence[np.ndarray]]]:
    """Yield (index of the first, images) for neighbours of one size, as many as memory allows."""
    first = 0
    for (height, width, _), group in groupby(images, key=lambda image: image.shape):
        same = list(group)
        most = max(1, min(BATCH_VALUES // (num_classes * height * width), most_pixels // (height * width)))
        for start in range(0, len(same), most):
            yield first + start, same[start : start + most]
        first += len(same)


def _keep_mask(mask: MaskConfig, height: int, width: int, seed: int, index: int) -> np.ndarray:
    """Draw D of one image, bool (1, 1, H, W), from a generator of its own."""
    # No larger than a quarter of the image: a twin of a single block would see all of it, or nothing.
    block = max(1, min(mask.block_pixels(height, width), min(height, width) // 4))
    fixed = {
        "strategy": MaskStrategy.COMPLEMENTARY,
        "ratio": 0.5,
        "views": 2,
        "block_size": block,
        "block_fraction": 0.0,
    }
    return draw_keep_masks(mask.model_copy(update=fixed), 1, height, width, generator(seed, index, "health"))[0]


def _measure_within_memory(
    trainee: Predictor, judge: Predictor, images: Sequence[np.ndarray], keep: np.ndarray, threshold: float
) -> list[tuple[Tensor, int]]:
    """Return (`_measure`, pixels) of a batch, or of its parts where the training leaves too little memory."""
    height, width = images[0].shape[:2]
    try:
        return [(_measure(trainee, judge, images, keep, threshold), len(images) * height * width)]
    except (RuntimeError, MemoryError) as error:
        if len(images) == 1 or not (isinstance(error, PredictionError) or is_out_of_memory(error)):
            raise
    half = len(images) // 2
    return [
        *_measure_within_memory(trainee, judge, images[:half], keep[:half], threshold),
        *_measure_within_memory(trainee, judge, images[half:], keep[half:], threshold),
    ]


def _measure(
    trainee: Predictor, judge: Predictor, images: Sequence[np.ndarray], keep: np.ndarray, threshold: float
) -> Tensor:
    """Return means over a batch's pixels, on the device: `_SCALARS`, then C predicted shares and C mean probabilities."""
    x = judge.pixels(images)
    logits = judge.logits_of(x)
    probability = logits.softmax(1)
    entropy = logits.logsumexp(1) - (probability * logits).sum(1)
    confidence, prediction = probability.max(1)
    scalars = (
        confidence.mean(),
        _share(confidence >= threshold),
        entropy.mean(),
        _twin_disagreement(trainee, x, torch.from_numpy(keep).to(x.device)),
        torch.ones_like(confidence[0, 0, 0]) if trainee is judge else _share(_ids(trainee, x) == prediction),
        _stability(judge, x, prediction),
    )
    counts = torch.zeros(logits.shape[1], dtype=torch.int64, device=x.device)
    counts.scatter_add_(0, prediction.flatten(), torch.ones_like(prediction).flatten())  # bincount would wait
    return torch.cat([torch.stack(scalars), counts.float() / prediction.numel(), probability.mean((0, 2, 3))])


def _ids(predictor: Predictor, x: Tensor) -> Tensor:
    return predictor.logits_of(x).argmax(1)


def _share(found: Tensor) -> Tensor:
    return found.float().mean()


def _twin_disagreement(trainee: Predictor, x: Tensor, keep: Tensor) -> Tensor:
    return _share(_ids(trainee, x * keep) != _ids(trainee, x * ~keep))


def _stability(judge: Predictor, x: Tensor, prediction: Tensor) -> Tensor:
    """Return the mean over two changed views: mirrored and darker, smaller and brighter."""
    height, width = x.shape[-2:]
    mirrored = judge.logits_of(_with_brightness(judge, x, DARKER).flip(3)).flip(3)
    small = resize(
        _with_brightness(judge, x, BRIGHTER), (max(1, round(SMALLER * height)), max(1, round(SMALLER * width)))
    )
    enlarged = resize(judge.logits_of(small), (height, width))
    return (_share(mirrored.argmax(1) == prediction) + _share(enlarged.argmax(1) == prediction)) / 2


def _with_brightness(judge: Predictor, x: Tensor, factor: float) -> Tensor:
    normalisation = judge.segmenter.normalisation
    return normalisation.apply((normalisation.undo(x) * factor).clamp(0, 1))


# From means to a Health ------------------------------------------------------------------------


def _health(
    means: np.ndarray, num_classes: int, reference: Sequence[float] | None, source: Sequence[float] | None
) -> Health:
    scalars = dict(zip(_SCALARS, means[: len(_SCALARS)].tolist(), strict=True))
    shares, marginal = np.split(means[len(_SCALARS) :], [num_classes])
    most = math.log(max(2, num_classes))
    information = (_entropy(marginal) - scalars["entropy"]) / most
    scalars["entropy"] /= most
    seen, missing = math.exp(_entropy(shares)), _missing(shares, reference, source)
    return Health(
        **{name: min(1.0, max(0.0, value)) for name, value in scalars.items()},
        mutual_information=min(1.0, max(0.0, information)),
        drift=math.nan if reference is None else float(np.abs(shares - np.asarray(reference)).sum() / 2),
        variety=_variety(shares, reference),
        classes_seen=seen,
        missing_classes=int(missing.sum()),
        collapsed=_collapsed(seen, missing, reference, source),
        shares=tuple(shares.tolist()),
    )


def _variety(shares: np.ndarray, reference: Sequence[float] | None) -> float:
    most = math.log(len(shares)) if reference is None else _entropy(np.asarray(reference))
    return min(1.0, _entropy(shares) / most) if most > 0 else 1.0


def _entropy(shares: np.ndarray) -> float:
    """Return the entropy of class shares in nats."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _expected(reference: Sequence[float] | None, source: Sequence[float] | None, num_classes: int) -> np.ndarray:
    """Return the expected share of each class (C,); 0 for a class that need not occur."""
    known = [np.asarray(shares) for shares in (reference, source) if shares is not None]
    smallest = np.min(known, axis=0) if known else np.zeros(num_classes)
    return np.where(smallest >= FREQUENT, smallest, 0)


def _missing(shares: np.ndarray, reference: Sequence[float] | None, source: Sequence[float] | None) -> np.ndarray:
    expected = _expected(reference, source, len(shares))
    return shares < MISSING * expected


def _collapsed(
    seen: float, missing: np.ndarray, reference: Sequence[float] | None, source: Sequence[float] | None
) -> bool:
    expected = _expected(reference, source, len(missing)) > 0
    if 2 * missing.sum() > expected.sum():
        return True
    variety = math.exp(_entropy(np.asarray(reference))) - 1 if reference is not None else 0.0
    return seen - 1 < LEAST_VARIETY * variety
