import copy
import math
import threading

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.configuration.choices import Architecture, Precision
from core.configuration.sections import NetworkConfig
from core.dataset.folders import Pair
from core.evaluation import predictor as predictor_module
from core.evaluation import scoring
from core.evaluation.files import OutputKind, digest_of, predict_path
from core.evaluation.predictor import PredictionError, Predictor
from core.evaluation.scoring import evaluate
from core.labels import IGNORE, LabelSpace
from core.networks.build import build
from core.networks.segmenter import Head, NetworkDescription, Segmenter, resize
from core.pixels import Normalisation

PALETTE = ((10, 20, 30), (200, 100, 0), (0, 0, 255))
SPACE = LabelSpace("test", ("dark", "middle", "bright"), PALETTE)


class Brightness(nn.Module):
    """One logit per class that says how near a pixel's red is to 0, 128 and 255, at stride 1."""

    def forward(self, image):
        return [torch.cat([-(image[:, :1] - level).abs() for level in (0, 128 / 255, 1)], 1)]


class First(nn.Module):
    def forward(self, features):
        return features[0]


@pytest.fixture
def brightness():
    """A segmenter without weights whose answer for each pixel is known: 0 dark, 1 middle, 2 bright."""
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    description = NetworkDescription(Architecture.UNET, "none")
    head = Head(First(), nn.Identity())
    return Segmenter(Brightness(), head, num_classes=3, stride=1, normalisation=plain, description=description)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    return build(NetworkConfig(encoder="tu-test_resnet", weights="none"), 3)


def levels(height, width, seed=0):
    """An image of 0, 128 and 255, and the classes of its pixels."""
    classes = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    return np.repeat(np.array([0, 128, 255], np.uint8)[classes][..., None], 3, 2), classes


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# Predictor -------------------------------------------------------------------------------------


def test_a_whole_image_is_the_networks_answer_resized(trained):
    image = noise(70, 90)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        logits = resize(trained.eval()(trained.normalisation.apply(pixels)), (70, 90))[0]
    predictor = Predictor(trained)
    torch.testing.assert_close(predictor.logits(image), logits)
    assert np.array_equal(predictor.predict(image), logits.argmax(0).numpy())


@pytest.mark.parametrize("size", [(40, 60), (16, 16), (7, 100), (1, 1), (33, 16)])
@pytest.mark.parametrize("overlap", [0, 0.5, 0.9])
def test_windows_of_a_pointwise_network_give_the_whole_image(brightness, size, overlap):
    image, classes = levels(*size)
    predictor = Predictor(brightness, window=(16, 24), overlap=overlap, batch_size=3)
    torch.testing.assert_close(predictor.logits(image), Predictor(brightness).logits(image))
    assert np.array_equal(predictor.predict(image), classes)


def test_windows_cover_everything_with_at_least_the_overlap():
    starts = predictor_module._starts(100, 16, 0.5)
    assert (starts[0], starts[-1]) == (0, 84)
    assert max(np.diff(starts)) <= 8


def test_windows_go_through_in_batches(brightness):
    sizes = []
    brightness.encoder.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    Predictor(brightness, window=(8, 8), overlap=0, batch_size=4).logits(noise(24, 24))
    assert sizes == [4, 4, 1]


def test_the_mode_of_every_part_is_put_back(trained):
    trained.train()
    trained.head.eval()
    Predictor(trained).predict(noise(32, 32))
    assert trained.training
    assert trained.encoder.training
    assert not trained.head.training


def test_statistics_and_generator_stay_as_they_are(trained):
    trained.train()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    state = torch.get_rng_state()
    Predictor(trained, window=(32, 32)).predict(noise(40, 40))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())


def test_bf16_gives_float32_logits_near_the_exact_ones(trained):
    image = noise(64, 64)
    exact = Predictor(trained).logits(image)
    rough = Predictor(trained, precision=Precision.BF16).logits(image)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1


