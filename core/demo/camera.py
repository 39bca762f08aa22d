"""The two cameras of the demo: how each turns a scene into a photograph. Importable without torch.

The first is a good camera by day. The second one sees the same kind of scenes with a wider lens in poorer light: warmer
white balance, less exposure, another gamma, veil, vignetting, blur and noise, a little different in every picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.demo.canvas import noise

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Camera:
    """Properties of a camera; each picture varies `gains`, `exposure`, `gamma` and `veil` by up to `spread`."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # white balance, RGB
    exposure: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    veil: tuple[float, float, float] = (0.0, 0.0, 0.0)  # stray light, RGB
    vignetting: float = 0.0  # light lost in the corners, 0..1
    distortion: float = 0.0  # barrel, at the corners
    blur: float = 0.0  # standard deviation, pixels
    noise: float = 0.01  # standard deviation at full light, 0..1
    spread: float = 0.05


DAY = Camera()
DUSK = Camera(
    gains=(1.12, 0.94, 0.72),
    exposure=0.80,
    gamma=1.05,
    saturation=0.7,
    veil=(0.08, 0.07, 0.08),
    vignetting=0.45,
    distortion=0.12,
    blur=0.7,
    noise=0.022,
    spread=0.1,
)


def photograph(
    camera: Camera, scene: np.ndarray, label: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a scene (H, W, 3) float32 in 0..1 and its label (H, W) into an RGB uint8 picture and the label as seen."""
    scene, label = _distort(camera, scene, label)
    vary = 1 + camera.spread * rng.uniform(-1, 1, 6).astype(np.float32)
    light = scene * (np.array(camera.gains, np.float32) * vary[:3]) * np.float32(camera.exposure * vary[3])
    grey = (light @ LUMA)[..., None]
    light = grey + np.float32(camera.saturation) * (light - grey)
    light = light * _vignette(camera, *label.shape)
    light = light + np.array(camera.veil, np.float32) * vary[4]
    if camera.blur:
        light = cv2.GaussianBlur(light, (0, 0), camera.blur)
    picture = np.clip(light, 0, 1) ** np.float32(camera.gamma * vary[5])
    picture = picture + _grain(camera, label.shape, rng)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8), label


def _distort(camera: Camera, scene: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distort like a barrel about the centre, scaled so that the corners stay filled."""
    if not camera.distortion:
        return scene, label
    x, y = _centred(*label.shape)
    radius = (x**2 + y**2) / 2  # 1 in the corners
    stretch = (1 + camera.distortion * radius) / (1 + camera.distortion)
    height, width = label.shape
    map_x = ((x * stretch + 1) * (width / 2) - 0.5).astype(np.float32)
    map_y = ((y * stretch + 1) * (height / 2) - 0.5).astype(np.float32)
    image = cv2.remap(scene, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, cv2.remap(label, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def _vignette(camera: Camera, height: int, width: int) -> np.ndarray:
    x, y = _centred(height, width)
    return (1 - camera.vignetting * (x**2 + y**2) / 2).astype(np.float32)[..., None]


def _centred(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates (H, W) of the pixel centres, -1..1 from edge to edge."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1


def _grain(camera: Camera, hw: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw sensor noise (H, W, 3): mostly independent, partly in small blotches like those of demosaicing."""
    single = rng.standard_normal((*hw, 3), dtype=np.float32)
    blotches = noise(rng, hw[0], hw[1], (2,))[..., None]
    return np.float32(camera.noise) * (0.8 * single + 0.6 * blotches)
