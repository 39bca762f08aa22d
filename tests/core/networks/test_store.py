import json

import pytest
import torch

from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.sections import NetworkConfig
from core.events import Model
from core.labels import LabelSpace
from core.networks.build import build
from core.networks.segmenter import Segmenter
from core.networks.store import StoreError, load_model, load_weights, model_card, read_card, read_weights, write_weights
from core.runs.folder import RunFolder
from tests.core.networks.small import save_model

SPACE = LabelSpace("höfe", ("Straße", "<sky>"), ((1, 2, 3), (250, 0, 9)))


def network(seed=0):
    torch.manual_seed(seed)
    return build(NetworkConfig(encoder="tu-test_resnet", weights="none"), 2)


@pytest.fixture(scope="module")
def networks():
    return [network(seed) for seed in range(4)]


def assert_holds(path, expected):
    stored, own = read_weights(path), expected.state_dict()
    assert stored.keys() == own.keys()
    assert all(torch.equal(stored[name], own[name]) for name in own)


@pytest.fixture
def run(tmp_path, networks):
    """A run with a source-only checkpoint and two of the adaptation; network i is the teacher of step i."""
    run = RunFolder(tmp_path / "läufe" / "one")
    run.create(settings.with_changes(RunConfig(), {"training.source_steps": 300}))
    for path, names in (
        (run.checkpoint_path(300, source=True), {"student": networks[3]}),
        (run.checkpoint_path(1), {"student": networks[0], "teacher": networks[1]}),
        (run.checkpoint_path(2), {"student": networks[0], "teacher": networks[2]}),
    ):
        for name, module in names.items():
            save_model(path, module, SPACE, name)
        (path / "state.json").write_text("{}")
    return run


def test_a_model_comes_back_as_it_was(tmp_path, networks):
    save_model(tmp_path / "ein modell", networks[0], SPACE)
    loaded = load_model(tmp_path / "ein modell")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.segmenter(image), networks[0].eval()(image))
    assert not loaded.segmenter.training
    assert loaded.classes == SPACE.classes
    assert loaded.palette == SPACE.palette
    assert loaded.description == networks[0].description
    assert loaded.segmenter.normalisation == networks[0].normalisation


@pytest.mark.parametrize(
    ("architecture", "encoder", "hrda"),
    [("dpt", "tu-test_vit", False), ("linear", "tu-test_vit", True), ("daformer", "tu-test_convnext", False)],
)
def test_every_kind_of_network_comes_back(tmp_path, architecture, encoder, hrda):
    torch.manual_seed(0)
    config = NetworkConfig(architecture=architecture, encoder=encoder, weights="none", hrda=hrda)
    segmenter = build(config, 2).eval()
    save_model(tmp_path, segmenter, SPACE)
    loaded = load_model(tmp_path)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded.segmenter(image), segmenter(image))
    assert loaded.description == segmenter.description
    assert loaded.description.hrda is hrda


def test_a_card_from_before_hrda_is_of_a_plain_network(tmp_path, networks):
    save_model(tmp_path, networks[0], SPACE)
    card = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    del card["hrda"]
    (tmp_path / "model.json").write_text(json.dumps(card), encoding="utf-8")
    assert read_card(tmp_path).description.hrda is False
    assert type(load_model(tmp_path).segmenter) is Segmenter


def test_the_card_is_plain_json(networks):
    card = json.loads(json.dumps(model_card(networks[0], SPACE)))
    assert {"format_version", "architecture", "encoder", "classes", "palette", "normalisation", "stride"} <= card.keys()
    assert "code_licence" in card
    assert "weights_licence" in card


def test_channels_last_weights_are_written_contiguous_and_keep_their_strides_on_loading(tmp_path):
    module = network(1).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    write_weights(module, tmp_path / "w.safetensors")
    assert all(tensor.is_contiguous() for tensor in read_weights(tmp_path / "w.safetensors").values())
    other = network(2).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    strides = {name: tensor.stride() for name, tensor in other.state_dict().items()}
    load_weights(other, tmp_path / "w.safetensors")
    assert {name: tensor.stride() for name, tensor in other.state_dict().items()} == strides
    assert_holds(tmp_path / "w.safetensors", other)


