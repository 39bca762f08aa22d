import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.configuration.sections import DataConfig
from core.configuration.training import TrainingConfig
from core.dataset.folders import Pair
from core.errors import RunError
from core.events import Warned
from core.labels import DEFAULT_PALETTE, IGNORE, LabelSpace
from core.loading import sampling
from core.loading.counting import class_counts
from core.loading.prefetch import Prefetcher
from core.loading.random import generator
from core.loading.sampling import Batch, BatchSource, share

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
        counts: np.ndarray | None = None,
        pinned: bool = False,
        **training: int,
    ) -> BatchSource:
        settings = TrainingConfig(**{"batch_size": 2, "crop_size": 32, **training})
        return BatchSource(source, target, SPACE, data or DataConfig(), settings, on_problem, counts, pinned=pinned)

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
    with Prefetcher(make().batch, range(3, 15), threads) as batches:
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
    with Prefetcher(source.batch, range(20), 3) as batches:
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


def test_an_image_that_is_away_for_a_moment_is_seen_again(make, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "TRY_AGAIN_S", 0.0)
    pairs = write_pairs(tmp_path / "drive", 3)
    problems: list[Warned] = []
    source = make(source=pairs, on_problem=problems.append)
    pairs[0].image.rename(tmp_path / "away.png")
    assert {n for t in range(6) for n in source_numbers(source.batch(t))} == {1, 2}
    (tmp_path / "away.png").rename(pairs[0].image)
    assert {n for t in range(6) for n in source_numbers(source.batch(t))} == {0, 1, 2}
    assert len(problems) == 1
    assert equal(source.batch(3), make(source=pairs).batch(3))  # the batches are those of a run that never missed it


def test_images_that_are_all_away_are_waited_for(make, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "TRY_AGAIN_S", 0.05)
    drive, away = tmp_path / "drive", tmp_path / "away"
    source = make(source=write_pairs(drive, 3), on_problem=lambda warned: None)
    drive.rename(away)
    back = threading.Timer(0.3, lambda: away.rename(drive))
    back.start()
    assert source.batch(0).source_image.shape[0] == 2
    back.join()


def test_images_that_stay_away_end_the_run_with_a_sentence(make, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(sampling, "PATIENCE_S", 0.2)
    source = make(source=[Pair(tmp_path / "a.png", tmp_path / "b.png", "a")], on_problem=lambda warned: None)
    with pytest.raises(RunError, match=r"None of the 1 source images can be used.*cannot be opened"):
        source.batch(0)


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

    with Prefetcher(produce, range(5), 2) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(OSError, match="disk gone"):
            next(items)
    assert not threads_named("prefetch")


def test_prefetcher_closed_early_ends_and_joins():
    with Prefetcher(lambda number: number, range(10**9), 3) as items:
        assert next(items) == 0
    assert not threads_named("prefetch")
    assert list(items) == []


def threads_named(prefix: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]


# Margins, sizes and shares ------------------------------------------------------------------------


def test_margins_of_the_target_image_are_not_valid(make):
    margins = {"target_margin_top": 0.1, "target_margin_bottom": 0.3}
    whole = make(data=DataConfig(scale_min=1, scale_max=1, flip=False, **margins), crop_size=(40, 50)).batch(0)
    assert not whole.target_valid[:, :4].any()  # 0.1 of 40 rows
    assert whole.target_valid[:, 4:28].all()
    assert not whole.target_valid[:, 28:].any()  # 0.3 of 40 rows
    assert (whole.source_label != IGNORE).all()  # the source's labels know no margin


def test_margins_go_with_the_image_through_scale_and_crop(make, tmp_path):
    target = []
    for number in range(5):  # the red value is the row
        path = tmp_path / f"ramp{number}.png"
        rows = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[:, None], 80, axis=1)
        assert cv2.imwrite(str(path), np.dstack([rows * 0, rows * 0, rows]))
        target.append(Pair(path, None, path.stem))
    data = DataConfig(target_margin_top=0.2, target_margin_bottom=0.25)  # rows 0 to 19 and 75 to 99 of 100
    source = make(target=target, data=data)
    for t in range(20):
        batch = source.batch(t)
        row = batch.target_image[:, 0].float() / 2
        assert batch.target_valid[(row > 22) & (row < 72)].all()
        assert not batch.target_valid[(row < 17) | (row > 77)].any()


def test_without_margins_all_of_the_target_is_valid(make):
    assert make().batch(3).target_valid.all()


def test_the_target_has_a_batch_size_of_its_own(make):
    batch = make(batch_size=3, target_batch_size=1).batch(0)
    assert (len(batch.source_image), len(batch.target_image), len(batch.target_valid)) == (3, 1, 1)
    source = make(batch_size=3, target_batch_size=1)
    targets = Counter(int(source.batch(t).target_image[0, 0, 0, 0]) for t in range(10))
    assert targets == dict.fromkeys(range(5), 2)  # its epochs go on by one image a step
    assert torch.equal(batch.source_image, make(batch_size=3).batch(0).source_image)


@pytest.mark.parametrize(
    ("num", "world", "sizes"), [(4, 2, [2, 2]), (5, 2, [3, 2]), (7, 3, [3, 2, 2]), (1, 3, [1, 0, 0])]
)
def test_a_share_is_as_equal_as_possible(num, world, sizes):
    shares = [share(num, rank, world) for rank in range(world)]
    assert [len(part) for part in shares] == sizes
    assert [j for part in shares for j in part] == list(range(num))


