"""Our training step on the recorded weights, draws and choices of golden_step_plain.npz and golden_step_hrda.npz.

Before each step student, teacher and their buffers are loaded from the released state, as the golden README says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.method.draws import BoxDraws, StepDraws
from core.method.step import Images, Losses, PseudoLabel, masktwins_step, mixed
from core.method.student import Student
from core.method.teacher import Teacher, pseudo_label
from core.networks.foreign import released_name
from core.networks.prediction import Box
from core.networks.segmenter import Segmenter, resize
from core.pixels import Normalisation
from core.training.optim import build_optimizer
from tests.core.released import load_released, released_network

RELEASED = {  # every choice in which ours differs, as the released code has it
    "training.twin_forward": "separate",
    "training.masked_statistics": True,
    "training.teacher_statistics": "batch",
    "training.pseudo_label_share": "batch",
    "training.target_batch_size": 1,
    "training.twin_sub_crops": "separate",
    "training.last_sub_crop": False,
    "augment.class_mix_from": "batch",
    "augment.jitter_model": "additive",
    "training.pseudo_label_threshold": 0.24,
    "training.ema_alpha": 0.999,
    "training.crop_size": 128,
    "mask.block_size": 16,
}
IDENTITY = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # the recorded images are normalised already
KINDS = ("plain", "hrda")
STEPS = range(3)
RATE, HEAD_RATE = 6e-5, 6e-4  # constant: the golden steps leave the schedule out
LOSSES = {  # ours, and the recorded ones whose sum it is
    "source": ("decode.loss_seg", "decode.hr.loss_seg"),
    "mix": ("mix.decode.loss_seg", "mix.decode.hr.loss_seg"),
    "twins": ("masked.decode.loss_seg", "masked.decode.hr.loss_seg"),
    "consistency": ("masked.decode.cm.loss_seg",),
}

Arrays = Mapping[str, np.ndarray]
Pair = tuple[Tensor, Tensor]  # ours, recorded


@dataclass(frozen=True)
class Done:
    """What a step has left behind; gradients are in the student's parameters."""

    student: Segmenter
    teacher: nn.Module
    teacher_logits: Tensor  # of the target images, (B, C, h, w)
    losses: Losses


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz file; None where there is no such file."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def recorded_steps(arrays: Arrays) -> list[int]:
    """Which steps the arrays hold: the compact copy has the first alone."""
    return [i for i in STEPS if f"{i}/blockmask" in arrays]


def released_config() -> RunConfig:
    return with_changes(RunConfig(), RELEASED)


def tensors(arrays: Arrays, prefix: str) -> dict[str, Tensor]:
    """By our names."""
    return {
        released_name(name.removeprefix(prefix)): torch.from_numpy(arrays[name])
        for name in arrays
        if name.startswith(prefix)
    }


def without_noise(name: str, gradient: Tensor) -> Tensor:
    """The entries of a parameter's gradient whose true value is not zero; of the others there is but rounding.

    The keys' half (the first) of an attention's bias cancels in the softmax, the attention head's in its batch norm.
    """
    if name.endswith("attn.kv.bias"):
        return gradient.chunk(2)[1]
    if "scale_attention.embed_layers" in name and name.endswith("bias"):
        return gradient[:0]
    return gradient


def make_step(kind: str, arrays: Arrays, i: int) -> Done:
    """Step i without the optimiser, from the state that the released step before it left."""
    network = released_network(kind).train()
    network.normalisation = IDENTITY
    load_released(network, arrays, "init/" if i == 0 else f"{i - 1}/after/")
    config = released_config()
    teacher = Teacher(network, config.training.teacher_statistics)
    load_released(teacher.network, arrays, "ema_init_buffer/" if i == 0 else f"{i - 1}/ema/")
    seen: list[Any] = []
    hook = teacher.network.register_forward_hook(lambda _module, _args, logits: seen.append(logits))
    losses = masktwins_step(Student(network, IDENTITY), teacher, batch(arrays, i), draws(arrays, i), config, i)
    hook.remove()
    (logits,) = seen
    return Done(network, teacher.network, logits, losses)


