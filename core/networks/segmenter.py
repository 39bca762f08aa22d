"""Define the network that every other part works with: an encoder, a head, and their description.

Shapes: B images, C classes, H × W pixels of the image, h × w cells of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.configuration.choices import Architecture
from core.networks.prediction import OnFeatures
from core.pixels import Normalisation

SMALLEST_SIDE = 64  # pixels: a smaller side is padded to this


class NetworkError(ValueError):
    """Raised when a network cannot be built. The message is one sentence with the remedy."""


@dataclass(frozen=True)
class NetworkDescription:
    """Say in words what a network is made of. It is part of every model.json."""

    architecture: Architecture
    encoder: str
    weights: str = "none"  # where training started: imagenet, none, or a file's name
    code_licence: str = "unknown"
    weights_licence: str = "unknown"
    hrda: bool = False  # looks twice, see core.networks.hrda


class Head(nn.Module):
    """Apply what follows the encoder: the library's decoder, then the classifier."""

    def __init__(self, decoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.classifier = classifier

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classifier(self.decoder(features))


class Segmenter(nn.Module):
    """Predict with an encoder and a head. Sides of images are padded to multiples of `stride` pixels."""

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        num_classes: int,
        stride: int,
        normalisation: Normalisation,
        description: NetworkDescription,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.num_classes = num_classes
        self.stride = stride
        self.normalisation = normalisation
        self.description = description
        self._logits_stride: float | None = None
        self.matched = ""  # which tensors came from a file of starting weights, in words
        self.notes = notes  # what the user should know about the starting weights, one sentence each

    @property
    def logits_stride(self) -> float:
        """Pixels per cell of the logits, for images whose sides are multiples of the stride.

        The first call measures it on a blank image, so no architecture has to state it and no statement can be wrong.
        """
        if self._logits_stride is None:
            modes = {module: module.training for module in self.modules()}
            self.eval()
            try:
                with torch.no_grad():
                    side, like = padded_side(1, self.stride), next(self.parameters())
                    blank = torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device)
                    self._logits_stride = _as_whole(side / self.head(self.encoder(blank)).shape[-1])
            finally:
                for module, training in modes.items():
                    module.training = training
        return self._logits_stride

    def forward(self, image_BCHW: Tensor, on_features: OnFeatures | None = None) -> Tensor:
        """Return raw logits (B, C, h, w) of normalised images.

        Sides that are multiples of the stride give the decoder's own resolution (`logits_stride`: 4 for most, 1 for U-Net,
        2 for DPT, a patch's side for other heads on a plain vision transformer). Other sides are padded by repeating the
        border (see `padded_side`), and the logits have H × W cells. In both cases, resizing them bilinearly
        (align_corners=False) to H × W puts each logit on its pixel.

        Args:
            on_features: changes the encoder's features before the head. They are finest first, with the image itself in
                front. Its second argument is None: the features are of the whole image, padded if the image is.
        """
        height, width = image_BCHW.shape[-2:]
        if height % self.stride == 0 and width % self.stride == 0:
            return self.fitting_logits(image_BCHW, on_features)
        right, bottom = (padded_side(side, self.stride) - side for side in (width, height))
        padded_BCHW = F.pad(image_BCHW, (0, right, 0, bottom), mode="replicate")
        logits_BChw = self.fitting_logits(padded_BCHW, on_features)
        logits_BCHW = resize(logits_BChw, (padded_BCHW.shape[-2], padded_BCHW.shape[-1]))
        return logits_BCHW[..., :height, :width]

    def fitting_logits(self, image_BCHW: Tensor, on_features: OnFeatures | None = None) -> Tensor:
        """Do what `forward` does for images whose sides are multiples of the stride."""
        features = self.encoder(image_BCHW)
        return self.head(features if on_features is None else on_features(list(features), None))


def _as_whole(number: float) -> float:
    return int(number) if number == int(number) else number


def padded_side(side: int, stride: int) -> int:
    """Return a side in pixels after padding: a multiple of the stride, and at least `SMALLEST_SIDE`.

    A smaller image shows too little to recognise anything.
    """
    return max(-(-side // stride), smallest_cells(stride)) * stride


def smallest_cells(stride: int) -> int:
    """Return how many strides the smallest padded side has."""
    return -(-SMALLEST_SIDE // stride)


def resize(values_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly (align_corners False). Values that have the size already are returned unchanged."""
    # Sizes are symbols while the network is traced for an export: comparing them would freeze them.
    if not torch.compiler.is_compiling() and tuple(values_BCHW.shape[-2:]) == tuple(size):
        return values_BCHW
    return F.interpolate(values_BCHW, size=tuple(size), mode="bilinear", align_corners=False)
