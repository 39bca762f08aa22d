"""The system libraries that Qt needs on Linux: which are missing, and the line that installs them.

The standard library alone: this runs before Qt is imported, and from `packaging/system_libraries.py` before anything is
installed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

# Library to load: Debian and Ubuntu package. These are what PySide6's Qt links against and does not carry itself.
FOR_QT = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
FOR_X11 = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


def loads(library: str) -> bool:
    """Ask the dynamic linker for a library: the same question that Qt's own loading asks."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing(libraries: Iterable[str], loads: Callable[[str], bool] = loads) -> list[str]:
    """List the libraries that cannot be loaded, in order."""
    return [library for library in libraries if not loads(library)]


def packages(libraries: Iterable[str]) -> list[str]:
    """Name the Debian and Ubuntu packages of some libraries."""
    known = FOR_QT | FOR_X11
    return sorted(known[library] for library in libraries)


def advice(libraries: Sequence[str]) -> str:
    """Give the one line that installs some libraries."""
    if shutil.which("apt-get"):
        return f"sudo apt-get update && sudo apt-get install -y {' '.join(packages(libraries))}"
    return "(install these libraries with your distribution's package manager)"


def complaint(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Say why a window cannot open here and what to do; empty where it can. Without this, Qt aborts the process."""
    if not platform.startswith("linux"):
        return ""
    chosen, wayland = environment.get("QT_QPA_PLATFORM", ""), environment.get("WAYLAND_DISPLAY")
    if not chosen and not wayland and not environment.get("DISPLAY"):
        return (
            "masktwins: there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can open.\n"
            "The sub-commands need no window; `masktwins --help` lists them, and `masktwins demo --headless` tries them out."
        )
    needs_x11 = chosen.startswith("xcb") or (not chosen and not wayland)
    lacking = missing(FOR_QT | FOR_X11 if needs_x11 else FOR_QT)
    if not lacking:
        return ""
    return (
        f"masktwins: the window needs system libraries that are not installed: {', '.join(lacking)}.\n"
        f"Run this line, then start masktwins again:\n\n  {advice(lacking)}\n"
    )
