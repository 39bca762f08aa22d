import base64
import copy
import importlib.metadata
import io
import json
import os
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from core.configuration.choices import Architecture
from core.configuration.config import RunConfig
from core.configuration.sections import NetworkConfig
from core.dataset.reading import read_image
from core.evaluation.predictor import Predictor
from core.events import Scores
from core.export import bundle, parity, portable
from core.export.bundle import ExportError, ExportStoppedError, Format, export
from core.export.card import _CODE
from core.labels import LabelSpace
from core.networks.build import build
from core.networks.segmenter import Head, NetworkDescription, Segmenter, resize
from core.networks.store import load_model
from core.pixels import Normalisation
from tests.core.networks.small import save_model

SPACE = LabelSpace("test", ("Straße", "<b>sky</b>", "pole"), ((10, 20, 30), (200, 100, 0), (0, 0, 255)))
SIZES = [(1, 97, 131), (3, 64, 96), (1, 200, 70), (1, 12, 40)]  # batch, height, width


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    segmenter = build(NetworkConfig(architecture=Architecture.UNET, encoder="tu-test_resnet", weights="none"), 3)
    with torch.no_grad():
        segmenter.head.classifier.weight.mul_(20)  # classes that differ clearly, as after training
    save_model(folder, segmenter, SPACE)
    return load_model(folder)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bilder")
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (60, 80 + index, 3), np.uint8)).save(folder / f"ä{index}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def made(model, images, tmp_path_factory):
    """A bundle with everything: made once, for it takes a while."""
    out = tmp_path_factory.mktemp("out") / "bündel"
    calls = []
    report = export(
        model,
        out,
        list(Format),
        images,
        progress=lambda *args: calls.append(args),
        config=RunConfig(),
        before=model,
        scores=Scores(61.25, 90.0, {"Straße": 70.0, "<b>sky</b>": 52.5, "pole": float("nan")}, ()),
    )
    return report, calls


def test_the_card_shows_images_before_and_after_without_other_files(made, images):
    html = (made[0].path / "card.html").read_text(encoding="utf-8")
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) == 9  # three images, each by itself, before and after
    sizes = {Image.open(io.BytesIO(base64.b64decode(content))).size for content in pictures}
    assert sizes == {(80, 60), (82, 60), (85, 60)}  # spread over the six images
    assert html.count("before adapting") == 6  # alternative text and title
    assert set(re.findall(r'src="(?!data:)', html)) == set()


def expected(model, images):
    with torch.no_grad():
        logits = model.segmenter(model.segmenter.normalisation.apply(torch.from_numpy(images)))
        return resize(logits, images.shape[2:]).numpy()


def test_the_bundle_holds_what_is_promised(made):
    report, calls = made
    assert {path.name for path in report.path.iterdir()} == set(report.files)
    assert set(report.files) == {
        "model.safetensors", "model.onnx", "model.pt2", "model.json", "parity.json", "run.toml", "card.html", "SHA256SUMS",
    }  # fmt: skip
    assert calls == [(i, 7) for i in range(1, 8)]
    assert [path.name for path in report.path.parent.iterdir()] == [report.path.name]


