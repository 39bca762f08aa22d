"""What the inference thread does, with a real but tiny network, called here directly."""

import json
import os
import shutil
import tomllib

import numpy as np
import pytest
import torch

from core.configuration import settings
from core.configuration.choices import Architecture
from core.configuration.sections import NetworkConfig
from core.dataset.folders import scan
from core.dataset.recognise import resolve_space
from core.events import Model
from core.networks.build import build
from core.networks.store import model_card, write_weights
from core.runs.folder import RunFolder
from masktwins_gui.models.services import (
    Classes,
    CompareRequest,
    ExportRequest,
    ImageFacts,
    ModelChoice,
    ModelKind,
    PredictFilesRequest,
    PredictRequest,
    Stage,
)
from masktwins_gui.workers import predicting
from masktwins_gui.workers.predicting import Models, compare_all, export, predict, predict_files


class Context:
    """Keeps what a task is told."""

    def __init__(self):
        self.news, self.reported = [], []

    def progress(self, done, total):
        self.reported.append((done, total))

    def cancelled(self):
        return False

    def tell(self, item):
        self.news.append(item)


def go_on():
    return False


@pytest.fixture(scope="module")
def space(small_data):
    pairs = scan(small_data.data.source_images, small_data.data.source_labels).pairs
    return resolve_space("auto", [pair.label for pair in pairs]).space


@pytest.fixture
def run(small_data, space, tmp_path):
    """A run with a source-only and one adapted checkpoint, untrained."""
    run = RunFolder(tmp_path / "runs" / "a-01")
    run.create(settings.with_changes(small_data, {"training.source_steps": 4}))
    torch.manual_seed(0)
    network = NetworkConfig(architecture=Architecture.UNET, encoder="tu-test_resnet", weights="none")
    for folder in (run.checkpoint_path(4, source=True), run.checkpoint_path(6)):
        folder.mkdir(parents=True)
        for name in ("student", "teacher"):
            segmenter = build(network, space.num_classes)
            write_weights(segmenter, folder / f"{name}.safetensors")
        (folder / "model.json").write_text(json.dumps(model_card(segmenter, space)))
        (folder / "state.json").write_text('{"step": 10}')
    return run


def choices_of(run):
    return ModelChoice(run.path, Model.SOURCE), ModelChoice(run.path, Model.TEACHER)


def request_of(run, data, **options):
    first, second = choices_of(run)
    pairs = scan(data.evaluation_images, data.target_labels).pairs
    labels = tuple(pair.label for pair in pairs)
    values = {
        "pairs": pairs, "first": first, "second": second, "classes": Classes(), "run": None, "label_space": "auto",
        "labels": labels,
    }  # fmt: skip
    return CompareRequest(**values | options)


def test_a_prediction_tells_its_stages_classes_and_device(run, space):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    task, models = Context(), Models()
    found = predict(PredictRequest(image, choices_of(run)[1]), models, task)
    assert found.ranked.classes.shape == (3, 48, 64)
    assert found.classes == Classes(tuple(space.classes), tuple(space.palette))
    assert found.place == "CPU"
    assert task.news == [Stage.MODEL, Stage.IMAGE]
    again = Context()
    predict(PredictRequest(image, choices_of(run)[1]), models, again)
    assert again.news == [Stage.IMAGE]  # the model was kept


def test_models_are_kept_while_a_run_writes_its_status(run):
    models, told = Models(), []
    choice = choices_of(run)[1]
    first = models.get(choice, told.append)
    run.write_status(state="running", step=11)
    assert models.get(choice, told.append) is first
    weights = run.checkpoint_path(6) / "teacher.safetensors"
    os.utime(weights, ns=(1, 1))
    assert models.get(choice, told.append) is not first
    newer = run.checkpoint_path(7)
    shutil.copytree(run.checkpoint_path(6), newer)
    assert models.get(choice, told.append).model.path.parent == newer


def test_few_models_are_kept(run):
    models = Models()
    for step in range(7, 13):
        shutil.copytree(run.checkpoint_path(6), run.checkpoint_path(step))
        models.get(ModelChoice(run.path, Model.TEACHER, str(step)), lambda stage: None)
    assert len(models._kept) == predicting.KEPT_MODELS


def test_a_run_is_looked_at_on_its_own_device(run, small_data):
    run.append_change(0, {"mask.ratio": 0.4})
    run.config_path.unlink()
    run.config_path.write_text(settings.dumps(settings.with_changes(small_data, {"training.device": "cuda:9"})))
    place = Models().get(choices_of(run)[1], lambda stage: None).viewer.place
    assert place.device == "cpu"
    assert "cuda:9 is unavailable" in place.note


