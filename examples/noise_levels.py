"""How much noise a training step adds, drawn as each model's published trainer draws it."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted_uniform(batch: int, shift: float) -> Tensor:
    """Wan: sigma (B,), uniform times moved towards noise by the schedule's shift.

    DiffSynth-Studio draws uniformly from a schedule with the shift, musubi-tuner has
    `--timestep_sampling shift`: both come to this.
    """
    uniform = torch.rand(batch)
    return shift * uniform / (1 + (shift - 1) * uniform)


def uniform_timesteps(batch: int, steps: int) -> Tensor:
    """CogVideoX: whole timesteps (B,) from 0 to steps - 1, all equally often (diffusers)."""
    return torch.randint(steps, (batch,))


#: The LTX trainers' constants: the shift is linear in the number of tokens between two points.
LEAST_TOKENS, MOST_TOKENS = 1024, 4096
LEAST_SHIFT, MOST_SHIFT = 0.95, 2.05
LOW, HIGH = -2.5758, 3.0902  # standard normal deviates of 0.5 % and 99.9 %
SMALLEST = 1e-3
UNIFORM_SHARE = 0.1


def stretched_logit_normal(batch: int, tokens: int) -> Tensor:
    """LTX-Video and LTX-2: sigma (B,) as ltx-trainer's shifted_logit_normal sampler draws it.

    A logit-normal whose mean follows the number of tokens, stretched so that its 0.5 and 99.9 %
    points become 0 and 1. What falls below SMALLEST is reflected there, what falls above 1 is 1.
    One draw in ten is uniform instead, so that no level of noise is rare.
    """
    slope = (MOST_SHIFT - LEAST_SHIFT) / (MOST_TOKENS - LEAST_TOKENS)
    shift = LEAST_SHIFT + slope * (min(tokens, MOST_TOKENS) - LEAST_TOKENS)
    low, high = torch.sigmoid(torch.tensor([shift + LOW, shift + HIGH]))
    stretched = (torch.sigmoid(shift + torch.randn(batch)) - low) / (high - low)
    reflected = torch.where(stretched < SMALLEST, 2 * SMALLEST - stretched, stretched)
    uniform = SMALLEST + (1 - SMALLEST) * torch.rand(batch)
    is_uniform = torch.rand(batch) <= UNIFORM_SHARE
    return torch.where(is_uniform, uniform, reflected.clamp(0, 1))


#: CogVideoX's image condition (diffusers' script): log-normal noise on the picture, and none of
#: it in one step of twenty (--noised_image_dropout).
IMAGE_NOISE_MEAN, IMAGE_NOISE_DEVIATION = -3.0, 0.5
IMAGE_DROPOUT = 0.05


def image_noise(batch: int) -> Tensor:
    """CogVideoX: how much noise (B,) is added to the given picture, of pixels in [-1, 1]."""
    return torch.exp(IMAGE_NOISE_MEAN + IMAGE_NOISE_DEVIATION * torch.randn(batch))


def image_kept(batch: int) -> Tensor:
    """CogVideoX: 1 where the model gets the picture, 0 where it has to do without (B,)."""
    return (torch.rand(batch) >= IMAGE_DROPOUT).float()
