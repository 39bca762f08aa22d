"""The network every other part works with: an encoder, a head, and what is to be known about them.

Shapes: B images, C classes, H × W pixels of the image, h × w cells of the logits.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.config import Architecture
from core.networks.licences import OWN_WEIGHTS, code_licence
from core.networks.segformer import SegformerDecoder
from core.pixels import Normalisation

SMALLEST_SIDE = 64  # pixels that a smaller side is padded to
DROP_PATH = 0.1  # of transformers and their kin, as in SegFormer's own training
_DROP_PATH_FAMILIES = ("pvt_v2", "swin", "convnext")  # MiT has it built in
_FAMILIES: dict[Architecture, type[Any]] = {
    Architecture.SEGFORMER: smp.Segformer,
    Architecture.UNET: smp.Unet,
    Architecture.DEEPLABV3PLUS: smp.DeepLabV3Plus,
}
_WORKING: dict[Architecture, str] = {
    Architecture.SEGFORMER: "tu-pvt_v2_b0, tu-convnext_tiny, mit_b0, resnet50",
    Architecture.UNET: "tu-pvt_v2_b0, tu-convnext_tiny, efficientnet-b0, resnet34",
    Architecture.DEEPLABV3PLUS: "resnet50, mobilenet_v2, efficientnet-b0, tu-convnext_tiny, mit_b0",
}


class NetworkError(ValueError):
    """A network that cannot be built. The message is one sentence with the remedy."""


@dataclass(frozen=True)
class NetworkDescription:
    """What a network is made of, in words; goes into every model.json."""

    architecture: Architecture
    encoder: str
    weights: str = "none"  # where training started: imagenet, none, or a file's name
    code_licence: str = "unknown"
    weights_licence: str = "unknown"


class Head(nn.Module):
    """Everything after the encoder: the library's decoder, then the classifier."""

    def __init__(self, decoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.classifier = classifier

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classifier(self.decoder(features))


class Segmenter(nn.Module):
    """Encoder and head. `stride` is the number of pixels that sides are padded to a multiple of."""

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
        self.notes = notes  # what the user should know about the starting weights, one sentence each

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return raw logits (B, C, h, w) of normalised images.

        Sides that are multiples of the stride give the decoder's own resolution (stride 4 for SegFormer and DeepLabV3+,
        1 for U-Net). Other sides are padded by repeating the border (see `padded_side`), and the logits come at H × W.
        Either way, resizing them bilinearly (align_corners=False) to H × W puts each logit on its pixel.
        """
        height, width = image_BCHW.shape[-2:]
        if height % self.stride == 0 and width % self.stride == 0:
            return self.head(self.encoder(image_BCHW))
        right, bottom = (padded_side(side, self.stride) - side for side in (width, height))
        padded_BCHW = F.pad(image_BCHW, (0, right, 0, bottom), mode="replicate")
        logits_BChw = self.head(self.encoder(padded_BCHW))
        logits_BCHW = resize(logits_BChw, (padded_BCHW.shape[-2], padded_BCHW.shape[-1]))
        return logits_BCHW[..., :height, :width]


def padded_side(side: int, stride: int) -> int:
    """Side in pixels after padding: a multiple of the stride, and at least `SMALLEST_SIDE`, below which there is too
    little to tell anything from.
    """
    return max(-(-side // stride), smallest_cells(stride)) * stride


def smallest_cells(stride: int) -> int:
    """Strides that fill the smallest side that is padded to."""
    return -(-SMALLEST_SIDE // stride)


def resize(values_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly so that corners of pixels, not centres, stay in place."""
    return F.interpolate(values_BCHW, size=size, mode="bilinear", align_corners=False)


