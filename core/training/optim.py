"""AdamW with the method's parameter groups, the learning rate as a pure function of the step, and the guard against
non-finite steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.configuration.training import TrainingConfig

WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.999)
GUARDING = ("cpu", "cuda")  # devices whose fused AdamW obeys `found_inf`; on others (MPS) the host is asked


def learning_rate_factor(step: int, total_steps: int, warmup: int) -> float:
    """Return (1 − t/T) · [t < W: 1 − (1 − t/W)(1 − 1e-6)], the released code's schedule (W = 1500, T = 40000 there)."""
    factor = 1 - step / total_steps
    if step < warmup:
        factor *= 1 - (1 - step / warmup) * (1 - 1e-6)
    return factor


def build_optimizer(network: nn.Module, training: TrainingConfig) -> torch.optim.AdamW:
    """Build a fused AdamW with the released groups: head × 10, no decay on encoder parameters with `norm` in their names.

    Args:
        network: has `encoder`; every other parameter is the head's.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        in_encoder = name.startswith("encoder.")
        decay = 0.0 if in_encoder and "norm" in name else WEIGHT_DECAY
        groups.setdefault((not in_encoder, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "is_head": is_head}
            for (is_head, decay), parameters in groups.items()
        ],
        lr=training.learning_rate,
        betas=BETAS,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, training: TrainingConfig, step: int) -> float:
    """Set the groups' rates for `step`. Return the encoder's."""
    rate = training.learning_rate * learning_rate_factor(step, training.total_steps, training.warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate * (training.head_multiplier if group["is_head"] else 1.0)
    return rate


class StepGuard:
    """Let a step through only when its losses and gradients are finite, decided on the device.

    `before` keeps the buffers; `apply` makes the AdamW step, or, where something is not finite, leaves weights and
    optimiser as they are (fused AdamW's `found_inf`) and puts the buffers back. On CPU and CUDA the host is not asked.
    """

    def __init__(
        self,
        optimizer: torch.optim.AdamW,
        networks: list[nn.Module],
        agree: Callable[[Tensor], Tensor] = lambda bad: bad,
    ) -> None:
        """`agree` gives the largest value over all processes: a step is left out by all of them or by none."""
        self._optimizer = optimizer
        self._agree = agree
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._kept: list[Tensor] = []
        self.watch(networks)

    def watch(self, networks: list[nn.Module]) -> None:
        """Replace the networks whose buffers are guarded."""
        buffers = [b for network in networks for b in network.buffers()]
        self._kept = []
        self._by_type = [[b for b in buffers if b.dtype == dtype] for dtype in {b.dtype for b in buffers}]

    @torch.no_grad()
    def before(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._kept = []
        self._kept = [torch.cat([b.flatten() for b in buffers]) for buffers in self._by_type]

    @torch.no_grad()
    def divide_gradients(self, by: float) -> None:
        """Turn gradients that were added up over parts of a batch into their mean."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        torch._foreach_div_(gradients, by)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def apply(self, losses: dict[str, Tensor]) -> Tensor:
        """Make the step. Return 1.0 where it was left out, else 0.0, on the device."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))  # pyright: ignore[reportPrivateImportUsage]
        total = norms.sum() + torch.stack(list(losses.values())).sum()
        bad = self._agree((~torch.isfinite(total)).float())
        if bad.device.type in GUARDING:
            self._optimizer.found_inf = bad  # type: ignore[attr-defined]
            self._optimizer.step()
        elif not bad.item():
            self._optimizer.step()
        self._restore(bad.bool())
        return bad

    @torch.no_grad()
    def undo(self) -> None:
        """Put the buffers back after a step that broke off. Frees the gradients, and allocates nothing: memory may be short."""
        for p in self._parameters:
            p.grad = None
        for buffers, kept in zip(self._by_type, self._kept, strict=False):  # none are kept before the first step
            parts = kept.split([b.numel() for b in buffers])
            restored = [part.view_as(b) for part, b in zip(parts, buffers, strict=True)]
            torch._foreach_copy_(buffers, restored)  # pyright: ignore[reportPrivateImportUsage]

    def _restore(self, where: Tensor) -> None:
        for buffers, kept in zip(self._by_type, self._kept, strict=True):
            current = torch.cat([b.flatten() for b in buffers])
            chosen = torch.where(where, kept, current).split([b.numel() for b in buffers])
            restored = [c.view_as(b) for c, b in zip(chosen, buffers, strict=True)]
            torch._foreach_copy_(buffers, restored)  # pyright: ignore[reportPrivateImportUsage]
