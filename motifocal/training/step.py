"""Compute the motion focal loss of every sample of a batch: the paper's training step.

Letters: B batch, C channels, F frames, h w latents, L tokens, D text width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motifocal.data.shards import LatentBatch
from motifocal.loss.focal import MotionFocalLoss, motion_focal_loss
from motifocal.models.schedule import NoiseSchedule
from motifocal.models.unet import TI2VUNet
from motifocal.training.presets import TrainingSettings


@dataclass(frozen=True)
class StepNoise:
    """All that is random in a step: noise like the latents, timesteps (B,), dropped texts (B,)."""

    noise: Tensor
    timesteps: Tensor
    dropped: Tensor

    def rows(self, rows: slice, device: torch.device) -> StepNoise:
        """Return that of some samples, on `device`."""
        return StepNoise(*(x[rows].to(device) for x in (self.noise, self.timesteps, self.dropped)))


def draw_noise(
    shape: tuple[int, ...], settings: TrainingSettings, generator: torch.Generator
) -> StepNoise:
    """Draw noise of `shape` (B, C, F, h, w), timesteps and dropped texts, on the CPU."""
    noise = torch.randn(shape, generator=generator)
    u = torch.rand(shape[0], generator=generator)
    timesteps = (1000 * u ** (1 / settings.timestep_power)).long().clamp(max=999)
    dropped = torch.rand(shape[0], generator=generator) < settings.text_dropout
    return StepNoise(noise, timesteps, dropped)


def training_step(
    unet: TI2VUNet,
    batch: LatentBatch,
    text: Tensor,
    empty: Tensor,
    random: StepNoise,
    schedule: NoiseSchedule,
    settings: TrainingSettings,
) -> MotionFocalLoss:
    """Return the loss of every sample; `text` is (B, L, D), `empty` (1, L, D) for the text ""."""
    # Noise the latents; the picture is the clean first latent, on extra channels (x-cat).
    noisy = schedule.add_noise(batch.latents, random.noise, random.timesteps)
    picture = batch.latents[:, :, 0]
    text = torch.where(random.dropped[:, None, None], empty, text)

    # Predict.
    prediction = unet(noisy, random.timesteps, encoder_hidden_states=text, fps=batch.fps,
                      image_latent=picture)

    # L = L_diffusion + lambda L_motif, with the motion heatmap m' inside the square.
    target = schedule.target(batch.latents, random.noise, random.timesteps)
    return motion_focal_loss(prediction, target, batch.heatmap, weight=settings.motif_weight,
                             variant=settings.motif_variant, check=False)
