"""The measurement of how the work on data grows, `tests/studies/scaling.py`: it does the work, and says what it cost."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from core.dataset.folders import scan

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    pytest.importorskip("resource")  # the system's count of memory, not there on Windows
    spec = importlib.util.spec_from_file_location("scaling", REPOSITORY / "tests" / "studies" / "scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_data_are_flawless_pairs_of_links(scaling, tmp_path):
    scaling.make_data(tmp_path, 2 * scaling.NUM_FILES)
    found = scan(tmp_path / "source/images", tmp_path / "source/labels")
    assert len(found.pairs) == 2 * scaling.NUM_FILES
    assert found.problems == ()
    assert {pair.image.stat().st_nlink for pair in found.pairs} == {3}  # the original and two links
    report = scaling.check(tmp_path)()
    assert report.problems == ()
    assert report.statistics.domains["target"].num_read == 2 * scaling.NUM_FILES


def test_what_is_counted(scaling, tmp_path):
    scaling.make_data(tmp_path, 5)
    assert scaling.count(tmp_path)().sum() == 5 * scaling.SIDE**2
    measured = scaling.measure("scan", tmp_path)
    assert measured.keys() == {"seconds", "cpu_seconds", "mib"}
    assert measured["mib"] > 10


def test_a_size_is_measured_from_the_command_line(scaling, capsys):
    assert scaling.main(["4", "--only", "scan"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["4"]["scan"]["mib"] > 10
    assert err.splitlines()[0] == "| image pairs | scan |"
    assert err.splitlines()[2].startswith("| 4 | ")


def test_a_measurement_ends_at_its_limit(scaling, tmp_path):
    scaling.make_data(tmp_path, 1)
    assert scaling.measure_apart("scan", tmp_path, limit=0.001) is None
    assert "over the limit" in scaling.table({1: {"scan": None}})