def test_starting_weights_are_a_model(run, small_data):
    weights = run.checkpoint_path(4, source=True) / "student.safetensors"
    run.config_path.unlink()
    run.config_path.write_text(settings.dumps(settings.with_changes(small_data, {"network.weights": str(weights)})))
    choice = ModelChoice(run.path, Model.TEACHER, kind=ModelKind.STARTING)
    assert Models().get(choice, lambda stage: None).model.path == weights


def test_comparing_tells_the_classes_and_each_images_facts(run, small_data, space):
    task = Context()
    result = compare_all(request_of(run, small_data.data), Models(), task, go_on)
    assert task.news[:3] == [Stage.MODEL, Stage.MODEL, Classes(tuple(space.classes), tuple(space.palette))]
    facts = task.news[3:]
    assert [type(fact) for fact in facts] == [ImageFacts] * 3
    assert all(fact.comparison.gain is not None and 0 < fact.brightness < 1 for fact in facts)
    assert task.reported[-1] == (3, 3)
    assert (result.place, result.left_out) == ("CPU", ())


def test_comparing_stops_between_images_and_reports_unreadable_ones(run, small_data, tmp_path):
    task, answers = Context(), iter([False, True])
    compare_all(request_of(run, small_data.data), Models(), task, lambda: next(answers))
    assert sum(isinstance(item, ImageFacts) for item in task.news) == 1
    images = tmp_path / "images"
    shutil.copytree(small_data.data.evaluation_images, images)
    broken = sorted(images.iterdir())[0]
    broken.write_bytes(b"no image")
    result = compare_all(
        request_of(run, small_data.data, pairs=scan(images).pairs, labels=()), Models(), Context(), go_on
    )
    assert len(result.left_out) == 1
    assert broken.name in result.left_out[0]


def test_models_of_other_classes_are_refused(run, small_data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    segmenter = build(NetworkConfig(architecture=Architecture.UNET, encoder="tu-test_resnet", weights="none"), 2)
    write_weights(segmenter, other / "model.safetensors")
    card = model_card(segmenter, resolve_space("auto", request_of(run, small_data.data).labels).space)
    card |= {"classes": ["a", "b"], "palette": [[1, 1, 1], [2, 2, 2]]}
    (other / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="trained on the same classes"):
        compare_all(request_of(run, small_data.data, second=ModelChoice(other)), Models(), Context(), go_on)


def test_a_folder_of_pictures_is_compared(run, small_data, space, tmp_path):
    _, teacher = choices_of(run)
    written = predict_files(
        PredictFilesRequest(teacher, small_data.data.evaluation_images, tmp_path / "out", "ids"),
        Models(),
        Context(),
        go_on,
    )
    assert (written.written, written.kept, written.left_out) == (3, 0, ())
    task = Context()
    pictures = ModelChoice(tmp_path / "out", kind=ModelKind.PICTURES)
    compare_all(request_of(run, small_data.data, first=teacher, second=pictures), Models(), task, go_on)
    assert [item.comparison.change for item in task.news if isinstance(item, ImageFacts)] == [0, 0, 0]


def test_writing_goes_on_where_it_was_cancelled(run, small_data, tmp_path):
    answers = iter([False, True])
    request = PredictFilesRequest(choices_of(run)[1], small_data.data.evaluation_images, tmp_path / "out", "colours")
    assert predict_files(request, Models(), Context(), lambda: next(answers)).written == 1
    again = predict_files(request, Models(), Context(), go_on)
    assert (again.written, again.kept) == (2, 1)


def test_a_bundle_holds_the_runs_settings_at_its_step_and_its_scores(run, small_data, tmp_path):
    """Not those of the project, which may have changed since."""
    run.append_change(8, {"training.learning_rate": 0.125})
    run.append_change(99, {"training.learning_rate": 0.5})
    run.metrics_path.write_text("step,teacher_miou\n10,43.21\n", encoding="utf-8")
    images = tuple(sorted(small_data.data.target_images.iterdir()))
    request = ExportRequest(choices_of(run)[1], tmp_path / "bundle", ("safetensors",), images)
    result = export(request, Context(), go_on)
    assert tomllib.loads((tmp_path / "bundle" / "run.toml").read_text())["training"]["learning_rate"] == 0.125
    assert "mean IoU 43.2 %" in (tmp_path / "bundle" / "card.html").read_text(encoding="utf-8")
    compared_on = {sample.split(" ")[0] for sample in result.rows[0].samples}
    assert {images[0].name, images[-1].name} <= compared_on  # spread evenly, not the first ones
    assert len(result.licences) == 2
