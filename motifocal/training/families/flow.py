"""Flow matching: x = (1 - sigma) z + sigma eps, and the model predicts eps - z.

Letters: B batch, C channels, F' latent frames, h w latents.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from motifocal.training.families.base import Draw, Family, noise_like, per_sample
from motifocal.training.families.noise_levels import logit_normal


class FlowMatching(Family):
    """A family that is trained by flow matching; says how sigma is drawn, and the rest follows."""

    @abstractmethod
    def draw_sigma(self, generator: torch.Generator, latents: Tensor, part: str) -> Tensor:
        """Draw one sigma, of shape (), for one sample's latents (C, F', h, w)."""

    def draw(
        self, latents: Tensor, generators: Sequence[torch.Generator], part: str = "transformer"
    ) -> Draw:
        # Sigma first, then noise: a draw of sigma does not depend on the size of the clip.
        sigma = torch.stack([self.draw_sigma(generator, sample, part)
                             for generator, sample in zip(generators, latents, strict=True)])
        clean = self.in_layout(latents)
        noise = noise_like(clean, generators)
        s = per_sample(sigma, clean)
        noisy = (1 - s) * clean + s * noise
        given = self.in_layout(self.given(latents).expand_as(latents))
        return Draw(torch.where(given, clean, noisy), sigma.to(latents.device), noise - clean,
                    noise)

    def times(self, draw: Draw, latents: Tensor) -> Tensor:
        """Return sigma at every latent, 0 where it is given: (B, 1, F', h, w)."""
        sigma = per_sample(draw.time, latents).expand(-1, 1, *latents.shape[2:])
        return torch.where(self.given(latents), 0.0, sigma)


class ShiftedLogitNormal(FlowMatching):
    """A family whose sigma is logit-normal, moved towards noise by `shift`."""

    shift: ClassVar[float]

    def draw_sigma(self, generator: torch.Generator, latents: Tensor, part: str) -> Tensor:
        return shifted(logit_normal(1, generator), self.shift)[0]


def shifted(uniform: Tensor, shift: float) -> Tensor:
    """Move uniform times in [0, 1] towards noise, as schedules with a shift do."""
    return shift * uniform / (1 + (shift - 1) * uniform)


def unshifted(sigma: float, shift: float) -> float:
    """Return the uniform time that `shifted` moves to `sigma`."""
    return sigma / (shift - (shift - 1) * sigma)
