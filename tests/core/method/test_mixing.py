import numpy as np
import torch

from core.labels import IGNORE
from core.method.mixing import draw_classes, draw_classes_of_batch, mix, paste_mask
from tests.core.golden_units import chosen_table


def test_golden_classmix(golden):
    for i in range(2):
        label = torch.from_numpy(golden["cm_labels"][i])
        mask = paste_mask(label, chosen_table(golden[f"cm_chosen_{i}"]))
        np.testing.assert_array_equal(mask.numpy(), golden["cm_masks"][i, 0].astype(bool))
        image = mix(
            mask, torch.from_numpy(golden["cm_img"][i : i + 1]), torch.from_numpy(golden["cm_tgt_img"][i : i + 1])
        )
        np.testing.assert_array_equal(image.numpy(), golden[f"cm_mixed_img_{i}"])
        mixed_label = mix(mask, label, torch.from_numpy(golden["cm_plabel"][i : i + 1]))
        np.testing.assert_array_equal(mixed_label.numpy(), golden[f"cm_mixed_lbl_{i}"][0])
        q = torch.from_numpy(golden["cm_pweight"][i : i + 1])
        np.testing.assert_array_equal(mix(mask, torch.ones_like(q), q).numpy(), golden[f"cm_mixed_w_{i}"][0])


def test_golden_released_draw(golden):
    """np.random.seed(4), then a choice per image from the sorted values of the whole batch, 255 among them."""

    class Recorded:
        def __init__(self):
            self.state = np.random.RandomState(4)

        def choice(self, values, size, replace):
            return values[self.state.choice(len(values), size, replace=replace)]

    table = draw_classes_of_batch(golden["cm_labels"][:, 0].astype(np.uint8), Recorded())
    for i in range(2):
        assert set(np.flatnonzero(table[i])) == set(golden[f"cm_chosen_{i}"])


def test_half_of_an_images_own_classes_rounded_up_never_ignore():
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, :4] = 3
    labels[0, 4:6] = 5  # three classes: 0, 3, 5
    labels[1, :] = 7
    labels[1, 0] = IGNORE  # one class and ignored pixels
    for seed in range(20):
        chosen = draw_classes(labels, np.random.default_rng(seed))
        assert chosen[0].sum() == 2
        assert set(np.flatnonzero(chosen[0])) <= {0, 3, 5}
        assert list(np.flatnonzero(chosen[1])) == [7]


def test_an_image_of_ignored_pixels_pastes_nothing():
    labels = np.full((1, 4, 4), IGNORE, np.uint8)
    assert not draw_classes(labels, np.random.default_rng(0)).any()


def test_mix_takes_source_under_the_mask():
    mask = torch.tensor([[[True, False]]])
    image = mix(mask, torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2))
    assert image[0, :, 0, 0].tolist() == [1, 1, 1]
    assert image[0, :, 0, 1].tolist() == [0, 0, 0]
