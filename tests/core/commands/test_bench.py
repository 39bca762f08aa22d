import time

import pytest

from core.commands import bench
from core.errors import RunError
from core.method.parts import part, timing


def test_every_part_of_the_step_is_measured(monkeypatch):
    changes = {"network.encoder": "tu-test_resnet", "training.crop_size": 32, "training.threads": 1}
    variants = ({"training.twin_forward": "separate"}, bench.BF16)
    monkeypatch.setattr(bench, "CASES", (bench.Case("tiny", changes, variants),))
    result = bench.run_bench(steps=2, device="cpu")
    (row,) = result["configurations"]
    assert row["seconds_per_step"] > 0
    assert set(row["parts"]) == {"data wait", *bench.PARTS, "rest"}
    assert all(seconds > 0 for seconds in row["parts"].values())
    assert min(result["gemm_gflops"], result["gemm_gflops_bf16"]) > 0
    assert row["step_to_plain"] > 0
    assert row["loaded_to_cached"] > 0
    assert set(row["variant_to_step"]) == {"training.twin_forward=separate", "training.precision=bf16"}
    assert min(row["variant_to_step"].values()) > 0
    assert row["memory_gib"] > 0
    assert "convolution 3×3, backward" in row["operators"]
    assert 0 < sum(row["operators"].values()) <= 1


def test_parts_are_timed_without_a_profiler_and_make_up_the_step(monkeypatch):
    changes = {"network.encoder": "tu-test_resnet", "training.crop_size": 32, "training.threads": 1}
    monkeypatch.setattr(bench, "CASES", (bench.Case("tiny", changes),))
    monkeypatch.setattr(bench, "_operators", lambda session, batch, steps: {})
    monkeypatch.setattr(bench, "profile", lambda **_: pytest.fail("a profiler was started"))
    (row,) = bench.run_bench(steps=3, device="cpu")["configurations"]
    assert row["parts"]["twins"] > row["parts"]["ema"] > 0
    assert 0 < row["parts"]["rest"] < sum(row["parts"].values())


def test_parts_add_up_over_the_steps_inside_and_cost_nothing_outside():
    waits = []
    with timing(lambda: waits.append(1)) as seconds:
        for _ in range(2):
            with part("twins"):
                time.sleep(0.01)
    with part("twins"):
        pass
    assert seconds.keys() == {"twins"}
    assert seconds["twins"] >= 0.02
    assert len(waits) == 4


def test_a_configuration_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(RunError, match=r"'tram'.*daformer mit_b0"):
        bench.run_bench(steps=1, device="cpu", only="tram")
