import os

import pytest

from core.loading import prefetch
from core.loading.prefetch import default_threads


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(1, 1, 2), (2, 1, 2), (6, 1, 6), (64, 1, 8), (64, 16, 4), (8, 8, 2)]
)
def test_threads_follow_the_cores_within_bounds(monkeypatch, cores, processes, threads):
    monkeypatch.setattr(prefetch.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_threads(processes) == threads


def test_where_the_system_has_no_affinity_the_cores_are_counted(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(prefetch.os, "cpu_count", lambda: 5)
    assert default_threads() == 5
    monkeypatch.setattr(prefetch.os, "cpu_count", lambda: None)
    assert default_threads() == 2
