"""Build optimisers (AdamW, or Muon for weight matrices and AdamW for the rest); set their rate.

Muon (torch.optim.Muon) orthogonalises the update of a matrix. Convolutions are matrices too once
their input channels and taps are one axis. For the small models bundled here it needs several
times fewer samples than AdamW; the paper's preset keeps AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import nn

from motifocal.training.presets import decay_start

OptimizerName = Literal["adamw", "muon"]


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for every weight with two or more axes, AdamW for the others.

    `adamw_names` are how names of further parameters for AdamW begin: those next to data (first and
    last convolutions) are not hidden layers. Both take the same rate: Muon's updates are scaled to
    AdamW's root mean square.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        rate: float,
        weight_decay: float,
        adamw_names: tuple[str, ...],
    ) -> None:
        named = list(named)
        hidden = [p for name, p in named if p.ndim >= 2 and not name.startswith(adamw_names)]
        muon = {id(p) for p in hidden}
        rest = [p for _, p in named if id(p) not in muon]
        # Each weight with a view of it as a matrix.
        self._pairs = [(p, nn.Parameter(p.data.view(len(p), -1))) for p in hidden]
        self._adam = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=weight_decay)
        self._muon = torch.optim.Muon(
            [m for _, m in self._pairs],
            lr=rate,
            momentum=0.95,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        super().__init__([p for _, p in named], {"lr": rate})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of both; the rate is read from this object's own parameter group."""
        if closure is not None:
            raise ValueError("step should be called without a closure")
        rate = self.param_groups[0]["lr"]
        for inner in (self._adam, self._muon):
            for group in inner.param_groups:
                group["lr"] = rate
        for parameter, matrix in self._pairs:
            # Anew each time: `.to`, or a wrapper, may have given the weight other memory.
            matrix.data = parameter.data.view(matrix.shape)
            grad = parameter.grad
            matrix.grad = None if grad is None else grad.reshape(matrix.shape)
        self._adam.step()
        self._muon.step()
        for _, matrix in self._pairs:
            matrix.grad = None  # else the gradients outlive `zero_grad`, until the next step

    def state_dict(self) -> dict[str, Any]:
        return {
            "adamw": self._adam.state_dict(),
            "muon": self._muon.state_dict(),
            "param_groups": [{"lr": self.param_groups[0]["lr"]}],
            "state": {},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._adam.load_state_dict(state_dict["adamw"])
        self._muon.load_state_dict(state_dict["muon"])


def build_optimizer(
    name: OptimizerName,
    network: nn.Module,
    rate: float,
    weight_decay: float,
    adamw_names: tuple[str, ...] = (),
) -> torch.optim.Optimizer:
    """Build the optimiser called `name` for every parameter of `network` that takes gradients."""
    named = [(key, p) for key, p in network.named_parameters() if p.requires_grad]
    if name == "muon":
        return MuonWithAdamW(named, rate, weight_decay, adamw_names)
    return torch.optim.AdamW([p for _, p in named], lr=rate, weight_decay=weight_decay)


def check_parameters(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
    """Raise ValueError unless `optimizer` updates exactly what `network` trains.

    A wrapper that puts other parameters into a network leaves an optimiser that was built before
    with the old ones: the loss falls a little and most weights never change.
    """
    trained = {id(p): name for name, p in network.named_parameters() if p.requires_grad}
    updated = {id(p) for group in optimizer.param_groups for p in group["params"]}
    foreign = len(updated - trained.keys())
    left_out = [name for key, name in trained.items() if key not in updated]
    if foreign or left_out:
        named = f", e.g. {left_out[0]}" if left_out else ""
        raise ValueError(
            f"the optimiser should hold the {len(trained)} parameters that are trained, got "
            f"{foreign} others and lacks {len(left_out)}{named}"
        )


def learning_rate(step: int, *, peak: float, warmup: int, total: int, cooldown: int) -> float:
    """Return the rate of optimiser step `step`, from 0: warm-up, constant, cosine cool-down.

    The last `cooldown` of `total` steps fall along a cosine to a hundredth of the peak: 0 keeps
    the rate constant, `total - warmup` or more is the common cosine schedule. In between, a run can
    be made longer as long as it has not begun to cool down.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    start = decay_start(warmup=warmup, total=total, cooldown=cooldown)
    done = (step - start) / max(1, total - start)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done)))))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` for every parameter group from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