@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_the_shares_of_all_ranks_are_the_batch(make, world, rare):
    data = DataConfig(rare_class_sampling=rare)
    source = make(batch_size=5, target_batch_size=3, data=data, counts=class_counts(make.source, SPACE))
    for t in (0, 7):
        parts = [source.batch(t, shard=(rank, world)) for rank in range(world)]
        joined = Batch(*(torch.cat(tensors) for tensors in zip(*(vars(part).values() for part in parts), strict=True)))
        assert equal(joined, source.batch(t))


def test_a_rank_reads_only_its_own_images(make, monkeypatch):
    read = []
    monkeypatch.setattr(
        "core.loading.sampling.read_image", lambda path: read.append(path) or np.zeros((40, 50, 3), np.uint8)
    )
    make(batch_size=5, target_batch_size=2).batch(0, shard=(1, 2))
    assert len(read) == 2 + 1


# Rare classes -------------------------------------------------------------------------------------


def write_streets(folder: Path, num: int = 12) -> list[Pair]:
    """Class 0 everywhere, class 1 in a box of every fourth image; the red value is the number."""
    folder.mkdir(parents=True)
    pairs = []
    for number in range(num):
        label = np.zeros((60, 120), np.uint8)
        if number % 4 == 0:
            label[20:40, 80:110] = 1
        image, path = folder / f"{number}.png", folder / f"{number}_label.png"
        assert cv2.imwrite(str(image), np.full((60, 120, 3), number, np.uint8))
        assert cv2.imwrite(str(path), label)
        pairs.append(Pair(image, path, str(number)))
    return pairs


@pytest.fixture
def streets(make, tmp_path):
    """A maker of batch sources of streets that sample rare classes."""
    pairs = write_streets(tmp_path / "streets")

    def make_streets(**changes) -> BatchSource:
        data = DataConfig(rare_class_sampling=True, **changes.pop("data", {}))
        return make(source=pairs, data=data, counts=class_counts(pairs, SPACE), **changes)

    make_streets.pairs = pairs
    return make_streets


def test_a_rare_class_is_seen_as_often_as_its_probability_says(streets):
    with_class, num = 0, 0
    for t in range(150):
        labels = streets(data={"rare_class_temperature": 0.5}).batch(t, with_target=False).source_label
        with_class += int((labels == 1).flatten(1).any(1).sum())
        num += len(labels)
    # f_1 = 3 · 600 / (12 · 7200) = 1/48; P(1) = 1 / (1 + exp(-(f_0 - f_1) / T)) = 0.871. Class 0 shows class 1 now and then.
    assert 0.82 < with_class / num < 0.98


def test_the_rarest_class_is_almost_always_drawn_with_daformers_temperature(streets):
    source = streets()
    batches = [source.batch(t, with_target=False) for t in range(40)]
    assert {number % 4 for batch in batches for number in source_numbers(batch)} == {0}
    # A uniform crop of 32 × 32 (0.75 to 1.5 times) misses the small box more often than not; a redrawn one does not.
    assert np.mean([bool((label == 1).any()) for batch in batches for label in batch.source_label]) > 0.95


def test_rare_class_batches_are_a_pure_function_of_seed_and_number(streets):
    assert equal(streets().batch(5), streets().batch(5))
    assert not equal(streets().batch(5), streets(seed=1).batch(5))
    expected = [streets().batch(t) for t in range(6)]
    with Prefetcher(streets().batch, range(6), 3) as batches:
        assert all(equal(a, b) for a, b in zip(batches, expected, strict=True))


def test_a_bad_image_is_replaced_by_one_of_the_same_class(streets):
    source = streets(on_problem=(problems := []).append)
    streets.pairs[4].image.write_bytes(b"not an image")
    numbers = {number for t in range(30) for number in source_numbers(source.batch(t, with_target=False))}
    assert numbers == {0, 8}
    assert [problem.path for problem in problems] == [streets.pairs[4].image]


def test_the_target_does_not_change_with_rare_classes(streets, make):
    assert torch.equal(streets().batch(3).target_image, make().batch(3).target_image)


@pytest.mark.parametrize("counts", [None, np.ones((3, 6), np.uint32)])
def test_rare_classes_without_their_counts_are_refused(make, counts):
    with pytest.raises(RunError, match="all 7 source labels"):
        make(data=DataConfig(rare_class_sampling=True), counts=counts)


def test_rare_classes_without_a_labelled_pixel_are_refused(make):
    with pytest.raises(RunError, match="rare_class_sampling"):
        make(data=DataConfig(rare_class_sampling=True), counts=np.zeros((7, 6), np.uint32))


def test_a_batch_for_a_card_is_made_in_page_locked_memory_and_copied_no_further(make, monkeypatch):
    made, empty = [], torch.empty

    def locked(shape, *, dtype, pin_memory):  # this machine may have no card: only the wish is recorded
        assert pin_memory
        made.append(empty(shape, dtype=dtype))
        return made[-1]

    expected = make().batch(3)
    source = make(pinned=True)
    monkeypatch.setattr(sampling.torch, "empty", locked)
    batch = source.batch(3)
    assert equal(batch, expected)
    assert {id(tensor) for tensor in made} == {id(tensor) for tensor in vars(batch).values()}
