"""Nothing leaves this machine: libraries that report their use are told not to, before they are loaded.

The only exception are weights that the user asks for by name, which timm downloads. Importable without torch.
"""

from __future__ import annotations

import os

_OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime 1.29 and later: a device id in the user's cache folder, and events to its vendor
    "HF_HUB_DISABLE_TELEMETRY": "1",  # Hugging Face's client, with which timm downloads weights
}


def report_nothing() -> None:
    """Switch off the reports. The libraries read this when they are imported."""
    os.environ.update(_OFF)
