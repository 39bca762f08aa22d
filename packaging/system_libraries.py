"""Find the system libraries that Qt needs on Linux, and install what is missing where that is possible.

Runs before anything is installed, with the standard library alone:

    python packaging/system_libraries.py [--offscreen] [--check]

`--offscreen` leaves out what only a window on a screen needs (tests run without one); `--check` installs nothing.
Exit status 0: everything is there (now); 1: something is missing, and the line to run has been printed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

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
    """Whether the dynamic linker finds the library; the same question that Qt's own loading asks."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing(libraries: Iterable[str], loads: Callable[[str], bool] = loads) -> list[str]:
    """The libraries that cannot be loaded, in order."""
    return [library for library in libraries if not loads(library)]


def apt_prefix() -> list[str] | None:
    """What to put before apt-get so that it may install: nothing for root, `sudo -n`, or None where neither works."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def install(prefix: Sequence[str], packages: Sequence[str]) -> bool:
    """Install through apt without a question; on failure once more after refreshing its lists."""
    command = [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for attempt in range(2):
        if attempt:
            subprocess.run([*prefix, "apt-get", "update"], env=environment, check=False)
        if subprocess.run(command, env=environment, check=False).returncode == 0:
            return True
    return False


def advice(packages: Sequence[str]) -> str:
    """The one line to run by hand."""
    if shutil.which("apt-get"):
        return f"  sudo apt-get update && sudo apt-get install -y {' '.join(packages)}"
    return "  (install these libraries with your distribution's package manager, then run make again)"


def main(arguments: Sequence[str]) -> int:
    if not sys.platform.startswith("linux"):
        return 0
    libraries = FOR_QT if "--offscreen" in arguments else FOR_QT | FOR_X11
    lacking = missing(libraries)
    if not lacking:
        return 0
    packages = sorted(libraries[library] for library in lacking)
    print(f"Qt needs system libraries that are not installed: {', '.join(lacking)}")
    prefix = None if "--check" in arguments else apt_prefix()
    if prefix is not None:
        print(f"Installing the packages {' '.join(packages)} with apt-get …", flush=True)
        if install(prefix, packages) and not missing(lacking):
            print("Done.")
            return 0
        print("That did not work.")
    print("Please run this line, then make again:")
    print(advice(packages))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
