"""Losses of other papers that put weight on motion, behind the interface of ours.

Letters: B batch, C channels, F' latent frames, h w latents. e = prediction - target, e_i its frame.

Each maps what a step has in hand, (B, C, F', h, w), to its motion part (B,), so that with

    total = L_diffusion + lambda * L_motion

lambda = 1 is the loss as it was published and lambda = 0 the plain one. They look at the
difference of frames, so they need the layout b c f h w, which ``motion_loss`` makes of any other.

"difference" (VideoX-Fun, `motion_sub_loss`, ratio r = 0.25: its training scripts):
    (1 - r) mean e^2 + r mean (e_{i+1} - e_i)^2
"dynamics" (Vista, arXiv 2405.17398: `vwm/modules/diffusionmodules/loss.py`):
    mean e_i^2 (1 + w_i),  w_i = d_i / ||d||_2,  d_i = (e_i - e_{i-1})^2,  w_1 = 0
    ||d||_2 is over all positions of a clip, for each channel; w is detached.
"dynamics-rms": the same with the root mean square of d in place of its norm. As published, w is
    about 1 / sqrt(positions): over 221 000 positions it adds 0.002. With it, w is about 1.
"consistency" (ReSim, arXiv 2506.09981; K = 4, weight 0.1):
    0.1 sum_{j=1..K} sum_i ||(d_{i+j} - d_i) - (x_{i+j} - x_i)||^2 / s_j
    d - x is c e, with c the factor from the prediction to the clean latents; our reading: the norm
    in the units of L_diffusion, a mean; s_j the mean of |x_{i+j} - x_i|; c = 1 where it is not
    given. Its authors published no code; the formula is that of a digest of the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

RATIO = 0.25  # of VideoX-Fun's --motion_sub_loss_ratio
INTERVALS, CONSISTENCY = 4, 0.1  # ReSim's K and the weight of its loss
TINY = 1e-12


@dataclass(frozen=True)
class StepTensors:
    """What a training step has in hand, in float32 and the layout (B, C, F', h, w).

    error: prediction - target. latents: the clean latents, which only "consistency" needs. clean:
    (B,), how much of an error of the prediction is one of the clean latents that it stands for:
    sigma of a flow or v-prediction, sigma / alpha of a noise prediction.
    """

    error: Tensor
    latents: Tensor | None = None
    clean: Tensor | None = None


def _steps(x: Tensor, interval: int = 1) -> Tensor:
    """Return how each frame differs from the one `interval` before: (B, C, F' - interval, h, w)."""
    return x[:, :, interval:] - x[:, :, :-interval]


def _mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)


def _difference(step: StepTensors) -> Tensor:
    if step.error.shape[2] < 3:  # as published: two frames and fewer have no such part
        return step.error.new_zeros(len(step.error))
    return RATIO * (_mean(_steps(step.error).square()) - _mean(step.error.square()))


def _dynamics(step: StepTensors, norm: Callable[[Tensor], Tensor]) -> Tensor:
    changes = _steps(step.error).square()
    if not changes.shape[2]:
        return step.error.new_zeros(len(step.error))
    weight = (changes / norm(changes).clamp(min=TINY)).detach()
    later = step.error[:, :, 1:].square() * weight
    return later.flatten(1).sum(1) / step.error[0].numel()


def _norm(changes: Tensor) -> Tensor:
    return changes.square().sum((2, 3, 4), keepdim=True).sqrt()


def _root_mean_square(changes: Tensor) -> Tensor:
    return changes.square().mean((2, 3, 4), keepdim=True).sqrt()


def _consistency(step: StepTensors) -> Tensor:
    if step.latents is None:
        raise ValueError('latents should be the clean latents for the variant "consistency", got '
                         "None")
    total = step.error.new_zeros(len(step.error))
    for interval in range(1, min(INTERVALS, step.error.shape[2] - 1) + 1):
        scale = _mean(_steps(step.latents, interval).abs()).clamp(min=TINY)
        squared = _steps(step.error, interval).square().flatten(1).sum(1)
        total = total + squared / scale / step.error[0].numel()
    if step.clean is not None:
        total = total * step.clean.square()
    return CONSISTENCY * total


#: Variant -> its motion part.
NEIGHBOURS: dict[str, Callable[[StepTensors], Tensor]] = {
    "difference": _difference,
    "dynamics": partial(_dynamics, norm=_norm),
    "dynamics-rms": partial(_dynamics, norm=_root_mean_square),
    "consistency": _consistency,
}


def neighbour_part(
    error: Tensor, variant: str, latents: Tensor | None = None, clean: Tensor | None = None
) -> Tensor:
    """Compute the motion part (B,) of one of ``NEIGHBOURS``.

    Args:
        error: prediction - target, (B, C, F', h, w), without conditioned latents.
        variant: a key of ``NEIGHBOURS``.
        latents: the clean latents, same shape; needed by "consistency".
        clean: (B,), see `StepTensors`; used by "consistency".

    Raises:
        ValueError: shapes that differ, latents missing.
    """
    shape = tuple(error.shape)
    if error.ndim != 5:
        raise ValueError(f'prediction should be (B, C, F\', h, w) for the variant "{variant}", got '
                         f"{shape}")  # fmt: skip
    if latents is not None and latents.shape != error.shape:
        raise ValueError(f"latents should be {shape}, got {tuple(latents.shape)}")
    if clean is not None and tuple(clean.shape) != shape[:1]:
        raise ValueError(f"clean should be {shape[:1]}, got {tuple(clean.shape)}")
    step = StepTensors(error, None if latents is None else latents.detach().to(error),
                       None if clean is None else clean.to(error))  # fmt: skip
    return NEIGHBOURS[variant](step)
