"""A small share of the torture bench; all of it: `make torture`."""

import random
import sys

import pytest

from tests.core.sealed import is_possible
from tests.torture.bench import SHARES, plan_of, torture
from tests.torture.mutate import mutate
from tests.torture.planted import PLANTED

SEED = 1


@pytest.mark.skipif(sys.platform == "win32", reason="the worker ends inputs by a signal that Windows does not have")
def test_no_damaged_file_does_harm():
    plan = plan_of(300)
    assert {kind for kind, _ in plan} == set(SHARES)
    report = torture(plan, SEED)
    assert sum(report.counts.values()) == len(plan)
    assert not report.faults, "\n".join(f"{kind} {number}: {what}" for kind, number, what in report.faults)
    assert sum(n for (_, result), n in report.counts.items() if result == "refused") > len(plan) / 3


@pytest.mark.skipif(not is_possible, reason="needs seccomp, which this system does not have")
def test_the_bench_finds_what_does_harm():
    report = torture([(kind, 0) for kind in PLANTED], SEED, seconds=3)
    found = {kind: what for kind, _, what in report.faults}
    assert set(found) == (set(PLANTED) - {"planted native write"}) | {"any"}
    assert "KeyError" in found["planted error"]
    assert "beside.txt" in found["planted write"]
    assert "os.fork" in found["planted child"]
    assert "too long" in found["planted hang"]
    assert found["planted native hang"] == "hangs"
    for kind in ("planted program", "planted socket"):
        assert "ends the process (-31)" in found[kind]
    assert "was changed" in found["any"]


def test_the_same_seed_gives_the_same_damage():
    good = bytes(range(256)) * 4
    first, second = (mutate(good, good[::-1], random.Random("7/image/3"), is_text=False) for _ in range(2))
    assert first == second != good
