from pathlib import Path

import numpy as np
import pytest

from core.runs.create import create_run
from core.runs.folder import RunFolder
from tests.core.tiny import tiny_config, write_scene


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """Two cameras with 6, 5 and 3 images of 64 × 64 pixels: source, target and eval."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    for name, count, dark, labels in (("source", 6, False, True), ("target", 5, True, False), ("eval", 3, True, True)):
        for i in range(count):
            write_scene(root / name, f"{name}{i}", rng, dark=dark, labels=labels)
    return root


@pytest.fixture
def make_run(tiny_data, tmp_path):
    """Make a run's folder; settings as keywords, section__field=value."""

    def make(name: str = "run", **changes) -> RunFolder:
        return create_run(tiny_config(tiny_data, **changes), tmp_path / name)

    return make
