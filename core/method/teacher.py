"""Update the EMA teacher and label with it (sections 1 and 3 of the guide's method chapter)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.configuration.choices import PerImage, TeacherStatistics

LEAST_VALUES = 8  # per channel, to estimate a batch norm's statistics from; fewer occur behind a global pooling


def ema_alpha(t: int, alpha: float) -> float:
    """Return a_t = min(1 − 1/(t+1), α): a plain mean over the first steps, then α."""
    return min(1 - 1 / (t + 1), alpha)


class Teacher:
    """Hold φ, an exponential moving average of the student θ that never gets a gradient.

    `statistics` decides how its batch norm normalises:
        batch: by the statistics of the batch (train mode with dropout and drop path off, as released). `estimating_statistics`
            gives it the running statistics that it is measured and exported with.
        averaged: in evaluation mode, by the student's running statistics, averaged like the weights.
        own: in evaluation mode, by running statistics of the unmasked target images, updated before they are used.
    """

    def __init__(self, student: nn.Module, statistics: TeacherStatistics) -> None:
        self.network = copy.deepcopy(student).requires_grad_(requires_grad=False)
        self.statistics = statistics
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._averages = [b for b in self.network.buffers() if b.is_floating_point()]
        self._norms = batch_norms(self.network)
        self.updated = -1  # the last step whose update was made

    @torch.no_grad()
    def update(self, student: nn.Module, t: int, alpha: float) -> None:
        """Move the teacher towards the student: φ ← a_t φ + (1 − a_t) θ; at t = 0 φ ← θ.

        It happens once per step: if a step fails after the update and is repeated, φ does not move again.
        """
        if t <= self.updated:
            return
        self.updated = t
        weight = 1 - ema_alpha(t, alpha)
        _lerp(self._parameters, list(student.parameters()), weight)
        if self.statistics is TeacherStatistics.AVERAGED and self._averages:
            _lerp(self._averages, [b for b in student.buffers() if b.is_floating_point()], weight)

    @torch.no_grad()
    def logits(self, image: Tensor, **options: Any) -> Tensor:
        """Return logits (B, C, h, w) of unmasked normalised images (B, 3, H, W).

        Args:
            options: those of the network's forward (`on_features`).
        """
        self.network.eval()
        if self.statistics is TeacherStatistics.BATCH:
            for norm in self._norms:
                norm.train()
        hooks = []
        if self.statistics is TeacherStatistics.OWN:  # here alone: an evaluation must not move them
            hooks = [norm.register_forward_pre_hook(_estimate_statistics) for norm in self._norms]
        try:
            return self.network(image, **options)
        finally:
            for hook in hooks:
                hook.remove()
            self.network.eval()

    @property
    def has_precise_statistics(self) -> bool:
        """Whether its running statistics are fit to be measured with; else `estimating_statistics` makes them so."""
        return self.statistics is not TeacherStatistics.BATCH or not self._norms

    @contextmanager
    def estimating_statistics(self, student: nn.Module, share: float) -> Iterator[None]:
        """Estimate the running statistics that the teacher is measured and exported with. Does nothing but for `batch`.

        Show the network whole target images inside this context. At its end, each batch norm gets a mix of the statistics
        of these images (`share`) and of the student's running statistics (`1 − share`), which come from source and mixed
        images.

        Labelling leaves running statistics of the last few crops, which are too noisy for weights that are an average over
        many steps ("precise batch norm": Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3). A mix of both
        cameras' statistics is never far from the better of the two (Schneider et al., Improving robustness against common
        corruptions by covariate shift adaptation, 2020, section 2). Inside the context each batch norm normalises by the
        batch's own statistics, as in labelling. After an error nothing has changed.
        """
        if self.has_precise_statistics:
            yield
            return
        before = [[running.clone() for running in _running(norm)] for norm in self._norms]
        estimates = [_Estimate() for _ in self._norms]
        hooks = [norm.register_forward_pre_hook(e) for norm, e in zip(self._norms, estimates, strict=True)]
        after = before
        try:
            yield
            theirs = [_running(norm) for norm in batch_norms(student)]
            after = [
                _blend(estimate.mean(), other, share) if estimate.count else old
                for estimate, other, old in zip(estimates, theirs, before, strict=True)
            ]
        finally:
            for hook in hooks:
                hook.remove()
            with torch.no_grad():
                for norm, values in zip(self._norms, after, strict=True):
                    for running, value in zip(_running(norm), values, strict=True):
                        running.copy_(value)


class _Estimate:
    """Set a batch norm's running statistics to the batch's own before each forward, and keep their sum."""

    def __init__(self) -> None:
        self.totals: list[Tensor] = []
        self.count = 0

    @torch.no_grad()
    def __call__(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        x = inputs[0].float()
        if x.numel() // x.shape[1] < LEAST_VALUES:
            return
        var, mean = torch.var_mean(x, dim=(0, *range(2, x.dim())))
        for running, value in zip(_running(norm), (mean, var), strict=True):
            running.copy_(value)
        self.totals = [mean, var] if not self.count else [a + b for a, b in zip(self.totals, (mean, var), strict=True)]
        self.count += 1

    def mean(self) -> list[Tensor]:
        return [total / self.count for total in self.totals]


def _blend(first: Sequence[Tensor], second: Sequence[Tensor], share: float) -> list[Tensor]:
    """Return (mean, variance) of a set of values: `share` of them have the first's moments, the rest the second's."""
    mean = torch.lerp(second[0], first[0], share)
    square = torch.lerp(second[1] + second[0] ** 2, first[1] + first[0] ** 2, share)
    return [mean, (square - mean**2).clamp(min=0)]


def _running(norm: _BatchNorm) -> list[Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [norm.running_mean, norm.running_var]


def _lerp(mine: Sequence[Tensor], theirs: Sequence[Tensor], weight: float) -> None:
    """Move all of `mine` towards `theirs` in a few fused kernels."""
    torch._foreach_lerp_(list(mine), list(theirs), weight)  # pyright: ignore[reportPrivateImportUsage]


def pseudo_label(logits: Tensor, threshold: float, share_of: PerImage = PerImage.IMAGE) -> tuple[Tensor, Tensor]:
    """Return ŷ = argmax p (the first index on ties) and q, the share of pixels with max p ≥ τ.

    Args:
        logits: (B, C, H, W) at the image's size.
        share_of: whether q is the share in each image, or in the whole batch as in the released code, whose batch is
            one image.

    Returns:
        labels int64 (B, H, W) and q float32 (B,).
    """
    probability, label = logits.float().softmax(1).max(1)
    q = (probability >= threshold).float().mean((1, 2))
    return label, q if share_of is PerImage.IMAGE else q.mean().expand_as(q)


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a network, in the order of its modules."""
    return [m for m in network.modules() if isinstance(m, _BatchNorm)]


@contextmanager
def untouched_statistics(norms: list[_BatchNorm], enabled: bool) -> Iterator[None]:
    """Keep the running statistics unchanged while batch norms normalise by the batch, as in training."""
    if not enabled:
        yield
        return
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@torch.no_grad()
def _estimate_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Move the running statistics towards the batch's before an evaluation-mode batch norm uses them."""
    assert isinstance(norm, _BatchNorm)
    var, mean = torch.var_mean(inputs[0].float(), dim=(0, *range(2, inputs[0].dim())))
    momentum = 0.1 if norm.momentum is None else norm.momentum
    for running, value in zip(_running(norm), (mean, var), strict=True):
        running.lerp_(value, momentum)