def construct(
    description: NetworkDescription, num_classes: int, normalisation: Normalisation, encoder_file: Path | None = None
) -> Segmenter:
    """Make the network with random weights drawn from torch's default generator.

    Args:
        encoder_file: pretrained weights of a timm encoder (`tu-…`), loaded by timm's own rules.

    Raises:
        NetworkError: an unknown encoder, or one that the architecture cannot use.
    """
    name = description.encoder
    _check_name(name)
    options: dict[str, Any] = {"encoder_weights": None, "classes": num_classes, **_encoder_options(name)}
    if encoder_file is not None:
        options |= {"encoder_weights": True, "pretrained_cfg_overlay": {"file": str(encoder_file)}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' hints address people who call them directly
            model = _FAMILIES[description.architecture](name, **options)
    except (
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        AssertionError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise NetworkError(_refusal(description, error)) from error
    return Segmenter(
        model.encoder,
        Head(
            _decoder(description, model), model.segmentation_head[0]
        ),  # without the library's upsampling and activation
        num_classes=num_classes,
        stride=int(model.encoder.output_stride),
        normalisation=normalisation,
        description=description,
    )


def _decoder(description: NetworkDescription, model: Any) -> nn.Module:
    return SegformerDecoder(model.decoder) if description.architecture is Architecture.SEGFORMER else model.decoder


def build_empty(description: NetworkDescription, num_classes: int, normalisation: Normalisation) -> Segmenter:
    """Make the architecture only, for weights that are loaded next: no download, and no random draw.

    Any thread may call it while a run trains, whose randomness is torch's default generator.
    """
    with _NoDraws():
        return construct(description, num_classes, normalisation)


def check_forward(segmenter: Segmenter) -> None:
    """Run one small image through the network. Raises NetworkError where encoder and architecture do not fit."""
    sides = (2 * segmenter.stride, 3 * segmenter.stride)
    was_training = segmenter.training
    segmenter.eval()
    try:
        with torch.no_grad():
            segmenter(torch.zeros(1, 3, *sides))
    except (RuntimeError, AssertionError, TypeError, ValueError, IndexError) as error:
        raise NetworkError(_refusal(segmenter.description, error)) from error
    finally:
        segmenter.train(was_training)


def described(architecture: Architecture, encoder: str) -> NetworkDescription:
    """Description of a network that starts from random weights."""
    return NetworkDescription(architecture, encoder, "none", code_licence(encoder), OWN_WEIGHTS)


def _encoder_options(encoder: str) -> dict[str, Any]:
    name = encoder.removeprefix("tu-")
    if name == encoder:
        return {}
    options: dict[str, Any] = {}
    if name.startswith(_DROP_PATH_FAMILIES):
        options["drop_path_rate"] = DROP_PATH
    if name.startswith("swin"):
        options["strict_img_size"] = False  # else only 224 × 224 is taken
    return options


def _check_name(encoder: str) -> None:
    known = [*smp.encoders.get_encoder_names(), *(f"tu-{name}" for name in timm.list_models())]
    if encoder.startswith("timm-"):
        raise NetworkError(f"The encoder name {encoder!r} is out of date: timm's encoders are called tu-NAME now.")
    if encoder not in known and encoder.partition(".")[0] not in known:
        near = difflib.get_close_matches(encoder, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "take for instance tu-pvt_v2_b0, mit_b0 or resnet50."
        raise NetworkError(f"There is no encoder {encoder!r}: {hint}")


def _refusal(description: NetworkDescription, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"{description.architecture.value} cannot use the encoder {description.encoder!r} ({reason}); "
        f"encoders that work: {_WORKING[description.architecture]}."
    )


class _NoDraws(TorchFunctionMode):
    """Within it, nothing is drawn from the default generator of this process: initial values stay unset.

    The mode is kept per thread. It is preferred to the meta device, which MiT's constructor refuses and which loses
    the tables that swin-like encoders compute when they are made.
    """

    _in_place = frozenset(
        {"uniform_", "normal_", "random_", "bernoulli_", "exponential_", "cauchy_", "geometric_", "log_normal_"}
    )
    _factories = frozenset({"rand", "randn", "randint", "randperm", "normal", "bernoulli"})

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if getattr(func, "__module__", "") == "torch.nn.init" or name in self._in_place:
            return args[0] if args else kwargs["tensor"]
        if name in self._factories:
            raise NotImplementedError(f"torch.{name} is called while the network is made")
        return func(*args, **kwargs)