def test_shared_tensors_can_be_written(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    module[1].weight = module[0].weight
    write_weights(module, tmp_path / "w.safetensors")
    assert_holds(tmp_path / "w.safetensors", module)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize(
    ("which", "checkpoint", "index"),
    [
        (Model.TEACHER, "last", 2),
        (Model.STUDENT, "last", 0),
        (Model.TEACHER, "1", 1),
        (Model.TEACHER, "step-000001", 1),
        (Model.SOURCE, "last", 3),
        (Model.SOURCE, "1", 3),
        (Model.TEACHER, "source-000300", 3),
    ],
)
def test_the_model_asked_for_is_taken_from_a_run(run, networks, which, checkpoint, index):
    assert_holds(load_model(run.path, which, checkpoint).path, networks[index])


def test_the_best_checkpoint_is_the_one_in_the_status(run, networks):
    with pytest.raises(StoreError, match="no best checkpoint"):
        load_model(run.path, Model.TEACHER, "best")
    run.write_status(best_checkpoint="step-000001")
    assert_holds(load_model(run.path, Model.TEACHER, "best").path, networks[1])


def test_a_checkpoint_folder_and_a_file_in_it_are_models_too(run, networks):
    assert_holds(load_model(run.checkpoint_path(1)).path, networks[1])
    assert_holds(load_model(run.checkpoint_path(1) / "student.safetensors").path, networks[0])


@pytest.mark.parametrize("checkpoint", ["7", "nonsense", "-1", ""])
def test_an_unknown_checkpoint_lists_those_there_are(run, checkpoint):
    with pytest.raises(StoreError, match="step-000002"):
        load_model(run.path, Model.TEACHER, checkpoint)


def test_a_run_without_checkpoints_says_so(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(RunConfig())
    with pytest.raises(StoreError, match="no checkpoint yet"):
        load_model(run.path)
    with pytest.raises(StoreError, match="no source-only checkpoint"):
        load_model(run.path, Model.SOURCE)


def test_a_step_checkpoint_has_no_source_only_model(run):
    with pytest.raises(StoreError, match="source-only"):
        load_model(run.checkpoint_path(1), Model.SOURCE)


def test_a_missing_teacher_is_not_replaced_by_the_student(run):
    (run.checkpoint_path(2) / "teacher.safetensors").unlink()
    with pytest.raises(StoreError, match=r"teacher\.safetensors"):
        load_model(run.path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (cut, "model.safetensors"),
        (lambda path: path.write_bytes(b""), "model.safetensors"),
        (lambda path: path.write_text("{"), "model.json"),
        (lambda path: path.write_text("[]"), "model.json"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "model.json"),
        (lambda path: path.unlink(), "model.json"),
    ],
)
def test_damaged_files_are_named(tmp_path, networks, harm, name):
    save_model(tmp_path, networks[0], SPACE)
    harm(tmp_path / name)
    with pytest.raises(StoreError, match=name.replace(".", r"\.")):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", 2),
        ("architecture", "hrnet"),
        ("encoder", "nonsense"),
        ("palette", [[1, 2]]),
        ("classes", ["a"]),
        ("classes", None),
        ("normalisation", {"mean": [0.5], "std": [1, 1, 1]}),
    ],
)
def test_a_card_that_cannot_be_is_refused(tmp_path, networks, key, value):
    save_model(tmp_path, networks[0], SPACE)
    card = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    (tmp_path / "model.json").write_text(json.dumps(card | {key: value}), encoding="utf-8")
    with pytest.raises(StoreError, match=r"model\.json"):
        load_model(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path, networks):
    save_model(tmp_path, networks[0], SPACE)
    torch.manual_seed(0)
    other = build(NetworkConfig(encoder="tu-test_resnet", weights="none"), 3)
    write_weights(other, tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match=r"head\.classifier"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "nothing.safetensors"])
def test_a_missing_model_is_named(tmp_path, name):
    with pytest.raises(StoreError, match=name):
        load_model(tmp_path / name)


def test_writing_where_it_is_impossible_says_so(tmp_path, networks):
    with pytest.raises(StoreError, match="another folder"):
        write_weights(networks[0], tmp_path / "missing" / "w.safetensors")


def test_further_keys_of_a_card_are_passed_over(tmp_path, networks):
    save_model(tmp_path, networks[0], SPACE)
    card = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    (tmp_path / "model.json").write_text(json.dumps(card | {"later": 1}), encoding="utf-8")
    assert read_card(tmp_path).space.classes == SPACE.classes
