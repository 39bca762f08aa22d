"""Every random draw of a run: a generator per seed, step and purpose, so that no loader state needs saving."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, t: int, purpose: str) -> np.random.Generator:
    """Return the generator of one purpose at step t, equal on every machine and independent of other purposes and steps."""
    # crc32: Python's hash() of a string differs from process to process.
    return np.random.default_rng(np.random.SeedSequence((seed, t, zlib.crc32(purpose.encode()))))
