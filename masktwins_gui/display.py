"""Whether a display answers. Qt ends the process with a core dump where none does, so that it is asked first.

The standard library alone: this runs before Qt is imported.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping

TIMEOUT_S = 3.0
X11_PORT = 6000


def unreachable(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Say that no display answers, and what to do; empty where one does, or where Qt needs none."""
    if not platform.startswith("linux") or environment.get("QT_QPA_PLATFORM", "") not in ("", "xcb", "wayland"):
        return ""
    display, wayland = environment.get("DISPLAY", ""), environment.get("WAYLAND_DISPLAY", "")
    if (wayland and _wayland_answers(wayland, environment)) or (display and _x11_answers(display)):
        return ""
    names = " and ".join(name for name in (display, wayland) if name)
    return (
        f"masktwins: the display {names} does not answer, so no window can open. Check DISPLAY; over ssh, connect with "
        "ssh -X.\nThe sub-commands need no window; `masktwins --help` lists them."
    )


def _wayland_answers(name: str, environment: Mapping[str, str]) -> bool:
    return _answers(socket.AF_UNIX, os.path.join(environment.get("XDG_RUNTIME_DIR", "/"), name))  # noqa: PTH118


def _x11_answers(display: str) -> bool:
    match = re.fullmatch(r"(?P<host>.*):(?P<number>\d+)(\.\d+)?", display)
    if match is None:
        return True  # a kind of name that only the library knows
    host, number = match["host"].rpartition("/")[2], int(match["number"])
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        return _answers(socket.AF_UNIX, path) or _answers(socket.AF_UNIX, f"\0{path}")
    return _answers(socket.AF_INET, (host.strip("[]"), X11_PORT + number))


def _answers(family: int, address: str | tuple[str, int]) -> bool:
    try:
        if isinstance(address, tuple):
            socket.create_connection(address, TIMEOUT_S).close()
        else:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(address)
    except (OSError, ValueError, OverflowError):
        return False
    return True
