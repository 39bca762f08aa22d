"""A small share of the disk's faults; all of them, in training too: `make torture`."""

import sys

import pytest

from core.configuration import settings
from tests.torture.faults import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="handles are looked up in /proc")


def test_a_fault_of_the_disk_loses_nothing():
    tried, problems = run(every=9, names=("save", "export", "predict"))
    assert tried >= 10
    assert not problems, "\n".join(problems)


def test_a_plain_write_would_be_found(monkeypatch):
    monkeypatch.setattr(settings, "write_atomic", lambda path, text: path.write_text(text))
    _, problems = run(every=1, names=("save",))
    assert any("afterwards: " in problem for problem in problems)
