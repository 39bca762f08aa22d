"""A network as one file that needs none of this program: ONNX and torch.export (.pt2).

Both take `image` (N, 3, H, W) float32 RGB in 0..1, of any H and W, and give `logits` (N, C, H, W).
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim, ExportedProgram

from core.export.errors import ExportError
from core.labels import LabelSpace
from core.networks.hrda import SMALLEST_CELLS, Hrda
from core.networks.segmenter import Segmenter, resize, smallest_cells
from core.privacy import report_nothing

Run = Callable[[np.ndarray], np.ndarray]  # image to logits, both float32

logger = logging.getLogger(__name__)

_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_EXAMPLE = (2, 3, 150, 210)  # a batch of 2, unequal sides, none a multiple of a stride: else the exporters freeze sizes


class PortableSegmenter(nn.Module):
    """A segmenter with everything before and after it, written so that no operation compares H or W with a constant.

    Padding and cropping select rows and columns by index, because padding and slicing by computed amounts make
    torch.export guard the sizes it saw. Gives what the segmenter gives, resized to the image; only a side below 64
    pixels that is a multiple of the stride is padded here and not there, with HRDA also a side of exactly one stride.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.stride = segmenter.stride
        self.smallest = max(smallest_cells(segmenter.stride), SMALLEST_CELLS if isinstance(segmenter, Hrda) else 0)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(segmenter.normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(segmenter.normalisation.std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, C, H, W) of images (N, 3, H, W) in 0..1."""
        height, width = image.shape[-2], image.shape[-1]
        padded = [self._padded(side) for side in (height, width)]
        normalised = (image - self.mean) / self.std
        rows, columns = (
            torch.arange(longer, device=image.device).clamp(max=side - 1)
            for longer, side in zip(padded, (height, width), strict=True)
        )
        logits = self.segmenter.fitting_logits(normalised.index_select(2, rows).index_select(3, columns))
        logits = resize(logits, (padded[0], padded[1]))
        return logits.index_select(2, torch.arange(height, device=image.device)).index_select(
            3, torch.arange(width, device=image.device)
        )

    def _padded(self, side: int) -> int:
        # core.networks.segmenter.padded_side, in terms that a symbolic side can go through.
        return cast("int", torch.sym_max((side + self.stride - 1) // self.stride, self.smallest) * self.stride)


def trace(segmenter: Segmenter) -> ExportedProgram:
    """Trace a copy of the network on the CPU, for any batch, height and width. Raises ExportError."""
    if segmenter.description.encoder.startswith("tu-swin"):  # its window masks follow the size: tracing would not end
        raise ExportError(
            "Swin encoders cannot be traced for any image size; export safetensors, or train another encoder."
        )
    module = PortableSegmenter(copy.deepcopy(segmenter).cpu()).eval()
    try:
        try:
            return _trace(module, {0: Dim("batch", min=1), 2: Dim("height", min=1), 3: Dim("width", min=1)})
        except UserError as error:
            # Padding by computed amounts inside some encoders: not provable for all sizes, so that the comparison decides.
            logger.info("traced without a proof for every size: %s", _first_line(error))
            return _trace(module, dict.fromkeys((0, 2, 3), Dim.DYNAMIC(min=1)))
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError) as error:
        description = segmenter.description
        raise ExportError(
            f"{description.architecture.value} with {description.encoder} cannot be traced for any image size "
            f"({_first_line(error)}); export safetensors, or train another encoder."
        ) from error


def _trace(module: nn.Module, sizes: dict[int, Any]) -> ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # hints to authors of networks
        return torch.export.export(module, (torch.zeros(_EXAMPLE),), dynamic_shapes={"image": sizes})


def check_onnx_packages() -> None:
    """Raise ExportError where a package that ONNX needs is not installed."""
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {', '.join(missing)}: install by  pip install {' '.join(missing)}")


def write_onnx(program: ExportedProgram, path: Path, space: LabelSpace) -> None:
    """Write one ONNX file, classes and palette among its metadata. Raises ExportError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            onnx = torch.onnx.export(
                program, input_names=["image"], output_names=["logits"], dynamo=True, verbose=False, external_data=False
            )
        assert onnx is not None
        onnx.model.metadata_props["classes"] = json.dumps(space.classes, ensure_ascii=False)
        onnx.model.metadata_props["palette"] = json.dumps(space.palette)
        onnx.save(path, external_data=False)
    except (RuntimeError, ValueError, TypeError, OSError, torch.onnx.OnnxExporterError) as error:
        raise ExportError(f"{path.name} cannot be written ({_first_line(error)}); choose another format.") from error


def write_pt2(program: ExportedProgram, path: Path) -> None:
    """Write a torch.export file. Raises ExportError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program, path)
    except (RuntimeError, ValueError, OSError) as error:
        raise ExportError(f"{path.name} cannot be written ({_first_line(error)}); choose another format.") from error


def open_onnx(path: Path) -> Run:
    """Load an ONNX file on the CPU. Raises ExportError, as does the returned function."""
    report_nothing()
    runtime = importlib.import_module("onnxruntime")
    state = runtime.capi.onnxruntime_pybind11_state
    failures = (
        RuntimeError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.RuntimeException,
        state.NotImplemented,
    )
    try:
        session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    except failures as error:
        raise ExportError(f"{path.name} was written but cannot be loaded ({_first_line(error)}).") from error

    def run(image: np.ndarray) -> np.ndarray:
        try:
            return session.run(["logits"], {"image": image})[0]
        except failures as error:
            raise ExportError(f"{path.name} was written but cannot be run ({_first_line(error)}).") from error

    return run


def open_pt2(path: Path) -> Run:
    """Load a .pt2 file that this program has just written: its archive may hold a pickle. Raises ExportError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.load(path).module()
    except (RuntimeError, ValueError, OSError) as error:
        raise ExportError(f"{path.name} was written but cannot be loaded ({_first_line(error)}).") from error

    def run(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            try:
                return module(torch.from_numpy(image)).numpy()
            except (RuntimeError, AssertionError) as error:
                raise ExportError(f"{path.name} was written but cannot be run ({_first_line(error)}).") from error

    return run


def open_segmenter(segmenter: Segmenter, device: str = "cpu") -> Run:
    """Run a copy of the network itself on a device, under the same contract: what the files are compared with."""
    network = copy.deepcopy(segmenter).to(device).eval()

    def run(image: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(image).to(device)
        with torch.no_grad():
            logits = network(network.normalisation.apply(pixels))
            return resize(logits, (pixels.shape[-2], pixels.shape[-1])).cpu().numpy()

    return run


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
