import numpy as np
import pytest
import torch

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.loading.random import generator
from core.loading.sampling import Batch
from core.method.draws import Share, draw
from core.networks.prediction import draw_box


def batch(count, first=0, total=4):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, (total, 32, 64)).astype(np.uint8)[first : first + count]
    image = torch.zeros(count, 3, 32, 64, dtype=torch.uint8)
    return Batch(image, torch.from_numpy(label), image, torch.ones(count, 32, 64, dtype=torch.bool))


def rng(purpose):
    return generator(0, 7, purpose)


def config(**changes):
    base = {"mask.block_size": 8, "mask.domain": "both", "augment.jitter_probability": 1.0}
    return with_changes(RunConfig(), {**base, **{k.replace("__", "."): v for k, v in changes.items()}})


def test_shares_of_processes_are_parts_of_the_whole_draw():
    whole = draw(config(), batch(4), rng)
    for rank in range(2):
        part = draw(config(), batch(2, first=2 * rank), rng, share=Share(rank, 2))
        mine = slice(2 * rank, 2 * rank + 2)
        np.testing.assert_array_equal(part.pasted_classes, whole.pasted_classes[mine])
        for name in ("target_masks", "source_masks"):
            for of_part, of_whole in zip(getattr(part, name), getattr(whole, name), strict=True):
                np.testing.assert_array_equal(of_part, of_whole[mine])
        np.testing.assert_array_equal(part.mixed.colour.hue, whole.mixed.colour.hue[mine])
        assert part.mixed.colour.order == whole.mixed.colour.order
        assert part.target.sigma == whole.target.sigma


def test_sub_crops_lie_inside_on_the_grid_and_reach_the_last_position_only_if_wanted():
    found = [draw_box(64, 96, 8, np.random.default_rng(seed)) for seed in range(300)]
    assert {box.y1 for box in found} == {0, 8, 16, 24, 32}
    assert {box.x1 for box in found} == {0, 8, 16, 24, 32, 40, 48}
    assert all((b.y2 - b.y1, b.x2 - b.x1) == (32, 48) for b in found)
    released = [draw_box(64, 96, 8, np.random.default_rng(seed), last_position=False) for seed in range(300)]
    assert max(box.y1 for box in released) == 24
    assert max(box.x1 for box in released) == 40


def test_a_crop_without_a_half_on_the_grid_is_refused():
    with pytest.raises(ValueError, match="40 × 64"):
        draw_box(40, 64, 8, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "count"), [("shared", 1), ("separate", 2)])
def test_twins_share_a_sub_crop_unless_told_otherwise(kind, count):
    changes = {"training__twin_sub_crops": kind, "training__twin_forward": "separate"}
    boxes = draw(config(**changes), batch(4), rng, detail_step=8).boxes
    assert len(boxes.twins) == count
    assert boxes.of_twin(1) == boxes.twins[-1]


def test_released_class_mix_draws_from_the_whole_batch():
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[1] = 9
    host = batch(2)
    host = Batch(host.source_image, torch.from_numpy(labels), host.target_image, host.target_valid)
    drawn = [
        draw(config(augment__class_mix_from=kind), host, lambda p, s=seed: generator(s, 0, p)).pasted_classes
        for kind in ("image", "batch")
        for seed in range(12)
    ]
    assert {tuple(np.flatnonzero(d[0])) for d in drawn[:12]} == {(0,)}
    assert {tuple(np.flatnonzero(d[0])) for d in drawn[12:]} == {(0,), (9,)}


def test_no_sub_crop_without_hrda():
    assert draw(config(), batch(4), rng).boxes is None
