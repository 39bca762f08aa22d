"""Build every architecture on every encoder that fits it. Encoders and decoders are the libraries' where they exist.

Encoders are pyramids (stages at strides 4, 8, 16, 32; some have one at 2 as well) or plain vision transformers (all at one
stride, the side of a patch). Both return a list of feature maps, finest first, with the image itself in front.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from core.configuration.choices import Architecture
from core.networks.attention import fuse_attention
from core.networks.daformer import DAFormerDecoder
from core.networks.dpt import DptDecoder
from core.networks.encoders import ENCODERS
from core.networks.hrda import Hrda
from core.networks.licences import OWN_WEIGHTS, code_licence
from core.networks.linear import LinearDecoder
from core.networks.pooling import use_adaptive_mean
from core.networks.segformer import SegformerDecoder
from core.networks.segmenter import Head, NetworkDescription, NetworkError, Segmenter
from core.networks.vit import VitEncoder, is_vit
from core.pixels import Normalisation

DROP_PATH = 0.1  # of transformers and their kin, as in SegFormer's own training
NUM_STAGES = 4  # that DAFormer's and the linear head use: of an encoder with more, the last ones, from stride 4 on
_DROP_PATH_FAMILIES = ("pvt_v2", "swin", "convnext")  # MiT has it built in, VitEncoder takes it always
_LIBRARYS: dict[Architecture, type[Any]] = {
    Architecture.SEGFORMER: smp.Segformer,
    Architecture.UNET: smp.Unet,
    Architecture.DEEPLABV3PLUS: smp.DeepLabV3Plus,
    Architecture.UPERNET: smp.UPerNet,
}
_REFUSALS = (
    TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError, NotImplementedError, RuntimeError,
)  # fmt: skip


def construct(
    description: NetworkDescription, num_classes: int, normalisation: Normalisation, encoder_file: Path | None = None
) -> Segmenter:
    """Make the network with random weights drawn from torch's default generator.

    Args:
        encoder_file: pretrained weights of a timm encoder (`tu-…`), which timm loads by its own rules.

    Raises:
        NetworkError: the encoder is unknown, or the architecture cannot use it.
    """
    _check_name(description.encoder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' hints address people who call them directly
            encoder, head = _parts(description, num_classes, encoder_file)
        fuse_attention(encoder)
        segmenter = Segmenter(
            encoder,
            head,
            num_classes=num_classes,
            stride=int(encoder.output_stride),
            normalisation=normalisation,
            description=description,
        )
        return Hrda.around(segmenter) if description.hrda else segmenter
    except _REFUSALS as error:
        raise NetworkError(_refusal(description, error)) from error


def build_empty(description: NetworkDescription, num_classes: int, normalisation: Normalisation) -> Segmenter:
    """Make the architecture only, for weights that are loaded next. It downloads nothing and draws nothing at random.

    Any thread may call it while a run trains, which depends on torch's default generator.
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
    except _REFUSALS as error:
        raise NetworkError(_refusal(segmenter.description, error)) from error
    finally:
        segmenter.train(was_training)


def described(architecture: Architecture, encoder: str, *, hrda: bool = False) -> NetworkDescription:
    """Describe a network that starts from random weights."""
    return NetworkDescription(
        architecture, encoder, "none", code_licence(encoder, architecture), OWN_WEIGHTS, hrda=hrda
    )


# Parts -----------------------------------------------------------------------------------------


def _parts(description: NetworkDescription, num_classes: int, encoder_file: Path | None) -> tuple[Any, Head]:
    """Make the encoder and the head."""
    architecture = description.architecture
    if architecture in _LIBRARYS:
        if is_vit(description.encoder):
            raise ValueError(
                "a plain vision transformer has no finer and coarser stages: take dpt, daformer or linear for it"
            )
        options = _encoder_options(description.encoder, encoder_file)
        model = _LIBRARYS[architecture](description.encoder, classes=num_classes, **options)
        decoder = SegformerDecoder(model.decoder) if architecture is Architecture.SEGFORMER else model.decoder
        if architecture is Architecture.UPERNET:
            use_adaptive_mean(decoder)
        return model.encoder, Head(decoder, model.segmentation_head[0])  # without upsampling and activation
    encoder = _encoder(description.encoder, encoder_file)
    decoder = _decoder(architecture, encoder)
    classifier = nn.Conv2d(decoder.out_channels, num_classes, kernel_size=1)
    nn.init.normal_(classifier.weight, std=0.01)  # as mmsegmentation's heads, DAFormer's and DINOv2's among them
    nn.init.zeros_(classifier.bias)  # type: ignore[arg-type]
    return encoder, Head(decoder, classifier)


def _decoder(architecture: Architecture, encoder: Any) -> Any:
    """Make a decoder that the library does not have, or not in this form. `out_channels` is what it returns."""
    stages = [number for number in encoder.out_channels[1:] if number > 0][-NUM_STAGES:]
    match architecture:
        case Architecture.DAFORMER:
            return DAFormerDecoder(stages)
        case Architecture.LINEAR:
            return LinearDecoder(stages[-1:] if isinstance(encoder, VitEncoder) else stages)
        case Architecture.DPT if isinstance(encoder, VitEncoder):
            return DptDecoder(stages)
        case Architecture.DPT:
            raise ValueError("it is for plain vision transformers")
    raise NotImplementedError(f"there is no {architecture.value}")


def _encoder(name: str, encoder_file: Path | None) -> Any:
    if is_vit(name):
        return VitEncoder(name.removeprefix("tu-"), drop_path=DROP_PATH, encoder_file=encoder_file)
    options = _encoder_options(name, encoder_file)
    return smp.encoders.get_encoder(name, weights=options.pop("encoder_weights"), **options)


def _encoder_options(encoder: str, encoder_file: Path | None) -> dict[str, Any]:
    name = encoder.removeprefix("tu-")
    options: dict[str, Any] = {"encoder_weights": None}
    if name == encoder:
        return options
    if encoder_file is not None:
        options |= {"encoder_weights": True, "pretrained_cfg_overlay": {"file": str(encoder_file)}}
    if name.startswith(_DROP_PATH_FAMILIES):
        options["drop_path_rate"] = DROP_PATH
    if name.startswith("swin"):
        options["strict_img_size"] = False  # else only 224 × 224 is taken
    return options


# Refusals --------------------------------------------------------------------------------------


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
        f"encoders that work: {', '.join(ENCODERS[description.architecture])}."
    )


class _NoDraws(TorchFunctionMode):
    """Leave initial values unset, so that nothing inside is drawn from this process's default generator.

    The mode belongs to one thread. The meta device would not do: MiT's constructor refuses it, and it loses the tables
    that encoders like Swin compute when they are made.
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
