"""The preview frames: fixed target images under fixed masks, pictured at every preview so that a training can be watched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from core.configuration.choices import MaskStrategy
from core.configuration.sections import MaskConfig
from core.dataset.listing import Listing
from core.dataset.reading import ReadError, read_image, read_label
from core.loading.random import generator
from core.method.masks import draw_keep_masks
from core.method.student import Student
from core.method.teacher import Teacher
from core.networks.segmenter import resize
from core.pixels import evenly_spaced, shrunk
from core.render import colourise, confidence_picture, disagreement_picture, masked_picture

logger = logging.getLogger(__name__)

NUM_FRAMES = 3
LONGEST_SIDE = 512  # pixels of a preview frame: enough to look at, small compared with a training step


Predict = Callable[[Tensor], Tensor]  # normalised (1, 3, H, W) to logits float32 (1, C, H, W)


@dataclass(frozen=True)
class Frame:
    name: str
    image: np.ndarray  # uint8 (H, W, 3)
    label: np.ndarray | None  # uint8 (H, W)


def choose_frames(listing: Listing) -> tuple[Frame, ...]:
    """Choose evenly spaced target images, labelled ones where there are any; unreadable ones are left out."""
    pairs = listing.evaluation or listing.target
    frames: list[Frame] = []
    for pair in evenly_spaced(pairs, NUM_FRAMES):
        try:
            image = read_image(pair.image)
            label = read_label(pair.label, listing.target_space) if pair.label else None
        except (ReadError, OSError) as error:
            logger.warning("preview frame left out: %s", error)
            continue
        if label is not None and label.shape != image.shape[:2]:
            label = None
        if label is not None:
            label = shrunk(label, LONGEST_SIDE, cv2.INTER_NEAREST_EXACT)
        frames.append(Frame(pair.image.name, shrunk(image, LONGEST_SIDE), label))
    return tuple(frames)


class PreviewFrames:
    """Picture the frames under the present networks. Changes nothing in them, and draws nothing from any generator."""

    def __init__(
        self, frames: Sequence[Frame], palette: Sequence[tuple[int, int, int]], seed: int, device: str
    ) -> None:
        self.frames = tuple(frames)
        self.names = tuple(frame.name for frame in self.frames)
        self._palette = tuple(palette)
        self._seed = seed
        self._device = device

    @torch.no_grad()
    def pictures(
        self, student: Student, teacher: Teacher | None, mask: MaskConfig, target_share: float
    ) -> tuple[Mapping[str, np.ndarray], ...]:
        """Return one mapping per frame, by view name (see events.PreviewReady). Without a teacher the student labels.

        The teacher's predictions follow from its weights alone, whatever its running batch-norm statistics are at the moment
        (a checkpoint replaces them): it labels with each frame's own statistics, as in training, and predicts with those
        estimated from the frames, as it is measured (`Teacher.estimating_statistics`, with the share `target_share`).
        """
        images = [self._normalised(frame.image, student) for frame in self.frames]
        predict = _predictor(student.network, student)
        teach = _predictor(teacher.network, student) if teacher else None
        with _left_as_they_are(student.network, *([teacher.network] if teacher else [])):
            with teacher.estimating_statistics(student.network, target_share) if teacher else nullcontext():
                labelled = [(teach or predict)(x) for x in images]
            taught = [teach(x) if teach else None for x in images]
            return tuple(
                self._views(frame, x, predict, labels, own, self._keeps(index, mask))
                for index, (frame, x, labels, own) in enumerate(zip(self.frames, images, labelled, taught, strict=True))
            )

    def _keeps(self, index: int, mask: MaskConfig) -> tuple[np.ndarray, ...]:
        """Return the frame's masks, bool (1, 1, H, W) each."""
        H, W = self.frames[index].image.shape[:2]
        if mask.strategy is MaskStrategy.OFF:
            return ()
        block = min(mask.block_pixels(H, W), H, W)
        fitted = mask.model_copy(update={"block_size": block, "block_fraction": 0.0})
        # The preview frames were once called canaries: the purpose keeps that name, so that old runs keep their masks.
        return tuple(draw_keep_masks(fitted, 1, H, W, generator(self._seed, index, "canary")))

    def _views(
        self,
        frame: Frame,
        x: Tensor,
        predict: Predict,
        labels: Tensor,
        taught: Tensor | None,
        keeps: Sequence[np.ndarray],
    ) -> Mapping[str, np.ndarray]:
        confidence, plabel = labels.softmax(1).max(1)  # to the host below: previews wait for the device on purpose
        views = {
            "target": frame.image.copy(),
            "pseudo_label": self._coloured(plabel),
            "confidence": confidence_picture(confidence[0].cpu().numpy()),
            "student": self._coloured(predict(x).argmax(1)),
        }
        if taught is not None:
            views["teacher"] = self._coloured(taught.argmax(1))
        twins = [_ids(predict(x * torch.from_numpy(keep).to(x.device)).argmax(1)) for keep in keeps]
        for letter, keep, ids in zip("ab", keeps, twins, strict=False):
            views[f"twin_{letter}"] = masked_picture(frame.image, keep[0, 0])
            views[f"prediction_{letter}"] = colourise(ids, self._palette)
        if len(twins) == 2:
            views["disagreement"] = disagreement_picture(*twins)
        if frame.label is not None:
            views["ground_truth"] = colourise(frame.label, self._palette)
        return views

    def _coloured(self, label: Tensor) -> np.ndarray:
        return colourise(_ids(label), self._palette)

    def _normalised(self, image: np.ndarray, student: Student) -> Tensor:
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(self._device).float().div(255)
        return student.normalisation.apply(tensor)


def _predictor(network: nn.Module, student: Student) -> Predict:
    def predict(x: Tensor) -> Tensor:
        with student.autocast():
            logits = network(x)
        return resize(logits.float(), x.shape[-2:])

    return predict


@contextmanager
def _left_as_they_are(*networks: nn.Module) -> Iterator[None]:
    """Put networks into evaluation mode, and put their modes and buffers back at the end."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    buffers = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _ids(label: Tensor) -> np.ndarray:
    return label[0].to(torch.uint8).cpu().numpy()
