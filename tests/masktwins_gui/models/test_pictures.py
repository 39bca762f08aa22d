import numpy as np
import pytest
from PIL import Image

from core.configuration.sections import DataConfig, MaskConfig
from core.dataset.folders import Pair, scan
from core.dataset.reading import ReadError
from core.loading.cropping import cut
from core.method.masks import draw_keep_masks
from core.render import masked_picture
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.images import THUMBNAIL
from masktwins_gui.models.pictures import centre_crop, draw_twins, thumbnail


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)


def test_the_twins_are_those_of_the_training_code(image):
    mask = MaskConfig(block_size=8)
    twins = draw_twins(image, mask, (32, 32), seed=5)
    keep_a, keep_b = (k[0, 0] for k in draw_keep_masks(mask, 1, 32, 32, np.random.default_rng(5)))
    crop = image[8:40, 24:56]
    assert np.array_equal(twins.original, crop)
    assert np.array_equal(twins.views[0], masked_picture(crop, keep_a))
    assert np.array_equal(twins.views[1], masked_picture(crop, keep_b))
    assert np.array_equal(twins.together, crop)
    assert (twins.once, twins.both, twins.never) == (1.0, 0.0, 0.0)
    assert twins.hidden == pytest.approx((1 - keep_a.mean(), 1 - keep_b.mean()))


def test_random_masks_show_some_pixels_twice_and_some_never(image):
    twins = draw_twins(image, MaskConfig(strategy="random", block_size=4), (48, 80), seed=1)
    assert twins.both > 0.1
    assert twins.never > 0.1
    assert twins.once + twins.both + twins.never == pytest.approx(1)


def test_one_mask_and_none(image):
    single = draw_twins(image, MaskConfig(strategy="single", block_size=8), (32, 32), seed=1)
    assert len(single.views) == 1
    assert single.together is None
    off = draw_twins(image, MaskConfig(strategy="off"), (32, 32), seed=1)
    assert off.views == off.hidden == ()
    assert off.together is None


def test_several_views_are_a_partition(image):
    mask = MaskConfig(views=5, block_fraction=0.125)
    twins = draw_twins(image, mask, (32, 48), seed=3)
    assert len(twins.views) == len(twins.hidden) == 5
    assert twins.block == 4  # an eighth of the shorter side
    assert twins.once == 1.0
    assert sum(1 - hidden for hidden in twins.hidden) == pytest.approx(1)
    assert np.array_equal(twins.together, twins.original)


def test_an_image_smaller_than_the_crop_is_enlarged_as_in_training(image):
    crop = centre_crop(image, (96, 96))
    draws = np.array([0.0, 0.5, 0.5, 1.0])  # the smallest scale, the middle, not mirrored
    trained = cut(image, np.zeros((48, 80), np.uint8), (96, 96), DataConfig(flip=False), draws)
    assert crop.shape == (96, 96, 3)
    assert np.array_equal(crop, trained.image)  # the image must be doubled, whatever the scale drawn
    assert np.array_equal(centre_crop(image, (48, 80)), image)


def test_thumbnails_show_the_labels(small_data, qapp):
    holdings = take_stock(small_data.data)
    pair = holdings.pairs["source"][0]
    plain, labelled = thumbnail(pair, holdings.space, 0.0), thumbnail(pair, holdings.space, 1.0)
    assert plain.width() <= THUMBNAIL.width()
    assert plain.size() == labelled.size()
    assert plain != labelled


def test_a_thumbnail_of_a_damaged_image_raises_what_the_job_reports(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ReadError):
        thumbnail(scan(tmp_path).pairs[0], None, 0.0)


def test_stock_is_taken_without_raising(small_data, tmp_path, qapp):
    holdings = take_stock(small_data.data)
    assert {role: len(pairs) for role, pairs in holdings.pairs.items()} == {"source": 6, "target": 6, "evaluation": 3}
    assert holdings.space is not None
    dataset = DatasetModel()
    dataset.set_holdings(holdings)
    assert dataset.complete
    assert dataset.to_look_at == holdings.pairs["evaluation"]
    gone = take_stock(small_data.data.model_copy(update={"source_images": tmp_path / "gone"}))
    assert any("gone" in problem.message for problem in gone.problems)
    dataset.set_holdings(gone)
    assert not dataset.complete


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (30, 400), (400, 30)])
def test_every_thumbnail_has_one_size_and_shows_the_whole_image(tmp_path, size):
    Image.fromarray(np.full((*size, 3), 200, np.uint8)).save(tmp_path / "a.png")
    made = thumbnail(Pair(tmp_path / "a.png", None, "a"), None, 0.0)
    assert made.size() == THUMBNAIL
    rows = [y for y in range(made.height()) if any(made.pixelColor(x, y).alpha() for x in range(made.width()))]
    columns = [x for x in range(made.width()) if any(made.pixelColor(x, y).alpha() for y in range(made.height()))]
    assert len(columns) / len(rows) == pytest.approx(size[1] / size[0], rel=0.15)
