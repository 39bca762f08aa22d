import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.config import DataConfig, TrainingConfig
from core.data.folders import Pair
from core.data.prefetch import Prefetcher
from core.data.sampling import Batch, BatchSource, cut, generator
from core.events import RunError, Warned
from core.labels import DEFAULT_PALETTE, IGNORE, LabelSpace

SPACE = LabelSpace("six", tuple("abcdef"), DEFAULT_PALETTE[:6])
NO_CHANGE = DataConfig(scale_min=1, scale_max=1, flip=False)


def write_pairs(folder: Path, num: int, hw: tuple[int, int] = (40, 50), *, labelled: bool = True) -> list[Pair]:
    """Images of one colour each, (number, class, 0), with labels of one class each."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(num):
        image, label = folder / f"{number}.png", folder / f"{number}_label.png"
        rgb = np.full((*hw, 3), (number, number % 6, 0), np.uint8)
        assert cv2.imwrite(str(image), rgb[..., ::-1])
        assert cv2.imwrite(str(label), np.full(hw, number % 6, np.uint8))
        pairs.append(Pair(image, label if labelled else None, str(number)))
    return pairs


@pytest.fixture
def make(tmp_path) -> Callable[..., BatchSource]:
    pairs = write_pairs(tmp_path / "source", 7), write_pairs(tmp_path / "target", 5, labelled=False)

    def make_source(
        source: Sequence[Pair] = pairs[0],
        target: Sequence[Pair] = pairs[1],
        data: DataConfig | None = None,
        on_problem: Callable[[Warned], None] = lambda warned: pytest.fail(warned.message),
        **training: int,
    ) -> BatchSource:
        settings = TrainingConfig(**{"batch_size": 2, "crop_size": 32, **training})
        return BatchSource(source, target, SPACE, data or DataConfig(), settings, on_problem)

    make_source.source, make_source.target = pairs
    return make_source


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def source_numbers(batch: Batch) -> list[int]:
    return batch.source_image[:, 0, 0, 0].tolist()


def test_shapes_and_types(make):
    batch = make(crop_size=(24, 32), batch_size=3).batch(0)
    assert batch.source_image.shape == batch.target_image.shape == (3, 3, 24, 32)
    assert batch.source_label.shape == batch.target_valid.shape == (3, 24, 32)
    assert batch.source_image.dtype == batch.source_label.dtype == batch.target_image.dtype == torch.uint8
    assert batch.target_valid.dtype == torch.bool
    assert batch.target_valid.all()


def test_a_batch_is_a_pure_function_of_seed_and_number(make):
    first, again = make(), make()
    later = [again.batch(t) for t in (9, 3)]  # another object, another order
    assert equal(first.batch(3), later[1])
    assert equal(first.batch(9), later[0])
    assert not equal(first.batch(3), first.batch(4))
    assert not equal(first.batch(3), make(seed=1).batch(3))


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_prefetching_does_not_change_the_batches(make, threads):
    expected = [make().batch(t) for t in range(3, 15)]
    with Prefetcher(make().batch, 3, 15, threads) as batches:
        assert all(equal(a, b) for a, b in zip(batches, expected, strict=True))


def test_each_image_is_seen_equally_often(make):
    source = make()
    counts = Counter(number for t in range(14) for number in source_numbers(source.batch(t)))
    assert counts == dict.fromkeys(range(7), 4)  # 28 draws, 7 images
    targets = Counter(int(v) for t in range(10) for v in source.batch(t).target_image[:, 0, 0, 0])
    assert targets == dict.fromkeys(range(5), 4)


def test_source_and_target_are_drawn_independently(make, tmp_path):
    pairs = write_pairs(tmp_path / "same", 7)
    source = make(source=pairs, target=pairs)
    batches = [source.batch(t) for t in range(10)]
    assert any(source_numbers(b) != b.target_image[:, 0, 0, 0].tolist() for b in batches)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [0.6, 1, 1.5, 2.3])
def test_labels_stay_on_their_pixels(axis, scale):
    """On a ramp of 4 grey values per pixel with a class every 40, a half-pixel shift of the label is measurable."""
    ramp = np.broadcast_to(np.arange(2, 242, 4, dtype=np.uint8), (60, 60))
    image = np.repeat((ramp if axis else ramp.T)[..., None], 3, 2)
    data = DataConfig(scale_min=min(scale, 1), scale_max=max(scale, 1))
    shifts = []
    for seed in range(40):
        draws = np.random.default_rng(seed).random(4)
        draws[0], draws[3] = 0 if scale < 1 else 1 - 1e-9, 1
        crop = cut(image, image[..., 0] // 40, (30, 30), data, draws)
        shifts.append((crop.image[..., 0] // 40 - crop.label.astype(float)).mean() * 10)
    assert abs(np.mean(shifts)) < 0.4  # pixels of the image


def test_an_unchanged_crop_is_a_window_of_the_image():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    label = np.random.default_rng(1).integers(0, 6, (50, 60), np.uint8)
    crop = cut(image, label, (20, 30), NO_CHANGE, np.array([0.5, 0.99, 0, 0.9]))
    assert np.array_equal(crop.image, image[30:50, :30])
    assert np.array_equal(crop.label, label[30:50, :30])


def test_mirroring_turns_image_and_label_alike():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    data = DataConfig(scale_min=1, scale_max=1, flip=True)
    mirrored = cut(image, image[..., 0] % 6, (20, 30), data, np.array([0, 0, 0, 0.49]))
    assert np.array_equal(mirrored.image, image[:, ::-1])
    assert np.array_equal(mirrored.label, image[:, ::-1, 0] % 6)
    kept = cut(image, image[..., 0] % 6, (20, 30), data, np.array([0, 0, 0, 0.51]))
    assert np.array_equal(kept.image, image)


@pytest.mark.parametrize("hw", [(10, 12), (32, 32), (33, 65), (1, 1), (2000, 1500)])
def test_smaller_images_are_enlarged_until_they_cover_the_crop(hw):
    image, label = np.full((*hw, 3), 7, np.uint8), np.full(hw, 2, np.uint8)
    for seed in range(10):
        crop = cut(image, label, (32, 64), DataConfig(), np.random.default_rng(seed).random(4))
        assert crop.image.shape == (32, 64, 3)
        assert (crop.image == 7).all()
        assert (crop.label == 2).all()


def test_a_strip_is_padded_with_ignore(make, tmp_path):
    strips = write_pairs(tmp_path / "strips", 2, (8, 200))
    batch = make(source=strips, target=strips, data=NO_CHANGE).batch(0)
    # 32 / 8 = 4 would cover the crop; twice 32 / 200 is the most that it is enlarged here, and it is not shrunk below 1.
    assert (batch.source_label[:, 8:] == IGNORE).all()
    assert (batch.source_label[:, :8] != IGNORE).all()
    assert not batch.target_valid[:, 8:].any()
    assert batch.target_valid[:, :8].all()


def test_a_bad_image_is_reported_once_and_replaced(make, tmp_path):
    pairs = write_pairs(tmp_path / "mixed", 6)
    pairs[2].image.write_bytes(b"not an image")
    problems: list[Warned] = []
    source = make(source=pairs, on_problem=problems.append)
    with Prefetcher(source.batch, 0, 20, 3) as batches:
        seen = list(batches)
    assert [problem.path for problem in problems] == [pairs[2].image]
    assert 2 not in {number for batch in seen for number in source_numbers(batch)}
    other = make(source=pairs, on_problem=problems.append)
    assert equal(other.batch(11), seen[11])  # the replacement does not depend on what was read before


def test_a_label_of_another_size_is_a_bad_pair(make, tmp_path):
    pairs = write_pairs(tmp_path / "sizes", 3)
    cv2.imwrite(str(pairs[1].label), np.zeros((20, 25), np.uint8))
    problems: list[Warned] = []
    source = make(source=pairs, on_problem=problems.append)
    numbers = {n for t in range(6) for n in source_numbers(source.batch(t))}
    assert numbers == {0, 2}
    assert len(problems) == 1
    assert "25 × 20" in problems[0].message
    assert "50 × 40" in problems[0].message


def test_only_bad_images_end_the_run_with_a_sentence(make, tmp_path):
    pairs = write_pairs(tmp_path / "bad", 3, labelled=False)
    for pair in pairs:
        pair.image.write_bytes(b"")
    problems: list[Warned] = []
    source = make(target=pairs, on_problem=problems.append)
    with pytest.raises(RunError, match="None of the 3 target images can be used"):
        source.batch(0)
    assert len(problems) == 3


def test_a_deleted_image_does_not_end_the_run(make, tmp_path):
    pairs = write_pairs(tmp_path / "deleted", 3)
    pairs[0].image.unlink()
    problems: list[Warned] = []
    source = make(source=pairs, on_problem=problems.append)
    assert {n for t in range(6) for n in source_numbers(source.batch(t))} == {1, 2}
    assert len(problems) == 1


def test_source_only_steps_read_no_target(make, tmp_path):
    missing = [Pair(tmp_path / "nowhere.png", None, "nowhere")]
    batch = make(target=missing).batch(0, with_target=False)
    assert batch.target_image.shape == (0, 3, 32, 32)
    assert batch.target_valid.shape == (0, 32, 32)
    assert equal(batch, make(target=[]).batch(0))


def test_the_target_does_not_change_the_source(make):
    a, b = make().batch(5), make(target=make.target[:2]).batch(5)
    assert torch.equal(a.source_image, b.source_image)


def test_an_empty_or_unlabelled_source_is_refused(make):
    with pytest.raises(RunError, match="no labelled source image"):
        make(source=[])
    with pytest.raises(RunError, match="has no label"):
        make(source=make.target)


def test_generators_differ_by_seed_step_and_purpose():
    def first(seed: int, t: int, purpose: str) -> float:
        return generator(seed, t, purpose).random()

    keys = [(0, 0, "mask"), (1, 0, "mask"), (0, 1, "mask"), (0, 0, "crop")]
    assert len({first(*key) for key in keys}) == 4
    assert first(3, 5, "mask") == first(3, 5, "mask")
    assert first(0, 0, "mask") == 0.8084674002999717  # on every machine, in every process


def test_prefetcher_raises_where_the_item_is_asked_for_and_joins_its_threads():
    def produce(number: int) -> int:
        if number == 2:
            raise OSError("disk gone")
        return number

    with Prefetcher(produce, 0, 5, 2) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(OSError, match="disk gone"):
            next(items)
    assert not threads_named("prefetch")


def test_prefetcher_closed_early_ends_and_joins():
    with Prefetcher(lambda number: number, 0, 10**9, 3) as items:
        assert next(items) == 0
    assert not threads_named("prefetch")
    assert list(items) == []


def threads_named(prefix: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]
