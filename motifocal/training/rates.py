"""A step number becomes a learning rate: linear warm-up, constant, cosine cool-down at the end."""

from __future__ import annotations

import math

import torch


def learning_rate(step: int, *, peak: float, warmup: int, total: int, cooldown: int) -> float:
    """The rate for optimiser step `step`, from 0.

    The last `cooldown` of `total` steps fall along a cosine to a hundredth of the peak: 0 keeps
    the rate constant, `total - warmup` or more is the common cosine schedule. In between, a run can
    be made longer as long as it has not begun to cool down.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    cooldown = min(cooldown, total - warmup)
    done = (step - (total - cooldown)) / max(1, cooldown)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done)))))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` for every parameter group from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
