"""How near our code is to the released one: `.venv/bin/python tests/studies/parity.py [FOLDER]`.

Sends the recorded inputs of golden.npz, golden_step_plain.npz and golden_step_hrda.npz through our functions and prints a
Markdown table of the largest deviations from the recorded outputs. Exits with 1 where one is above its tolerance. FOLDER:
MASKTWINS_GOLDEN, else the compact copy in tests/golden, which has the first of the three steps.

A deviation is relative: the largest difference of two arrays over the largest magnitude in the recorded one. Each array is
compared by itself, so that a small one does not hide behind a large one.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.configuration.choices import Architecture, PerImage, TeacherStatistics
from core.configuration.training import TrainingConfig
from core.labels import IGNORE
from core.method.augment import blur_kernel_sizes, colour_jitter, gaussian_blur
from core.method.feature_distance import feature_distance, majority_class
from core.method.losses import DETAIL_WEIGHT, consistency, cross_entropy, twin_cross_entropy
from core.method.masks import block_masks
from core.method.mixing import draw_classes_of_batch, mix, paste_mask
from core.method.teacher import Teacher, ema_alpha, pseudo_label
from core.networks.families import build_empty, described
from core.networks.foreign import released_name
from core.networks.hrda import fuse, sliding_boxes
from core.networks.prediction import Box, Prediction, draw_box
from core.pixels import Normalisation
from core.training.optim import build_optimizer, learning_rate_factor, set_learning_rate
from tests.core.golden_steps import (
    KINDS,
    gradient_pairs,
    label_pairs,
    make_step,
    optimised,
    read_arrays,
    recorded_losses,
    recorded_steps,
    tensors,
)
from tests.core.golden_units import THINGS, Weights, chosen_table, golden_draw

COMPACT = Path(__file__).resolve().parents[2] / "tests" / "golden"
UNIT, COLOUR, LOGITS, GRADIENT = 1e-6, 1e-5, 1e-5, 1e-5  # tolerances; the latter two gather a network's rounding
CONSISTENCY_WEIGHT = 0.01  # in every recorded consistency loss
OFFSET_STEP = 8  # pixels between HRDA's sub-crops

Arrays = Mapping[str, np.ndarray]
Pair = tuple[Any, Any]  # ours, recorded


@dataclass(frozen=True)
class Comparison:
    """One row of the table."""

    group: str
    what: str
    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.deviation <= self.tolerance


def compare(group: str, what: str, pairs: Iterable[Pair], tolerance: float = UNIT) -> Comparison:
    """The largest deviation among pairs of arrays; infinite where there is none to compare."""
    return Comparison(group, what, max((deviation(*pair) for pair in pairs), default=math.inf), tolerance)


def deviation(own: Any, recorded: Any) -> float:
    """Largest difference over the largest magnitude recorded; infinite for other shapes and for what is not a number."""
    mine, theirs = (np.asarray(v.detach() if isinstance(v, Tensor) else v, np.float64) for v in (own, recorded))
    if mine.shape != theirs.shape:
        return math.inf
    if np.array_equal(mine, theirs):
        return 0.0
    difference, scale = np.abs(mine - theirs).max(), np.abs(theirs).max()
    return float(difference / scale) if scale > 0 and np.isfinite(difference) else math.inf


# Groups of golden.npz --------------------------------------------------------------------------


def masks(golden: Arrays) -> Iterator[Comparison]:
    grids: list[Pair] = []
    pictures: list[Pair] = []
    for case in "abcd":
        _, height, width, _, ratio = golden[f"mask_{case}_cfg"]
        size = int(height), int(width)
        uniform = golden[f"mask_{case}_uniform"]
        mask = block_masks(uniform, ratio, *size)
        grids.append((mask, golden[f"mask_{case}_mask"]))
        if case == "d":  # has no picture
            continue
        generator = torch.Generator().manual_seed(11)  # gives `uniform`, then the other mask of the random pair
        grids.append((torch.rand(uniform.shape, generator=generator), uniform))
        other = block_masks(torch.rand(uniform.shape, generator=generator).numpy(), 1 - ratio, *size)
        image = golden[f"mask_{case}_img"]
        for name, keep in (("twin1", mask), ("twin2", ~mask), ("rand1", mask), ("rand2", other)):
            pictures.append((image * keep, golden[f"mask_{case}_{name}"]))
    yield compare("mask", "block masks", grids)
    yield compare("mask", "complementary twins, random pair", pictures)


def pseudo_labels(golden: Arrays) -> Iterator[Comparison]:
    label, q = pseudo_label(torch.from_numpy(golden["pl_logits"]), float(golden["pl_threshold"]), PerImage.BATCH)
    tie, _ = pseudo_label(torch.from_numpy(golden["pl_tie_logits"]), 0.5)
    yield compare("pl", "labels, ties", [(label, golden["pl_label"]), (tie, golden["pl_tie_label"])])
    weight = q[:, None, None].expand(label.shape)
    inner = torch.ones_like(weight)
    inner[:, :3] = inner[:, -5:] = 0
    valid = {
        "weight": torch.ones_like(weight),
        "weight_valid": torch.from_numpy(golden["pl_valid_mask"])[:, 0],
        "weight_top3_bottom5": inner,
    }
    yield compare("pl", "weights", [(weight * v, golden[f"pl_{name}"]) for name, v in valid.items()])


def teachers(golden: Arrays) -> Iterator[Comparison]:
    pairs: list[Pair] = []
    for alpha in (0.999, 0.6):
        recorded = {
            name: golden[f"ema_a{alpha}_{name}"] for name in ("student_w", "student_s", "teacher_w", "teacher_s")
        }
        students = list(zip(recorded["student_w"], recorded["student_s"], strict=True))
        teacher = Teacher(Weights(*(np.zeros_like(v) for v in students[0])), TeacherStatistics.BATCH)
        for t, student in enumerate(students):
            teacher.update(Weights(*student), t, alpha)
            pairs += [(getattr(teacher.network, n).clone(), recorded[f"teacher_{n}"][t]) for n in ("w", "s")]
        pairs.append(([ema_alpha(t, alpha) for t in range(len(students))], golden[f"ema_a{alpha}_alpha_it"]))
    yield compare("ema", "teacher's weights and α over six iterations", pairs)


class ReleasedDraws:
    """The methods of numpy's Generator that our draws use, on the legacy generator of the released code."""

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)

    def choice(self, values: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return values[self._state.choice(len(values), size, replace=replace)]

    def integers(self, high: int) -> int:
        return self._state.randint(high)


def class_mix(golden: Arrays) -> Iterator[Comparison]:
    labels = golden["cm_labels"].astype(np.uint8)
    rng: Any = ReleasedDraws(int(golden["cm_np_seed"]))
    pairs: list[Pair] = []
    for i, drawn in enumerate(draw_classes_of_batch(labels[:, 0], rng)):
        pairs.append((np.flatnonzero(drawn), np.unique(golden[f"cm_chosen_{i}"])))
        label = torch.from_numpy(golden["cm_labels"][i])
        mask = paste_mask(label, chosen_table(golden[f"cm_chosen_{i}"]))
        image, target, pseudo, q = (
            torch.from_numpy(golden[f"cm_{name}"][i : i + 1]) for name in ("img", "tgt_img", "plabel", "pweight")
        )
        pairs += [
            (mask, golden["cm_masks"][i, 0]),
            (mix(mask, image, target), golden[f"cm_mixed_img_{i}"]),
            (mix(mask, label, pseudo), golden[f"cm_mixed_lbl_{i}"][0]),
            (mix(mask, torch.ones_like(q), q), golden[f"cm_mixed_w_{i}"][0]),
        ]
    yield compare("cm", "classes drawn, masks, mixed images, labels and weights", pairs)


def cross_entropies(golden: Arrays) -> Iterator[Comparison]:
    logits = leaf(golden["ce_logits"])
    label, weight = (torch.from_numpy(golden[f"ce_{name}"]) for name in ("label", "weight"))
    loss = cross_entropy(logits, label, weight)
    loss.backward()
    found = {"loss_unweighted": cross_entropy(logits, label), "loss_weighted": loss, "grad_weighted": logits.grad}
    yield compare("ce", "losses and gradient", [(value, golden[f"ce_{name}"]) for name, value in found.items()])


def twins(golden: Arrays) -> Iterator[Comparison]:
    z1, z2 = leaf(golden["twin_logits1"]), leaf(golden["twin_logits2"])
    label, weight = torch.from_numpy(golden["twin_label"])[:, 0], torch.from_numpy(golden["twin_weight"])
    found = {
        "loss_ce1": cross_entropy(z1, label, weight),
        "loss_ce2": cross_entropy(z2, label, weight),
        "loss_seg": twin_cross_entropy([Prediction(z1), Prediction(z2)], label, weight, 0.5),
        "loss_cm": float(golden["twin_cm_weight"]) * consistency([z1, z2]),
    }
    found["loss_total"] = found["loss_seg"] + found["loss_cm"]
    found["loss_total"].backward()
    yield compare("twin", "losses", [(value, golden[f"twin_{name}"]) for name, value in found.items()])
    yield compare("twin", "gradients", [(z.grad, golden[f"twin_grad{k}"]) for k, z in ((1, z1), (2, z2))])


def hrda(golden: Arrays) -> Iterator[Comparison]:
    """Fused logits, and the losses of both twins with their gradients."""
    low, high, attention = ({k: leaf(golden[f"hrda_{n}_logits_{k}"]) for k in (1, 2)} for n in ("lr", "hr", "att"))
    boxes = {k: Box(*map(int, golden[f"hrda_box_{k}"])) for k in (1, 2)}
    fused = {k: fuse(low[k], high[k], attention[k], Box(*(v // 4 for v in boxes[k]))) for k in (1, 2)}
    whole = {name: torch.from_numpy(golden[f"hrda_slide_{name}"]) for name in ("lr", "hr", "att")}
    sliding = fuse(whole["lr"], whole["hr"], whole["att"])
    found = [(sliding, golden["hrda_slide_fused"]), *((fused[k], golden[f"hrda_fused_{k}"]) for k in (1, 2))]
    yield compare("hrda", "fused logits, of sub-crops and of sliding windows", found)
    losses = hrda_losses(golden, [Prediction(fused[k], high[k], boxes[k]) for k in (1, 2)])
    losses["total"].backward()
    yield compare("hrda", "losses", [(value, golden[f"hrda_{name}"]) for name, value in losses.items()])
    gradients = {f"{name}{k}": z.grad for name, of in (("lr", low), ("hr", high)) for k, z in of.items()}
    yield compare("hrda", "gradients", [(value, golden[f"hrda_grad_{name}"]) for name, value in gradients.items()])


def hrda_losses(golden: Arrays, views: list[Prediction]) -> dict[str, Tensor]:
    """By their recorded names; "total" is our own sum, of which the others are the parts."""
    label, weight = torch.from_numpy(golden["hrda_label"][:, 0]), torch.from_numpy(golden["hrda_weight"])
    details = []
    for view in views:
        assert view.detail is not None
        assert view.box is not None
        y1, y2, x1, x2 = view.box
        details.append(cross_entropy(view.detail, label[:, y1:y2, x1:x2], weight[:, y1:y2, x1:x2]))
    whole = twin_cross_entropy([Prediction(view.logits) for view in views], label, weight, 0.5)
    agreement = CONSISTENCY_WEIGHT * consistency([view.logits for view in views])
    return {
        "loss_seg": (1 - DETAIL_WEIGHT) * whole,
        "hr_loss_seg": DETAIL_WEIGHT * torch.stack(details).mean(),
        "cm_loss_seg": agreement,
        "total": twin_cross_entropy(views, label, weight, 0.5) + agreement,
    }


def sub_crops(golden: Arrays) -> Iterator[Comparison]:
    rng: Any = ReleasedDraws(8)
    drawn = [draw_box(256, 256, OFFSET_STEP, rng, last_position=False) for _ in golden["hrda_cropboxes_seed8"]]
    pairs = [(drawn, golden["hrda_cropboxes_seed8"]), (sliding_boxes(256, 256), golden["hrda_slide_boxes"])]
    yield compare("hrda", "sub-crops drawn, sliding windows", pairs)


def rates(golden: Arrays) -> Iterator[Comparison]:
    pairs = zip(golden["lr_iters"], golden["lr_values"], strict=True)
    own = [(6e-5 * learning_rate_factor(int(t), 40000, 1500), value) for t, value in pairs]
    yield compare("lr", "learning rate with warm-up", own)


def groups(golden: Arrays) -> Iterator[Comparison]:
    """The recorded names are those of MiT with two blocks per stage and DAFormer's head: mit_b0's."""
    for kind in KINDS:
        description = described(Architecture.DAFORMER, "mit_b0", hrda=kind == "hrda")
        network = build_empty(description, 19, Normalisation())
        optimizer = build_optimizer(network, TrainingConfig())
        set_learning_rate(optimizer, TrainingConfig(warmup_steps=0), 0)
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        own = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
        columns = (golden[f"opt_{kind}_{part}"] for part in ("names", "lr", "wd"))
        recorded = {
            released_name(name.removeprefix("model.")): values
            for name, *values in zip(*columns, strict=True)
            if name.startswith("model.")
        }
        pairs = [
            (mine, theirs)
            for name in own.keys() | recorded.keys()
            for mine, theirs in zip(own.get(name, (math.nan,) * 2), recorded.get(name, (math.nan,) * 2), strict=True)
        ]
        yield compare(f"opt, {kind}", f"rate and decay of {len(recorded)} parameters", pairs)


def colours(golden: Arrays) -> Iterator[Comparison]:
    normalisation = Normalisation()
    plain = colour_jitter(torch.from_numpy(golden["cj_in"]), golden_draw(golden))
    undone = normalisation.undo(torch.from_numpy(golden["cj_norm_in"]))
    normalised = normalisation.apply(colour_jitter(undone, golden_draw(golden)))
    pairs = [(plain, golden["cj_out"]), (normalised, golden["cj_norm_out"])]
    yield compare("cj", "colour jitter of plain and of normalised images", pairs, COLOUR)


def blurs(golden: Arrays) -> Iterator[Comparison]:
    image = torch.from_numpy(golden["cj_norm_in"])
    pairs: list[Pair] = []
    for sigma in (0.5, 1.1):
        pairs.append((gaussian_blur(image, sigma), golden[f"blur_{sigma}_out"]))
        pairs.append((blur_kernel_sizes(*image.shape[2:]), golden[f"blur_{sigma}_kernel"]))
    yield compare("blur", "Gaussian blur, kernel sizes", pairs)


def distances(golden: Arrays) -> Iterator[Comparison]:
    label = torch.from_numpy(golden["fd_gt"][:, 0].astype(np.uint8))
    things = majority_class(label, (8, 8), THINGS) != IGNORE
    first, second = (torch.from_numpy(golden[f"fd_f{k}"]) for k in (1, 2))
    pairs = [
        (majority_class(label, (8, 8), range(19)), golden["fd_gt_down"][:, 0]),
        (things, golden["fd_mask"][:, 0]),
        (feature_distance(first, second, things), golden["fd_dist"]),
    ]
    yield compare("fd", "shrunk labels, mask of things, feature distance", pairs)


GROUPS = (
    masks, pseudo_labels, teachers, class_mix, cross_entropies, twins, hrda, sub_crops, rates, groups, colours,
    blurs, distances,
)  # fmt: skip


def leaf(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).requires_grad_()


# Whole steps -----------------------------------------------------------------------------------


def steps(kind: str, arrays: Arrays) -> Iterator[Comparison]:
    """Each step from the released state before it."""
    done = {i: make_step(kind, arrays, i) for i in recorded_steps(arrays)}
    group = f"{'step' if len(done) == 1 else f'{len(done)} steps'}, {kind}"
    labels = [list(label_pairs(done[i], arrays, i)) for i in done]
    yield compare(group, "teacher's logits", [logits for logits, *_ in labels], LOGITS)
    made = "pseudo-labels, mixed images" if "0/mixed_img" in arrays else "pseudo-labels"  # as `label_pairs`
    yield compare(group, made, [pair for _, *rest in labels for pair in rest])
    losses = [(done[i].losses[name], value) for i in done for name, value in recorded_losses(arrays, i).items()]
    yield compare(group, "losses", losses)
    gradients = [pair for i in done for pair in gradient_pairs(done[i], arrays, i).values()]
    yield compare(group, "gradients, but those whose true value is zero", gradients, GRADIENT)
    averages = [
        (done[i].teacher.state_dict()[name], value)
        for i in done
        for name, value in tensors(arrays, f"{i}/ema/").items()
    ]
    yield compare(group, "teacher's weights and buffers", averages)
    after = {i: tensors(arrays, f"{i}/after/") for i in done}
    buffers = [(value, after[i][name]) for i in done for name, value in done[i].student.named_buffers()]
    yield compare(group, "student's batch-norm buffers", buffers)
    weights = [(p, after[i][name]) for i in done for name, p in optimised(kind, arrays, i).named_parameters()]
    yield compare(group, "weights after AdamW on the recorded gradients", weights)


# The table -------------------------------------------------------------------------------------


def table(rows: Iterable[Comparison]) -> str:
    """Markdown."""
    lines = ["| group | what is compared | largest deviation | tolerance |", "|---|---|---|---|"]
    lines += [f"| {r.group} | {r.what} | {_number(r.deviation)} | {_number(r.tolerance)} |" for r in rows]
    return "\n".join(lines)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")


def measured(golden: Arrays, folder: Path) -> list[Comparison]:
    """All rows; says on stderr which steps the folder has not got."""
    rows = [row for group in GROUPS for row in group(golden)]
    for kind in KINDS:
        path = folder / f"golden_step_{kind}.npz"
        recorded = read_arrays(path)
        if recorded is None:
            print(f"{path} is not there: these steps are left out.", file=sys.stderr)
        else:
            rows += steps(kind, recorded)
    return rows


def main() -> int:
    """Print the table; 1 where a deviation is above its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MASKTWINS_GOLDEN") or COMPACT)
    parser.add_argument("folder", type=Path, nargs="?", default=default, metavar="FOLDER")
    folder = parser.parse_args().folder
    golden = read_arrays(folder / "golden.npz")
    if golden is None:
        print(f"{folder} holds no golden.npz: name the folder that holds it.", file=sys.stderr)
        return 1
    rows = measured(golden, folder)
    print(table(rows))
    failed = [row for row in rows if not row.passed]
    for row in failed:
        print(f"{row.group}, {row.what}: above the tolerance.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
