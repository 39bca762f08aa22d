import importlib
import math
import sys
from collections import UserDict
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
WITHOUT_COUNTERPART = {"twin_acc1", "twin_acc2", "cj_param_batch_prob"}  # training accuracy, and who is jittered


@pytest.fixture
def parity(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests" / "studies"))
    yield importlib.import_module("parity")
    del sys.modules["parity"]


def disturbed(array):
    """One entry is off by more than any tolerance, relative to the largest."""
    array = array.copy()
    array.reshape(-1)[:1] += 1 if array.dtype.kind == "i" else 1e-4 * np.abs(array).max()
    return array


@pytest.mark.parametrize(
    ("own", "recorded", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([0.0], [0.0], 0),
        ([1e-9], [0.0], math.inf),
        ([math.nan], [1.0], math.inf),
        ([math.nan], [math.nan], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
        ([], [], 0),
    ],
)
def test_a_deviation_is_relative_to_the_largest_recorded(parity, own, recorded, expected):
    assert parity.deviation(own, recorded) == expected


def test_nothing_compared_is_not_a_success(parity):
    assert not parity.compare("group", "what", []).passed


def test_every_array_is_looked_at_and_near(parity, golden):
    class Read(UserDict):
        def __getitem__(self, name):
            seen.add(name)
            return super().__getitem__(name)

    seen = set()
    rows = [row for group in parity.GROUPS for row in group(Read(golden))]
    assert golden.keys() - seen == WITHOUT_COUNTERPART
    assert [row for row in rows if not row.passed] == []


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("masks", "mask_b_rand2"),
        ("pseudo_labels", "pl_weight_top3_bottom5"),
        ("teachers", "ema_a0.6_teacher_s"),
        ("class_mix", "cm_mixed_lbl_1"),
        ("cross_entropies", "ce_grad_weighted"),
        ("twins", "twin_loss_cm"),
        ("hrda", "hrda_grad_lr2"),
        ("sub_crops", "hrda_cropboxes_seed8"),
        ("rates", "lr_values"),
        ("groups", "opt_hrda_wd"),
        ("colours", "cj_norm_out"),
        ("blurs", "blur_1.1_kernel"),
        ("distances", "fd_gt_down"),
    ],
)
def test_a_disturbed_array_is_above_the_tolerance(parity, golden, group, name):
    rows = getattr(parity, group)({**golden, name: disturbed(golden[name])})
    assert not all(row.passed for row in rows)


def test_a_step_has_its_rows(parity, golden_folder):
    arrays = parity.read_arrays(golden_folder / "golden_step_plain.npz")
    if arrays is None:
        pytest.skip("golden_step_plain.npz is not here: set MASKTWINS_GOLDEN to the folder that holds it")
    arrays = {name: array for name, array in arrays.items() if name[0] not in "12"}  # one step is enough here
    names = (
        "0/teacher_logits",
        "0/plabel",
        "0/log/mix.decode.loss_seg",
        "0/grad/decode_head.conv_seg.weight",
        "0/ema/decode_head.conv_seg.weight",
        "0/after/decode_head.fuse_layer.bottleneck.bn.running_mean",
        "0/after/decode_head.conv_seg.bias",
    )
    assert [row.passed for row in parity.steps("plain", arrays)] == [True] * len(names)
    rows = list(parity.steps("plain", {**arrays, **{name: disturbed(arrays[name]) for name in names}}))
    assert [row.passed for row in rows] == [False] * len(names)


def test_the_chapters_table_has_the_rows_of_the_code(parity, golden):
    chapter = (REPOSITORY / "resources/guide/parity.md").read_text(encoding="utf-8")
    for group in parity.GROUPS:
        for row in group(golden):
            assert f"| {row.group} | {row.what} | " in chapter


def test_the_exit_status_tells(parity, golden, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["parity.py", str(tmp_path)])
    monkeypatch.setattr(parity, "GROUPS", (parity.rates,))
    assert parity.main() == 1
    assert f"{tmp_path} holds no golden.npz" in capsys.readouterr().err

    np.savez(tmp_path / "golden.npz", **{name: golden[name] for name in ("lr_iters", "lr_values")})
    assert parity.main() == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(
        "| group | what is compared | largest deviation | tolerance |\n|---|---|---|---|\n| lr |"
    )
    assert "golden_step_hrda.npz is not there" in captured.err

    np.savez(tmp_path / "golden.npz", lr_iters=golden["lr_iters"], lr_values=disturbed(golden["lr_values"]))
    assert parity.main() == 1
    assert "above the tolerance" in capsys.readouterr().err