def test_too_little_memory_is_said_in_words(brightness, monkeypatch):
    def fail(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(brightness.encoder, "forward", fail)
    with pytest.raises(PredictionError, match="sliding window"):
        Predictor(brightness).predict(noise(8, 8))


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(brightness, image):
    with pytest.raises(ValueError, match="uint8"):
        Predictor(brightness).predict(image)


@pytest.mark.parametrize("wrong", [{"overlap": 1.0}, {"overlap": -0.1}, {"window": (0, 5)}, {"batch_size": 0}])
def test_wrong_options_are_refused(brightness, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Predictor(brightness, **wrong)


# Scores ----------------------------------------------------------------------------------------


def write_pair(folder, name, image, label):
    folder.mkdir(exist_ok=True)
    Image.fromarray(image).save(folder / f"{name}.png")
    Image.fromarray(label).save(folder / f"{name}_label.png")
    return Pair(folder / f"{name}.png", folder / f"{name}_label.png", name)


def test_scores_of_files(brightness, tmp_path):
    pairs = []
    for index, size in enumerate([(8, 8), (8, 8), (10, 6), (8, 8)]):
        image, label = levels(*size, seed=index)
        pairs.append(write_pair(tmp_path, str(index), image, label))
    image, label = levels(8, 8, seed=9)
    label[:4] = (label[:4] + 1) % 3  # half of it wrong
    label[4:6] = IGNORE
    pairs.append(write_pair(tmp_path, "wrong", image, label))
    calls = []
    scores = evaluate(Predictor(brightness), pairs, SPACE, progress=lambda *args: calls.append(args))
    right = 64 * 3 + 60 + 16
    assert scores.pixel_accuracy == pytest.approx(100 * right / (right + 32))
    assert np.sum(scores.confusion) == right + 32
    assert calls == [(i, 5) for i in range(1, 6)]


def test_what_cannot_be_scored_is_reported_and_left_out(brightness, tmp_path):
    image, label = levels(8, 8)
    good = write_pair(tmp_path, "good", image, label)
    small = write_pair(tmp_path, "small", image, label[:4])
    torn = write_pair(tmp_path, "torn", image, label)
    torn.image.write_bytes(torn.image.read_bytes()[:40])
    unlabelled = Pair(good.image, None, "unlabelled")
    problems = []
    scores = evaluate(Predictor(brightness), [small, unlabelled, torn, good], SPACE, on_problem=problems.append)
    assert scores.miou == 100
    assert [(p.code, p.path) for p in problems] == [("size_mismatch", small.image), ("unreadable", torn.image)]


def test_several_models_are_scored_on_images_that_are_read_once(brightness, tmp_path, monkeypatch):
    pairs = [write_pair(tmp_path, str(i), *levels(8, 8, seed=i)) for i in range(5)]
    read, opened = scoring.read_image, []
    monkeypatch.setattr(scoring, "read_image", lambda path: opened.append(path) or read(path))
    inverse = copy.deepcopy(brightness)
    inverse.head.register_forward_hook(lambda _module, _inputs, logits: -logits)
    predictors = [Predictor(brightness, batch_size=2), Predictor(inverse, batch_size=2)]
    right, wrong = scoring.evaluate_all(predictors, pairs, SPACE)
    assert sorted(opened) == sorted(pair.image for pair in pairs)
    assert right == evaluate(predictors[0], pairs, SPACE)
    assert (right.miou, wrong.miou) == (100, pytest.approx(evaluate(predictors[1], pairs, SPACE).miou))
    assert wrong.miou < 50


def test_problems_are_reported_by_the_thread_that_asked(brightness, tmp_path):
    image, label = levels(8, 8)
    pairs = [write_pair(tmp_path, str(i), image, label[:4]) for i in range(9)]
    threads = []
    evaluate(Predictor(brightness), pairs, SPACE, on_problem=lambda _: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()] * 9


def test_cancelled_scores_are_those_so_far(brightness, tmp_path):
    pairs = [write_pair(tmp_path, str(i), *levels(8, 8)) for i in range(3)]
    answers = iter([False, True])
    scores = evaluate(Predictor(brightness), pairs, SPACE, cancelled=lambda: next(answers))
    assert np.sum(scores.confusion) == 64
    assert math.isnan(evaluate(Predictor(brightness), pairs, SPACE, cancelled=lambda: True).miou)


def test_labels_of_other_classes_are_refused(brightness):
    with pytest.raises(ValueError, match="label space"):
        evaluate(Predictor(brightness), [], LabelSpace("two", ("a", "b"), PALETTE[:2]))


# To disk ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two images, one of them nested, and a file that is none. Names are not ASCII."""
    folder = tmp_path / "bilder ä"
    (folder / "tiefer").mkdir(parents=True)
    Image.fromarray(levels(8, 12, 0)[0]).save(folder / "straße.png")
    Image.fromarray(levels(6, 6, 1)[0]).save(folder / "tiefer" / "日本.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def run(brightness, source, output, kind=OutputKind.IDS, **kw):
    return predict_path(Predictor(brightness), source, output, kind, PALETTE, **kw)


def test_a_folder_keeps_its_structure(brightness, folder, tmp_path):
    calls = []
    result = run(brightness, folder, tmp_path / "out", progress=lambda *args: calls.append(args))
    assert (result.written, result.problems, result.stopped) == (2, (), False)
    assert calls == [(1, 2), (2, 2)]
    written = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == [tmp_path / "out" / "straße.png", tmp_path / "out" / "tiefer" / "日本.png"]
    with Image.open(written[0]) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), levels(8, 12, 0)[1])


def test_colours_are_a_palette_image_with_ids(brightness, folder, tmp_path):
    run(brightness, folder / "straße.png", tmp_path / "one.png", OutputKind.COLOURS)
    classes = levels(8, 12, 0)[1]
    with Image.open(tmp_path / "one.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), classes)
        assert np.array_equal(np.asarray(image.convert("RGB")), np.array(PALETTE, np.uint8)[classes])


def test_an_overlay_mixes_image_and_colours(brightness, folder, tmp_path):
    result = run(brightness, folder / "straße.png", tmp_path / "to", OutputKind.OVERLAY)
    assert result.output == tmp_path / "to" / "straße.png"
    image, classes = levels(8, 12, 0)
    expected = (image.astype(int) + np.array(PALETTE)[classes]) / 2
    with Image.open(result.output) as picture:
        assert np.abs(np.asarray(picture) - expected).max() <= 0.5


def test_ones_own_files_are_replaced_and_others_are_not(brightness, folder, tmp_path):
    output = tmp_path / "out"
    run(brightness, folder, output)
    (output / "straße.png").write_bytes(b"someone's work")
    result = run(brightness, folder, output, OutputKind.COLOURS)
    assert (output / "straße.png").read_bytes() == b"someone's work"
    assert [problem.code for problem in result.problems] == ["not_overwritten"]
    assert result.written == 1
    with Image.open(output / "tiefer" / "日本.png") as image:
        assert image.mode == "P"


def test_outputs_inside_the_folder_are_not_predicted_again(brightness, folder):
    run(brightness, folder, folder / "out")
    assert run(brightness, folder, folder / "out").written == 2
    with pytest.raises(PredictionError, match="another folder"):
        run(brightness, folder, folder)


def test_unreadable_images_are_reported_and_skipped(brightness, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    result = run(brightness, folder, tmp_path / "out")
    assert result.written == 2
    assert [(problem.code, problem.path) for problem in result.problems] == [("unreadable", folder / "broken.png")]


def test_cancelling_keeps_what_is_written(brightness, folder, tmp_path):
    answers = iter([False, True])
    result = run(brightness, folder, tmp_path / "out", cancelled=lambda: next(answers))
    assert (result.written, result.stopped) == (1, True)


def test_a_cancelled_folder_goes_on_where_it_stopped(brightness, folder, tmp_path):
    answers = iter([False, True])
    output = tmp_path / "out"
    run(brightness, folder, output, cancelled=lambda: next(answers), made_by="weights-1")
    first = (output / "straße.png").stat().st_mtime_ns
    calls = []
    result = run(brightness, folder, output, made_by="weights-1", progress=lambda *args: calls.append(args))
    assert (result.written, result.kept, result.stopped) == (1, 1, False)
    assert (output / "straße.png").stat().st_mtime_ns == first
    assert calls == [(1, 2), (2, 2)]
    assert run(brightness, folder, output, made_by="weights-2").written == 2  # of another model
    assert run(brightness, folder, output, OutputKind.COLOURS, made_by="weights-2").written == 2  # of another kind
    (output / "straße.png").write_bytes(b"torn")
    assert run(brightness, folder, output, OutputKind.COLOURS, made_by="weights-2").kept == 1


def test_the_digest_is_that_of_the_weights(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    assert digest_of(tmp_path / "a") == "6b86b273ff34fce1"
    assert digest_of(tmp_path / "b") != digest_of(tmp_path / "a")


def test_nothing_to_predict_is_said(brightness, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PredictionError, match="no images"):
        run(brightness, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(PredictionError, match="does not exist"):
        run(brightness, tmp_path / "missing.png", tmp_path / "out")


def test_an_output_that_cannot_be_is_said(brightness, folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PredictionError, match="another folder"):
        run(brightness, folder, tmp_path / "file")


# Videos ----------------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path):
    """Three frames of 64 × 48 pixels: dark, middle, bright."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (0, 128, 255):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def test_a_video_gives_a_picture_per_frame(brightness, video, tmp_path):
    result = run(brightness, video, tmp_path / "frames")
    assert result.written == 3
    for index in range(3):
        with Image.open(tmp_path / "frames" / f"frame_{index:06d}.png") as image:
            assert np.unique(np.asarray(image)).tolist() == [index]


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_gives_a_video(brightness, video, tmp_path, suffix):
    output = tmp_path / "new" / f"out{suffix}"
    assert run(brightness, video, output, OutputKind.COLOURS).written == 3
    capture = cv2.VideoCapture(str(output))
    frames = [capture.read()[1] for _ in range(3)]
    capture.release()
    for frame, colour in zip(frames, PALETTE, strict=True):
        assert np.abs(frame[..., ::-1].reshape(-1, 3).mean(0) - colour).max() < 12
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    with pytest.raises(PredictionError, match="exists"):
        run(brightness, video, output, OutputKind.COLOURS)


def test_a_video_goes_on_behind_the_frames_that_were_written(brightness, video, tmp_path):
    answers = iter([False, True])
    run(brightness, video, tmp_path / "f", cancelled=lambda: next(answers), made_by="w")
    result = run(brightness, video, tmp_path / "f", made_by="w")
    assert (result.written, result.kept) == (2, 1)


def test_a_video_cannot_hold_ids(brightness, video, tmp_path):
    with pytest.raises(PredictionError, match="ids"):
        run(brightness, video, tmp_path / "out.mp4")


def test_a_cancelled_video_holds_the_frames_so_far(brightness, video, tmp_path):
    answers = iter([False, True])
    result = run(brightness, video, tmp_path / "o.avi", OutputKind.COLOURS, cancelled=lambda: next(answers))
    assert (result.written, result.stopped) == (1, True)


def test_what_is_no_video_is_refused(brightness, tmp_path, capfd):
    (tmp_path / "film.mp4").write_bytes(b"no video")
    with pytest.raises(PredictionError, match=r"film\.mp4"):
        run(brightness, tmp_path / "film.mp4", tmp_path / "out")
