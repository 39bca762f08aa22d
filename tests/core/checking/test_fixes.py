import shutil

import numpy as np
import pytest
from PIL import Image

from core.checking.check import check
from core.checking.fixes import find_fixes
from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.sections import DataConfig
from core.dataset.listing import labels_of, scan_roles
from core.demo.data import make_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("demo"), source=6, target=6, evaluation=3, size=(64, 96))


def fixes(data, crop=(64, 64)):
    report = check(data, crop)
    pairs = {"target" if role == "evaluation" else role: found.pairs for role, found in scan_roles(data).items()}
    images = {camera: [pair.image for pair in found] for camera, found in pairs.items()}
    labels = {camera: labels_of(found) for camera, found in pairs.items()}
    return report, find_fixes(report.problems, data, images, labels)


def solved(data, fix, crop=(64, 64)):
    config = settings.with_changes(RunConfig(data=data), fix.changes)
    report = check(config.data, config.training.crop_hw if "training.crop_size" in fix.changes else crop)
    return {(p.code, p.details.get("role")) for p in report.problems}


def test_good_data_need_no_fix(demo):
    assert fixes(demo)[1] == ()


@pytest.mark.parametrize("label_space", ["auto", "stated"])
def test_exchanged_folders_are_exchanged_back(demo, label_space):
    """Photographs as labels: recognised as such, or full of values that a stated label space does not know."""
    stated = demo.label_space if label_space == "stated" else "auto"
    data = demo.model_copy(
        update={"source_images": demo.source_labels, "source_labels": demo.source_images, "label_space": stated}
    )
    report, found = fixes(data)
    assert not report.ok
    (fix,) = {tuple(sorted(f.changes.items())): f for f in found}.values()
    assert fix.changes == {"data.source_images": demo.source_images, "data.source_labels": demo.source_labels}
    assert solved(data, fix) == set()


def test_a_label_space_that_does_not_fit_is_recognised_instead(demo):
    data = demo.model_copy(update={"label_space": "binary"})
    report, found = fixes(data)
    assert not report.ok
    assert {tuple(fix.changes.items()) for fix in found} == {(("data.label_space", "auto"),)}
    assert solved(data, found[0]) == set()


def test_large_crops_become_small_ones(demo):
    _, found = fixes(demo, (512, 512))
    assert found[0].changes["training.crop_size"] == 64
    assert ("image_smaller_than_crop", "source_images") not in solved(demo, found[0])


def test_photographs_in_both_folders_have_no_certain_fix(demo, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(demo.source_images, photos)
    data = demo.model_copy(update={"source_labels": photos})
    report, found = fixes(data)
    assert not report.ok
    assert found == ()


def test_values_that_nobody_knows_have_no_certain_fix(demo, tmp_path):
    labels = tmp_path / "labels"
    shutil.copytree(demo.source_labels, labels)
    for path in labels.iterdir():
        Image.fromarray(np.random.default_rng(0).integers(180, 240, (64, 96), np.uint8)).save(path)
    data = DataConfig(**{**dict(demo), "source_labels": labels, "label_space": "camvid11"})
    assert all("label_space" not in str(fix.changes) or solved(data, fix) == set() for fix in fixes(data)[1])
