"""A tiny two-camera dataset and runs on it that take about a second."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from core.checksums import SUMS
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.control import RunControl
from core.runs.folder import RunFolder
from core.training.loop import adapt

SIDE = 64


def write_scene(folder: Path, name: str, rng: np.random.Generator, *, dark: bool, labels: bool) -> None:
    """Three classes: ground 0, sky 1, a box 2; the second camera is darker and bluish."""
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[: rng.integers(16, 40)] = 1
    y, x = rng.integers(0, 40, 2)
    label[y : y + 20, x : x + 20] = 2
    image = np.array([(90, 70, 50), (200, 160, 120), (40, 40, 220)], np.float64)[label] + rng.normal(
        0, 12, (SIDE, SIDE, 3)
    )
    if dark:
        image = image * (0.7, 0.5, 0.5)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
    if labels:
        (folder / "labels").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), label)


def tiny_config(root: Path, **changes) -> RunConfig:
    """A run of 4 + 6 steps that takes about a second."""
    base = {
        "data.source_images": root / "source" / "images",
        "data.source_labels": root / "source" / "labels",
        "data.target_images": root / "target" / "images",
        "data.evaluation_images": root / "eval" / "images",
        "data.target_labels": root / "eval" / "labels",
        "network.encoder": "tu-test_resnet",
        "network.weights": "none",
        "mask.block_size": 8,
        "training.steps": 6,
        "training.source_steps": 4,
        "training.crop_size": 32,
        "training.batch_size": 2,
        "training.learning_rate": 1e-3,
        "training.threads": 1,
        "training.log_interval": 2,
        "training.checkpoint_interval": 2,
        "training.evaluation_interval": 4,
        "training.preview_interval": 0,
    }
    return with_changes(RunConfig(), {**base, **{key.replace("__", "."): value for key, value in changes.items()}})


def train(run: RunFolder, control: RunControl | None = None) -> list:
    return list(adapt(control or RunControl(), run))


def change_state(run: RunFolder, change: Callable[[dict], dict]) -> None:
    """Replace the state.json of every checkpoint, without checksums, as early versions wrote it."""
    for ref in run.checkpoints():
        path = ref.path / "state.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        (ref.path / SUMS).unlink()


def final_weights(run: RunFolder) -> dict[str, bytes]:
    """Bytes of the newest checkpoint's weights and optimiser state."""
    newest = run.checkpoints()[-1].path
    return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}
