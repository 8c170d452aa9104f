"""Losses of other papers that emphasise motion, with the interface of MotiF's.

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
"drift" (LaMo's motion drift loss, arXiv 2605.23878: its `physical_motion_lamo.py`; tau = 2):
    0.4 (1 - s^2) mean_i ||m_i(d) - m_i(x)||^2 / ||m_i(x)||^2,  m_i(x) = mean of x_{i+tau} - x_i
    over h and w; ||.|| over channels; s in [0, 1] is the noise level, 0 where it is not given. Its
    code takes the mean of 1 - s^2 over the batch; here each sample has its own. The motion field
    that it trains for guidance in sampling is no part of this.
"discrepancy" (latent temporal discrepancy, LTD, arXiv 2601.20504):
    mean e_i^2 (1 + w_i),  w_i = log(1 + r_i),  r_i = rms over channels of (x_i - x_{i-1}),  w_1 = 0
    Our reading of the abstract (a larger penalty where latents differ more from frame to frame, the
    regular one where they are stable) and of a digest (a scalar a voxel, over a window of frames
    that we take for two, scaled by a logarithm). The paper's own formula was not to be had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

RATIO = 0.25  # of VideoX-Fun's --motion_sub_loss_ratio
INTERVALS, CONSISTENCY = 4, 0.1  # ReSim's K and the weight of its loss
LAG, DRIFT, LEAST_DRIFT = 2, 0.4, 1e-8  # LaMo's tau, lambda and smallest divisor
TINY = 1e-12


@dataclass(frozen=True)
class StepTensors:
    """What a training step has in hand, in float32 and the layout (B, C, F', h, w).

    error: prediction - target. latents: the clean latents, which "consistency", "drift" and
    "discrepancy" need. clean: (B,), how much of an error of the prediction is one of the clean
    latents that it stands for: sigma of a flow or v-prediction, sigma / alpha of a noise
    prediction. noise_level: (B,) in [0, 1], sigma of a flow, t / T of a schedule of T timesteps.
    """

    error: Tensor
    latents: Tensor | None = None
    clean: Tensor | None = None
    noise_level: Tensor | None = None


def _steps(x: Tensor, interval: int = 1) -> Tensor:
    """Return how each frame differs from the one `interval` before: (B, C, F' - interval, h, w)."""
    return x[:, :, interval:] - x[:, :, :-interval]


def _mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)


def _over_clip(x: Tensor, step: StepTensors) -> Tensor:
    """Sum over a part of the frames, divided by the number of elements of all."""
    return x.flatten(1).sum(1) / step.error[0].numel()


def _difference(step: StepTensors) -> Tensor:
    if step.error.shape[2] < 3:  # as published: two frames and fewer have no such part
        return step.error.new_zeros(len(step.error))
    return RATIO * (_mean(_steps(step.error).square()) - _mean(step.error.square()))


def _dynamics(step: StepTensors, norm: Callable[[Tensor], Tensor]) -> Tensor:
    changes = _steps(step.error).square()
    if not changes.shape[2]:
        return step.error.new_zeros(len(step.error))
    weight = (changes / norm(changes).clamp(min=TINY)).detach()
    return _over_clip(step.error[:, :, 1:].square() * weight, step)


def _norm(changes: Tensor) -> Tensor:
    return changes.square().sum((2, 3, 4), keepdim=True).sqrt()


def _root_mean_square(changes: Tensor) -> Tensor:
    return changes.square().mean((2, 3, 4), keepdim=True).sqrt()


def _clean_latents(step: StepTensors, variant: str) -> Tensor:
    if step.latents is None:
        raise ValueError(f'latents should be the clean latents for the variant "{variant}", got '
                         "None")
    return step.latents


def _consistency(step: StepTensors) -> Tensor:
    latents = _clean_latents(step, "consistency")
    total = step.error.new_zeros(len(step.error))
    for interval in range(1, min(INTERVALS, step.error.shape[2] - 1) + 1):
        scale = _mean(_steps(latents, interval).abs()).clamp(min=TINY)
        total = total + _over_clip(_steps(step.error, interval).square(), step) / scale
    if step.clean is not None:
        total = total * step.clean.square()
    return CONSISTENCY * total


def _drift(step: StepTensors) -> Tensor:
    latents = _clean_latents(step, "drift")
    if step.error.shape[2] <= LAG:
        return step.error.new_zeros(len(step.error))
    error, drift = (_steps(x, LAG).mean((3, 4)).square().sum(1) for x in (step.error, latents))
    total = _mean(error / drift.clamp(min=LEAST_DRIFT))
    if step.clean is not None:
        total = total * step.clean.square()
    if step.noise_level is not None:
        total = total * (1 - step.noise_level.square())
    return DRIFT * total


def discrepancy_weight(latents: Tensor) -> Tensor:
    """Return w of "discrepancy" (B, 1, F' - 1, h, w), of all latent frames but the first."""
    return torch.log1p(_steps(latents).square().mean(1, keepdim=True).sqrt())


def _discrepancy(step: StepTensors) -> Tensor:
    weight = discrepancy_weight(_clean_latents(step, "discrepancy"))
    return _over_clip(step.error[:, :, 1:].square() * weight, step)


#: Variant -> its motion part.
NEIGHBOURS: dict[str, Callable[[StepTensors], Tensor]] = {
    "difference": _difference,
    "dynamics": partial(_dynamics, norm=_norm),
    "dynamics-rms": partial(_dynamics, norm=_root_mean_square),
    "consistency": _consistency,
    "drift": _drift,
    "discrepancy": _discrepancy,
}


def neighbour_part(
    error: Tensor,
    variant: str,
    latents: Tensor | None = None,
    clean: Tensor | None = None,
    noise_level: Tensor | None = None,
) -> Tensor:
    """Compute the motion part (B,) of one of ``NEIGHBOURS``.

    Args:
        error: prediction - target, (B, C, F', h, w), without conditioned latents.
        variant: a key of ``NEIGHBOURS``.
        latents: the clean latents, same shape; needed by "consistency", "drift", "discrepancy".
        clean: (B,), see `StepTensors`; used by "consistency" and "drift".
        noise_level: (B,), see `StepTensors`; used by "drift".

    Raises:
        ValueError: shapes that differ, latents missing, on the CPU a noise level outside [0, 1]
            (elsewhere that would wait for the device).
    """
    shape = tuple(error.shape)
    if error.ndim != 5:
        raise ValueError(f'prediction should be (B, C, F\', h, w) for the variant "{variant}", got '
                         f"{shape}")  # fmt: skip
    if latents is not None and latents.shape != error.shape:
        raise ValueError(f"latents should be {shape}, got {tuple(latents.shape)}")
    for name, value in {"clean": clean, "noise_level": noise_level}.items():
        if value is not None and tuple(value.shape) != shape[:1]:
            raise ValueError(f"{name} should be {shape[:1]}, got {tuple(value.shape)}")
    if noise_level is not None and noise_level.device.type == "cpu":
        low, high = (float(x) for x in noise_level.aminmax())
        if not 0 <= low <= high <= 1:  # in timesteps, drift would be rewarded
            raise ValueError(f"noise_level should be within 0 and 1, got {low:g} to {high:g}")
    step = StepTensors(error, *(None if tensor is None else tensor.detach().to(error)
                                for tensor in (latents, clean, noise_level)))  # fmt: skip
    return NEIGHBOURS[variant](step)
