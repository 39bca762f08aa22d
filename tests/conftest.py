"""Shared fixtures: golden numbers of the released code, and real data where a machine has it."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _first_existing(variable: str, *candidates: Path) -> Path | None:
    """The path in the environment variable when it is set, even if nothing is there, else the first that exists."""
    if value := os.environ.get(variable):
        return Path(value)
    return next((path for path in candidates if path.exists()), None)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Folder of `golden.npz`: MASKTWINS_GOLDEN, else the full set beside the repository, else the compact copy in it."""
    folder = _first_existing("MASKTWINS_GOLDEN", REPOSITORY.parent / "shared/golden", REPOSITORY / "tests/golden")
    assert folder is not None
    assert (folder / "golden.npz").is_file(), f"{folder} holds no golden.npz; unset MASKTWINS_GOLDEN or correct it"
    return folder


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Mapping[str, np.ndarray]:
    """Inputs and outputs of the released code by name (float32, CPU)."""
    with np.load(golden_folder / "golden.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="session")
def camvid() -> Path:
    """Folder of the real day-to-dusk street images; the test is skipped where they are absent."""
    folder = _first_existing("MASKTWINS_DATA", REPOSITORY.parent / "shared/data")
    if folder is None or not (folder / "camvid_day_dusk").is_dir():
        pytest.skip("camvid_day_dusk is not here: set MASKTWINS_DATA to the folder that holds it")
    return folder / "camvid_day_dusk"
