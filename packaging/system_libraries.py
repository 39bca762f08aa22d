"""Find the system libraries that Qt needs on Linux, and install what is missing where that is possible.

Runs before anything is installed, with the standard library alone:

    python packaging/system_libraries.py [--offscreen] [--check]

`--offscreen` leaves out what only a window on a screen needs (tests run without one); `--check` installs nothing.
Exit status 0: everything is there (now); 1: something is missing, and the line to run has been printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout: nothing is installed yet

from masktwins_gui.system_libraries import FOR_QT, FOR_X11, advice, missing, packages


def apt_prefix() -> list[str] | None:
    """Find what to put before apt-get so that it may install: nothing for root, `sudo -n`, or None where neither works."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def install(prefix: Sequence[str], names: Sequence[str]) -> bool:
    """Install through apt without a question; on failure once more after refreshing its lists."""
    command = [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *names]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for attempt in range(2):
        if attempt:
            subprocess.run([*prefix, "apt-get", "update"], env=environment, check=False)
        if subprocess.run(command, env=environment, check=False).returncode == 0:
            return True
    return False


def main(arguments: Sequence[str]) -> int:
    if not sys.platform.startswith("linux"):
        return 0
    lacking = missing(FOR_QT if "--offscreen" in arguments else FOR_QT | FOR_X11)
    if not lacking:
        return 0
    print(f"Qt needs system libraries that are not installed: {', '.join(lacking)}")
    prefix = None if "--check" in arguments else apt_prefix()
    if prefix is not None:
        print(f"Installing the packages {' '.join(packages(lacking))} with apt-get …", flush=True)
        if install(prefix, packages(lacking)) and not missing(lacking):
            print("Done.")
            return 0
        print("The installation failed.")
    print(f"Run this line, then make again:\n  {advice(lacking)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