def batch(arrays: Arrays, i: int) -> Images:
    label = torch.from_numpy(arrays[f"{i}/batch/gt_semantic_seg"][:, 0].astype(np.uint8))
    source, target = (torch.from_numpy(arrays[f"{i}/batch/{name}"]) for name in ("img", "target_img"))
    valid = torch.from_numpy(arrays[f"{i}/batch/valid_pseudo_mask"][:1, 0]).bool()
    return Images(source, label, target[:1], valid)


def draws(arrays: Arrays, i: int) -> StepDraws:
    pasted = np.zeros((2, 256), bool)
    for image, (mask, label) in enumerate(
        zip(arrays[f"{i}/mixmask"][:, 0, 0], arrays[f"{i}/batch/gt_semantic_seg"][:, 0], strict=True)
    ):
        pasted[image, np.unique(label[mask == 1])] = True
    keep = arrays[f"{i}/blockmask"].astype(bool)
    boxes = None
    if f"{i}/crops" in arrays:
        source, mixed, *twins = (Box(*map(int, box)) for box in arrays[f"{i}/crops"])
        boxes = BoxDraws(source, mixed, tuple(twins))
    return StepDraws(pasted_classes=pasted, target_masks=(keep, ~keep), boxes=boxes)


def recorded_losses(arrays: Arrays, i: int) -> dict[str, float]:
    """The released losses of step i by our names; the parts with HRDA's sub-crop are there with HRDA alone."""
    return {
        name: sum(float(arrays[f"{i}/log/{part}"]) for part in parts if f"{i}/log/{part}" in arrays)
        for name, parts in LOSSES.items()
    }


def label_pairs(done: Done, arrays: Arrays, i: int) -> Iterator[Pair]:
    """Ours and the recorded: the teacher's logits, pseudo-labels and weights, then mixed images, labels and weights.

    The mixed ones only where they are recorded: the compact copy leaves them out.
    """
    images, config = batch(arrays, i), released_config()
    logits = resize(done.teacher_logits, images.target.shape[-2:])
    yield logits, torch.from_numpy(arrays[f"{i}/teacher_logits"])
    label, q = pseudo_label(logits, config.training.pseudo_label_threshold, config.training.pseudo_label_share)
    weight = q[:, None, None].expand(label.shape)
    yield label, torch.from_numpy(arrays[f"{i}/plabel"])
    yield weight, torch.from_numpy(arrays[f"{i}/pweight"])
    if f"{i}/mixed_img" not in arrays:
        return
    labelled = PseudoLabel(label, weight * images.target_valid)
    image, mixed_label, mixed_weight = mixed(images, labelled, draws(arrays, i), IDENTITY, config)
    yield image, torch.from_numpy(arrays[f"{i}/mixed_img"])
    yield mixed_label, torch.from_numpy(arrays[f"{i}/mixed_lbl"][:, 0])
    yield mixed_weight, torch.from_numpy(arrays[f"{i}/mixed_w"])


def gradient_pairs(done: Done, arrays: Arrays, i: int) -> dict[str, Pair]:
    """Our gradient and the recorded one by parameter, without what is but rounding."""
    recorded = tensors(arrays, f"{i}/grad/")
    own = {name: p.grad for name, p in done.student.named_parameters() if p.grad is not None}
    assert own.keys() == recorded.keys()
    return {name: (without_noise(name, own[name]), without_noise(name, recorded[name])) for name in own}


def optimised(kind: str, arrays: Arrays, i: int) -> Segmenter:
    """The network after our AdamW was fed the recorded gradients of steps 0 to i, from the first weights on."""
    network = released_network(kind)
    load_released(network, arrays, "init/")
    optimizer = build_optimizer(network, with_changes(RunConfig(), {"training.learning_rate": RATE}).training)
    for group in optimizer.param_groups:
        group["lr"] = HEAD_RATE if group["is_head"] else RATE
    for step in range(i + 1):
        gradients = tensors(arrays, f"{step}/grad/")
        for name, parameter in network.named_parameters():
            parameter.grad = gradients[name].clone()
        optimizer.step()
    return network