@pytest.mark.parametrize("size", SIZES)
def test_onnx_takes_any_size(made, model, size):
    session = onnxruntime.InferenceSession(made[0].path / "model.onnx", providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(1).random((size[0], 3, *size[1:]), np.float32)
    got = session.run(["logits"], {"image": batch})[0]
    np.testing.assert_allclose(got, expected(model, batch), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_pt2_takes_any_size(ran, model, size):
    batch = torch.rand(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = ran["pt2"]["model"](batch).numpy()
    np.testing.assert_allclose(got, expected(model, batch.numpy()), rtol=1e-4, atol=1e-5)


def test_onnx_names_its_input_output_and_classes(made):
    graph = onnx.load(made[0].path / "model.onnx", load_external_data=False)
    assert [value.name for value in graph.graph.input] == ["image"]
    assert [value.name for value in graph.graph.output] == ["logits"]
    metadata = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert tuple(metadata["classes"]) == SPACE.classes
    assert [tuple(colour) for colour in metadata["palette"]] == list(SPACE.palette)


def test_the_bundle_is_a_model_again(made, model, images):
    loaded = load_model(made[0].path)
    image = read_image(images[0])
    assert np.array_equal(Predictor(loaded.segmenter).predict(image), Predictor(model.segmenter).predict(image))
    assert loaded.space.classes == SPACE.classes


def test_parity_is_measured_on_real_images_at_several_sizes(made):
    content = json.loads((made[0].path / "parity.json").read_text(encoding="utf-8"))
    assert set(content["parity"]) == {"safetensors", "onnx", "pt2"}
    for figures in content["parity"].values():
        assert figures["equal_pixels"] >= 0.999
        assert figures["largest_difference"] < 1e-2
        assert "ä0.png at 131 × 97" in figures["samples"]
        assert "ä0.png at 80 × 60" in figures["samples"]
        assert len(figures["samples"]) == 7
    assert content["parity"]["safetensors"]["largest_difference"] == 0
    assert content["versions"]["torch"] == importlib.metadata.version("torch")


def test_configuration_and_versions_are_kept(made):
    stored = tomllib.loads((made[0].path / "run.toml").read_text(encoding="utf-8"))
    assert stored["mask"]["block_size"] == RunConfig().mask.block_size
    card = json.loads((made[0].path / "model.json").read_text(encoding="utf-8"))
    assert "torch" in card["versions"]


def test_the_card_names_everything_and_escapes_it(made):
    page = (made[0].path / "card.html").read_text(encoding="utf-8")
    for text in (
        "Straße",
        "&lt;b&gt;sky",
        "rgb(200, 100, 0)",
        "Apache-2.0",
        "61.2 %",
        "52.5 %",
        "InferenceSession",
        "torch.export.load",
    ):
        assert text in page
    assert "<b>sky" not in page
    assert "<script" not in page


@pytest.fixture(scope="module")
def ran(made, images):
    """What the card's Python leaves by format, run in the bundle as a reader would."""
    before = Path.cwd()
    os.chdir(made[0].path)
    shutil.copyfile(images[0], "image.png")
    names = {form: {} for form in _CODE}
    try:
        for form, code in _CODE.items():
            exec(code, names[form])
    finally:
        os.chdir(before)
        (made[0].path / "image.png").unlink()
    return names


@pytest.mark.parametrize("form", Format)
def test_the_python_of_the_card_runs(ran, model, images, form):
    assert np.mean(ran[form]["classes"] == Predictor(model.segmenter).predict(read_image(images[0]))) > 0.999


# Without the slow formats ----------------------------------------------------------------------


def test_an_earlier_bundle_is_replaced_whole(model, images, tmp_path):
    out = tmp_path / "out"
    export(model, out, [Format.SAFETENSORS], images, config=RunConfig())
    report = export(model, out, [Format.SAFETENSORS], images)
    assert "run.toml" not in report.files
    assert {path.name for path in out.iterdir()} == set(report.files)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_a_place_and_one_with_other_files_is_not(model, images, tmp_path):
    (tmp_path / "empty").mkdir()
    export(model, tmp_path / "empty", [Format.SAFETENSORS], images)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="other files"):
        export(model, tmp_path / "full", [Format.SAFETENSORS], images)
    with pytest.raises(ExportError, match="is a file"):
        export(model, tmp_path / "full" / "thesis.txt", [Format.SAFETENSORS], images)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


def test_a_file_that_says_something_else_is_not_kept(model, images, tmp_path, monkeypatch):
    def wrong(path):
        loaded = load_model(path)
        with torch.no_grad():
            loaded.segmenter.head.classifier.weight.neg_()
        return loaded

    earlier = export(model, tmp_path / "out", [Format.SAFETENSORS], images)
    monkeypatch.setattr(bundle, "load_model", wrong)
    with pytest.raises(ExportError, match="another class"):
        export(model, tmp_path / "out", [Format.SAFETENSORS], images)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name for path in earlier.path.iterdir()} == set(earlier.files)


def test_a_thousandth_of_other_pixels_is_too_much():
    image = np.zeros((1, 3, 40, 50), np.float32)
    reference = np.zeros((1, 2, 40, 50), np.float32)
    reference[:, 0] = 1

    def candidate(num_wrong):
        logits = reference.copy()
        logits[0, 1].reshape(-1)[:num_wrong] = 2
        return lambda _image: logits

    samples = [parity.Sample("x", image)]
    result = parity.compare(lambda _image: reference, candidate(2), samples, "f")
    assert (result.equal_pixels, result.largest_difference) == (0.999, 2.0)
    with pytest.raises(ExportError, match=r"0\.15%"):
        parity.compare(lambda _image: reference, candidate(3), samples, "f")


def test_not_a_number_is_no_parity():
    sample = parity.Sample("x", np.zeros((1, 3, 4, 4), np.float32))
    zeros, broken = np.zeros((1, 2, 4, 4), np.float32), np.full((1, 2, 4, 4), np.nan, np.float32)
    with pytest.raises(ExportError, match="not kept"):
        parity.compare(lambda _image: zeros, lambda _image: broken, [sample], "f")


def test_large_images_are_reduced_and_unreadable_ones_passed_over(tmp_path):
    Image.fromarray(np.zeros((40, 3000, 3), np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    samples = parity.choose_samples([tmp_path / "broken.png", tmp_path / "wide.png"])
    assert [sample.image.shape for sample in samples] == [
        (1, 3, 14, 1024),
        (2, 3, 97, 131),
        (2, 3, 192, 160),
        (2, 3, 40, 210),
    ]
    with pytest.raises(ExportError, match=r"broken\.png"):
        parity.choose_samples([tmp_path / "broken.png"])


def test_without_images_a_generated_one_is_named_as_such():
    assert {sample.name for sample in parity.choose_samples([])} == {"generated"}


@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_stopped_export_leaves_nothing(model, images, tmp_path, stop_at):
    asked = iter(range(1, 10))
    with pytest.raises(ExportStoppedError):
        export(model, tmp_path / "out", [Format.SAFETENSORS], images, cancelled=lambda: next(asked) == stop_at)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_command(model, images, tmp_path, monkeypatch):
    found = portable.importlib.util.find_spec
    monkeypatch.setattr(
        portable.importlib.util, "find_spec", lambda name, *args: None if name == "onnxruntime" else found(name, *args)
    )
    with pytest.raises(ExportError, match="pip install onnxruntime"):
        export(model, tmp_path / "out", [Format.ONNX], images)
    assert list(tmp_path.iterdir()) == []


def test_no_format_is_refused(model, images, tmp_path):
    with pytest.raises(ExportError, match="safetensors"):
        export(model, tmp_path / "out", [], images)


def test_the_model_is_left_as_it_was(model, images, tmp_path):
    before = {name: tensor.clone() for name, tensor in model.segmenter.state_dict().items()}
    export(model, tmp_path / "out", [Format.SAFETENSORS], images)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.segmenter.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.segmenter.parameters())


class Padding(nn.Module):
    """An encoder that pads by an amount computed from the size, as TensorFlow's networks do."""

    def __init__(self):
        super().__init__()
        self.convolution = Conv2dSame(3, 2, 3, dilation=2)

    def forward(self, image):
        return self.convolution(nn.functional.max_pool2d(image, 16))


def test_padding_inside_an_encoder_can_be_traced_too(caplog):
    caplog.set_level("INFO")
    description = NetworkDescription(Architecture.UNET, "padding")
    head = Head(nn.Identity(), nn.Identity())
    segmenter = Segmenter(
        Padding(), head, num_classes=2, stride=16, normalisation=Normalisation(), description=description
    )
    module = portable.trace(segmenter.eval()).module()
    assert "without a proof" in caplog.text
    batch = torch.rand(1, 3, 97, 131)
    with torch.no_grad():
        got = module(batch).numpy()
    reference = portable.open_segmenter(segmenter)(batch.numpy())
    np.testing.assert_allclose(got, reference, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_traced_says_so(model):
    segmenter = copy.copy(model.segmenter)
    segmenter.description = replace(segmenter.description, encoder="tu-swin_tiny_patch4_window7_224")
    with pytest.raises(ExportError, match="safetensors"):
        portable.trace(segmenter)
