"""`masktwins doctor`: report what this installation can do, what is missing, and the remedy."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

PACKAGES = (
    "torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy", "opencv-python-headless", "Pillow",
    "pydantic", "safetensors", "filelock",
)  # fmt: skip
WINDOW = {"PySide6": "PySide6-Essentials", "pyqtgraph": "pyqtgraph", "wakepy": "wakepy"}
EXPORT = {"onnx": "onnx", "onnxscript": "onnxscript", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class Finding:
    name: str
    ok: bool  # False: something that the program needs is missing
    value: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Examine the interpreter, the packages, the device, the memory and the licences."""
    findings = [Finding("python", sys.version_info >= (3, 11), platform.python_version())]
    findings += [_package(name) for name in PACKAGES]
    findings.append(_group("window", WINDOW, "pip install masktwins"))
    findings.append(_group("ONNX export", EXPORT, 'pip install "masktwins[export]"'))
    findings.append(_opencv())
    findings += [_device(), _memory(), _licences()]
    return findings


def _package(name: str) -> Finding:
    try:
        return Finding(name, ok=True, value=version(name))
    except PackageNotFoundError:
        return Finding(name, ok=False, value="missing", remedy="pip install masktwins")


def _group(title: str, modules: dict[str, str], remedy: str) -> Finding:
    missing = [package for module, package in modules.items() if find_spec(module) is None]
    if missing:
        return Finding(title, ok=True, value=f"not available: {', '.join(missing)} missing", remedy=remedy)
    return Finding(title, ok=True, value="available")


def _opencv() -> Finding:
    try:
        found = version("opencv-python")
    except PackageNotFoundError:
        return Finding("OpenCV's own Qt", ok=True, value="absent")
    remedy = "pip uninstall opencv-python && pip install --force-reinstall opencv-python-headless"
    return Finding(
        "OpenCV's own Qt", ok=False, value=f"opencv-python {found} brings Qt plugins of its own", remedy=remedy
    )


def _device() -> Finding:
    import torch

    from core.networks.device import choose_device, nvidia_card_present

    device, reason = choose_device()
    remedy = ""
    if device == "cpu" and nvidia_card_present() and torch.version.cuda is None:
        remedy = "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cu126"
    return Finding("device", ok=True, value=f"{device} ({reason})", remedy=remedy)


def _memory() -> Finding:
    import psutil

    available = psutil.virtual_memory().available / 2**30
    return Finding("memory", ok=available > 2, value=f"{available:.1f} GiB available, {os.cpu_count()} cores")


def _licences() -> Finding:
    from core.networks.licences import code_licence

    text = f"default encoder: {code_licence('tu-pvt_v2_b0')}; mit_* encoders: {code_licence('mit_b0')}"
    return Finding("licences of encoders", ok=True, value=text)
