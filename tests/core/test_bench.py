from core import bench


def test_every_part_of_the_step_is_measured(monkeypatch):
    changes = {"network.encoder": "tu-test_resnet", "training.crop_size": 32, "training.threads": 1}
    monkeypatch.setattr(bench, "CASES", (bench.Case("tiny", changes),))
    result = bench.run_bench(steps=2, device="cpu")
    (row,) = result["configurations"]
    assert row["seconds_per_step"] > 0
    assert set(row["parts"]) == {"data wait", *bench.PARTS}
    assert all(seconds > 0 for seconds in row["parts"].values())
    assert result["gemm_gflops"] > 0
