"""How much noise a training step adds, drawn as each model's published trainer draws it."""

from __future__ import annotations

import torch
from torch import Tensor

from motifocal.training.families import noise_levels
from motifocal.training.families.cogvideox import (
    IMAGE_DROPOUT,
    IMAGE_NOISE_DEVIATION,
    IMAGE_NOISE_MEAN,
)
from motifocal.training.families.flow import shifted


def shifted_uniform(batch: int, shift: float) -> Tensor:
    """Wan: sigma (B,), uniform times moved towards noise by the schedule's shift.

    DiffSynth-Studio draws uniformly from a schedule with the shift, musubi-tuner has
    `--timestep_sampling shift`: both come to this.
    """
    return shifted(torch.rand(batch), shift)


def uniform_timesteps(batch: int, steps: int) -> Tensor:
    """CogVideoX: whole timesteps (B,) from 0 to steps - 1, all equally often (diffusers)."""
    return torch.randint(steps, (batch,))


def stretched_logit_normal(batch: int, tokens: int) -> Tensor:
    """LTX-Video and LTX-2: sigma (B,) as ltx-trainer's shifted_logit_normal sampler draws it."""
    return noise_levels.stretched_logit_normal(batch, tokens, torch.default_generator)


def image_noise(batch: int) -> Tensor:
    """CogVideoX: how much noise (B,) is added to the given picture, of pixels in [-1, 1]."""
    return torch.exp(IMAGE_NOISE_MEAN + IMAGE_NOISE_DEVIATION * torch.randn(batch))


def image_kept(batch: int) -> Tensor:
    """CogVideoX: 1 where the model gets the picture, 0 where it has to do without (B,)."""
    return (torch.rand(batch) >= IMAGE_DROPOUT).float()
