"""The canary frames: fixed target images under fixed masks, pictured at every preview so that a training can be watched."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig
from core.dataset.listing import Listing
from core.dataset.reading import ReadError, read_image, read_label
from core.loading.random import generator
from core.method.masks import draw_keep_masks
from core.method.step import Student
from core.networks.build import Segmenter
from core.networks.segmenter import resize
from core.pixels import evenly_spaced, shrunk
from core.render import colourise, confidence_picture, disagreement_picture, masked_picture

LOG = logging.getLogger(__name__)

NUM_FRAMES = 3
LONGEST_SIDE = 512  # pixels of a canary frame: enough to look at, small beside a training step


@dataclass(frozen=True)
class Frame:
    name: str
    image: np.ndarray  # uint8 (H, W, 3)
    label: np.ndarray | None  # uint8 (H, W)


def choose_frames(listing: Listing) -> tuple[Frame, ...]:
    """Evenly spaced target images, the labelled ones where there are any; unreadable ones are passed over."""
    pairs = listing.evaluation or listing.target
    frames: list[Frame] = []
    for pair in evenly_spaced(pairs, NUM_FRAMES):
        try:
            image = read_image(pair.image)
            label = read_label(pair.label, listing.target_space) if pair.label else None
        except (ReadError, OSError) as error:
            LOG.warning("canary frame left out: %s", error)
            continue
        if label is not None and label.shape != image.shape[:2]:
            label = None
        if label is not None:
            label = shrunk(label, LONGEST_SIDE, cv2.INTER_NEAREST_EXACT)
        frames.append(Frame(pair.image.name, shrunk(image, LONGEST_SIDE), label))
    return tuple(frames)


class Canary:
    """Pictures of the frames under the present networks. Changes nothing in them, and draws nothing from any generator."""

    def __init__(
        self, frames: Sequence[Frame], palette: Sequence[tuple[int, int, int]], seed: int, device: str
    ) -> None:
        self.frames = tuple(frames)
        self._palette = tuple(palette)
        self._seed = seed
        self._device = device

    def pictures(
        self, student: Student, teacher: Segmenter | None, mask: MaskConfig
    ) -> tuple[Mapping[str, np.ndarray], ...]:
        """One mapping per frame, by view name (see events.PreviewReady). Without a teacher the student labels."""
        network = student.network
        labeller = teacher or network
        modes = network.training, labeller.training
        network.eval()
        labeller.eval()
        try:
            return tuple(self._views(i, frame, student, labeller, mask) for i, frame in enumerate(self.frames))
        finally:
            labeller.train(modes[1])
            network.train(modes[0])

    @torch.no_grad()
    def _views(
        self, index: int, frame: Frame, student: Student, labeller: torch.nn.Module, mask: MaskConfig
    ) -> Mapping[str, np.ndarray]:
        H, W = frame.image.shape[:2]
        if mask.strategy is MaskStrategy.OFF:
            keeps: tuple[np.ndarray, ...] = ()
        else:
            block = min(mask.block_pixels(H, W), H, W)
            fitted = mask.model_copy(update={"block_size": block, "block_fraction": 0.0})
            keeps = draw_keep_masks(fitted, 1, H, W, generator(self._seed, index, "canary"))
        x = self._normalised(frame.image, student)
        with student.autocast():
            probability = resize(labeller(x).float(), (H, W)).softmax(1)
            twins = [resize(student.network(x * torch.from_numpy(keep).to(x.device)).float(), (H, W)) for keep in keeps]
        confidence, plabel = probability.max(1)  # to the host below: previews wait for the device on purpose
        views = {
            "target": frame.image.copy(),
            "pseudo_label": colourise(_labels(plabel), self._palette),
            "confidence": confidence_picture(confidence[0].cpu().numpy()),
        }
        predictions = [_labels(twin.argmax(1)) for twin in twins]
        for letter, keep, prediction in zip("ab", keeps, predictions, strict=False):
            views[f"twin_{letter}"] = masked_picture(frame.image, keep[0, 0])
            views[f"prediction_{letter}"] = colourise(prediction, self._palette)
        if len(predictions) == 2:
            views["disagreement"] = disagreement_picture(*predictions)
        if frame.label is not None:
            views["ground_truth"] = colourise(frame.label, self._palette)
        return views

    def _normalised(self, image: np.ndarray, student: Student) -> Tensor:
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(self._device).float().div(255)
        return student.normalisation.apply(tensor)


def _labels(label: Tensor) -> np.ndarray:
    return label[0].to(torch.uint8).cpu().numpy()
