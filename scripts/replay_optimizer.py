"""The optimizers of training/optimizer.py in a form that a CUDA graph can record.

The rate is a tensor, so that a recorded step can be replayed with another; and Muon's iterations
are taken for all matrices of one shape at once: a small network has hundreds of matrices, and one
by one they are 7 000 of the 9 000 kernels of a step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim._muon import (
    DEFAULT_A,
    DEFAULT_B,
    DEFAULT_C,
    DEFAULT_NS_STEPS,
    EPS,
    _zeropower_via_newtonschulz,
)

MOMENTUM = 0.95
ADAMW_NAMES = ("conv_in", "conv_out")  # as in training/loop.py
orthogonalized = torch.vmap(partial(
    _zeropower_via_newtonschulz, ns_coefficients=(DEFAULT_A, DEFAULT_B, DEFAULT_C),
    ns_steps=DEFAULT_NS_STEPS, eps=EPS))


@dataclass
class Stack:
    """Weights of one matrix shape (r, c), with their momentum (n, r, c)."""

    weights: list[nn.Parameter]
    momentum: Tensor

    @classmethod
    def of(cls, weights: list[nn.Parameter]) -> Stack:
        first = weights[0]
        return cls(weights, first.new_zeros(len(weights), len(first), first.numel() // len(first)))

    @torch.no_grad()
    def step(self, rate: Tensor, weight_decay: float) -> None:
        """Take a step of Muon with Nesterov momentum, scaled to AdamW's root mean square."""
        shape = self.momentum.shape
        grads = torch.stack([w.grad.reshape(shape[1:]) for w in self.weights
                             if w.grad is not None])
        self.momentum.lerp_(grads, 1 - MOMENTUM)
        update = orthogonalized(grads.lerp(self.momentum, MOMENTUM))
        scale = 0.2 * max(shape[1:]) ** 0.5
        steps = (update.float() * (rate * -scale)).unbind()
        data = [w.data for w in self.weights]
        torch._foreach_mul_(data, 1 - rate * weight_decay)
        torch._foreach_add_(data, [s.view(w.shape) for s, w in zip(steps, data, strict=True)])


class ReplayOptimizer:
    """AdamW, or Muon for matrices beside AdamW, with `rate` as a tensor () on the device."""

    def __init__(self, name: str, named: Iterable[tuple[str, nn.Parameter]], rate: Tensor,
                 weight_decay: float) -> None:
        named = list(named)
        by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        if name == "muon":
            for key, p in named:
                if p.ndim >= 2 and not key.startswith(ADAMW_NAMES):
                    by_shape[len(p), p.numel() // len(p)].append(p)
        self.stacks = [Stack.of(weights) for weights in by_shape.values()]
        stacked = {id(p) for stack in self.stacks for p in stack.weights}
        rest = [p for _, p in named if id(p) not in stacked]
        cuda = rate.device.type == "cuda"
        self.adam = torch.optim.AdamW(rest, weight_decay=weight_decay, fused=cuda, capturable=cuda,
                                      betas=(0.9, 0.98) if name == "muon" else (0.9, 0.999))
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.rate, self.weight_decay = rate, weight_decay

    def step(self) -> None:
        """Take a step with the gradients that the weights hold."""
        self.adam.step()
        for stack in self.stacks:
            stack.step(self.rate, self.weight_decay)

    @torch.no_grad()
    def reset(self) -> None:
        """Forget all steps, keeping the memory: recorded graphs read and write there."""
        for stack in self.stacks:
            stack.momentum.zero_()
        for state in self.adam.state.values():
            for value in state.values():
                value.zero_()
