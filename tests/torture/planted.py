"""Readers that do harm on purpose: the bench has to find each of them."""

from __future__ import annotations

import ctypes
import os
import socket
import time
from pathlib import Path

from tests.torture.readers import Read


def _write(path: Path) -> None:
    (path.parents[2] / "beside.txt").write_text("here")


def _native_write(path: Path) -> None:
    """Write without Python's knowledge, as a decoder would."""
    libc = ctypes.CDLL(None)
    handle = libc.open(os.fsencode(path.parents[2] / "sentinel" / "thesis.txt"), os.O_WRONLY | os.O_TRUNC)
    libc.close(handle)


def _native_hang(path: Path) -> None:
    sum(range(10**12))  # one call, within which Python looks at no signal


PLANTED: dict[str, Read] = {
    "planted error": lambda path: {}[path],
    "planted write": _write,
    "planted native write": _native_write,
    "planted program": lambda path: os.execv("/bin/true", ["true"]),
    "planted child": lambda path: os._exit(0) if os.fork() == 0 else None,
    "planted socket": lambda path: socket.socket(socket.AF_INET).close(),
    "planted hang": lambda path: time.sleep(1000),
    "planted native hang": _native_hang,
}
