import numpy as np
import pytest

from core.configuration.choices import Precision
from core.configuration.training import TrainingConfig
from core.evaluation import viewing
from core.evaluation.predictor import PredictionError, PredictionStoppedError
from core.evaluation.viewing import CPU, Place, Viewer, place_of
from tests.core.evaluation.test_files import brightness  # noqa: F401


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


class Windows:
    """Stands in for the predictor: notes device and window, and is short of memory as often as it is told."""

    def __init__(self, monkeypatch, failures):
        self.tried = []
        self.failures = failures
        monkeypatch.setattr(viewing, "Predictor", self.make)

    def make(self, segmenter, device, window, overlap, together, precision):
        self.tried.append((device, window and window[0], precision))
        return self

    def ranked(self, image, cancelled):
        if len(self.tried) <= self.failures:
            raise PredictionError("too little memory")
        return "ranked"


def test_large_images_are_predicted_in_windows(monkeypatch, brightness):  # noqa: F811
    monkeypatch.setattr(viewing, "WHOLE_PIXELS", 40 * 40)
    monkeypatch.setattr(viewing, "WINDOWS", (32, 16))
    sizes = []
    brightness.encoder.register_forward_pre_hook(lambda _module, inputs: sizes.append(inputs[0].shape[-2:]))
    found = Viewer(brightness, CPU).rank(noise(96, 64))
    assert set(sizes) == {(32, 32)}
    assert found.classes.shape[1:] == (96, 64)
    sizes.clear()
    Viewer(brightness, CPU).rank(noise(40, 40))
    assert set(sizes) == {(40, 40)}


def test_cancelling_takes_effect_between_windows(monkeypatch, brightness):  # noqa: F811
    monkeypatch.setattr(viewing, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(viewing, "WINDOWS", (8,))
    with pytest.raises(PredictionStoppedError):
        Viewer(brightness, CPU).rank(noise(64, 64), lambda: True)


def test_where_memory_is_short_windows_shrink_and_then_the_cpu_takes_over(monkeypatch):
    windows = Windows(monkeypatch, failures=4)
    viewer = Viewer(None, Place("cuda", Precision.BF16, "a card"))  # type: ignore[arg-type]
    assert viewer.rank(noise(8, 8)) == "ranked"
    assert windows.tried == [
        ("cuda", None, Precision.BF16), ("cuda", 1024, Precision.BF16), ("cuda", 512, Precision.BF16),
        ("cpu", None, Precision.FP32), ("cpu", 1024, Precision.FP32),
    ]  # fmt: skip
    assert viewer.place.note == "CPU: cuda has too little free memory"
    windows.failures = 99
    with pytest.raises(PredictionError, match="too little memory"):
        viewer.rank(noise(8, 8))


def test_a_run_is_looked_at_on_its_device():
    assert place_of(TrainingConfig(device="cpu", precision=Precision.BF16)) == CPU
    absent = place_of(TrainingConfig(device="cuda:7"))
    assert (absent.device, absent.precision) == ("cpu", Precision.FP32)
    assert "cuda:7 is unavailable" in absent.note
