#!/bin/sh
# Make .venv with the given Python and install this checkout into it: make_environment.sh PYTHON REQUIREMENT
set -eu
python=$1
requirement=$2

if [ -z "$python" ]; then
    echo "MaskTwins needs Python 3.11 or newer, and none was found on the PATH." >&2
    echo "Install one (https://www.python.org/downloads/), or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "MaskTwins needs Python 3.11 or newer; $python is $("$python" -V 2>&1 | cut -d' ' -f2)." >&2
    echo "Name another one: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making the environment .venv with $("$python" -V) …"
    if ! "$python" -m venv --clear .venv; then
        rm -rf .venv
        echo "The environment could not be made. On Debian and Ubuntu: sudo apt-get install -y python3-venv" >&2
        exit 1
    fi
fi
echo "Installing MaskTwins and what it needs into .venv (about 6 GB the first time) …"
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -e "$requirement"; then
    echo "The installation failed; pip's message above says why. It needs a network connection and about 6 GB." >&2
    exit 1
fi
