import importlib.util
import re
import sys
from pathlib import Path

import pytest

from core.configuration.choices import Architecture
from core.networks.families import described
from core.networks.licences import NVIDIA

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def network_table():
    spec = importlib.util.spec_from_file_location(
        "network_table", REPOSITORY / "tests" / "studies" / "network_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["network_table"] = module  # where its dataclass looks up its annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["network_table"]


@pytest.fixture
def small(network_table, monkeypatch):
    Network = network_table.Network
    rows = (Network(Architecture.LINEAR, "mit_b0", "one"), Network(Architecture.DPT, "tu-test_vit", "two", hrda=True))
    monkeypatch.setattr(network_table, "NETWORKS", rows)
    return network_table


def test_a_row_says_all_that_is_known(small):
    times = {"`linear` `mit_b0`": "0.25"}
    first, second = small.table(times).splitlines()[2:]
    assert "| 3.3 M |" in first
    assert "| 0.25 | one |" in first
    assert first.count(NVIDIA) == 2
    assert "`dpt` `tu-test_vit` with HRDA" in second
    assert "| Apache-2.0 | – | two |" in second


def test_the_seconds_that_stand_there_are_kept(small):
    text = f"before\n{small.START}{small.END}\nafter"
    once = small.updated(text, {"`linear` `mit_b0`": "0.25"})
    assert small.updated(once, small.standing(once)) == once
    assert once.startswith(f"before\n{small.START}\n\n| network")
    assert once.endswith(f"\n\n{small.END}\nafter")


def test_seconds_are_measured_with_a_session(small, monkeypatch):
    monkeypatch.setattr(small, "NETWORKS", (small.NETWORKS[0], small.Network(Architecture.UNET, "resnet18", "")))
    monkeypatch.setattr(small, "CROP", 64)
    monkeypatch.setattr(small, "STEPS", 1)
    times = small.measured()
    assert list(times) == ["`linear` `mit_b0`", "`unet` `resnet18`"]
    assert all(re.fullmatch(r"\d+\.\d\d", seconds) for seconds in times.values())


def test_without_a_place_for_it_nothing_is_written(small, monkeypatch, tmp_path, capsys):
    chapter = tmp_path / "networks.md"
    chapter.write_text("none", encoding="utf-8")
    monkeypatch.setattr(small, "CHAPTER", chapter)
    monkeypatch.setattr(sys, "argv", ["network_table.py", "--no-times"])
    assert small.main() == 1
    assert small.START in capsys.readouterr().err
    assert chapter.read_text(encoding="utf-8") == "none"


def test_the_chapters_table_has_the_rows_of_the_code(network_table):
    standing = network_table.standing(network_table.CHAPTER.read_text(encoding="utf-8"))
    assert list(standing) == [network_table.name_of(row) for row in network_table.NETWORKS]


def test_every_row_is_described(network_table):
    names = [network_table.name_of(row) for row in network_table.NETWORKS]
    assert len(names) == len(set(names))
    for row in network_table.NETWORKS:
        assert row.use
        assert described(row.architecture, row.encoder, hrda=row.hrda).code_licence
