"""Compute the motion focal loss of every sample of a batch: the paper's training step.

Letters: B batch, C channels, F frames, h w latents, L tokens, D text
width, N image tokens, E their width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motifocal.data.shards import LatentBatch
from motifocal.loss.focal import MotionFocalLoss, motion_focal_loss
from motifocal.models.image.inputs import image_inputs
from motifocal.models.schedule import NoiseSchedule
from motifocal.models.unet import TI2VUNet
from motifocal.training.presets import TrainingSettings


@dataclass(frozen=True)
class StepNoise:
    """All that is random in a step: noise like the latents, timesteps (B,), what is not told.

    `dropped` (B,) are texts and image tokens, `untold` (B, 2) motion scores and masks.
    """

    noise: Tensor
    timesteps: Tensor
    dropped: Tensor
    untold: Tensor

    def rows(self, rows: slice, device: torch.device) -> StepNoise:
        """Return that of some samples, on `device`."""
        return StepNoise(*(x[rows].to(device) for x in vars(self).values()))


def draw_noise(
    shape: tuple[int, ...], settings: TrainingSettings, generator: torch.Generator
) -> StepNoise:
    """Draw noise of `shape` (B, C, F, h, w), timesteps and what is dropped, on the CPU."""
    noise = torch.randn(shape, generator=generator)
    u = torch.rand(shape[0], generator=generator)
    timesteps = (1000 * u ** (1 / settings.timestep_power)).long().clamp(max=999)
    dropped = torch.rand(shape[0], generator=generator) < settings.text_dropout
    # Last: with motion priors and without, all else is the same.
    untold = torch.rand(shape[0], 2, generator=generator) < settings.prior_dropout
    return StepNoise(noise, timesteps, dropped, untold)


def training_step(
    unet: TI2VUNet,
    batch: LatentBatch,
    text: Tensor,
    empty: Tensor,
    random: StepNoise,
    schedule: NoiseSchedule,
    settings: TrainingSettings,
    blank: Tensor | None = None,
) -> MotionFocalLoss:
    """Return the loss of every sample; `text` is (B, L, D), `empty` (1, L, D) for the text "".

    `blank` (1, N, E) are the image encoder's tokens of no image, where the network takes tokens.
    """
    # Noise the latents; the picture is the clean first latent, on extra channels (x-cat), or
    # tokens (cx-attn). A text is dropped with its tokens, as guidance samples.
    noisy = schedule.add_noise(batch.latents, random.noise, random.timesteps)
    text = torch.where(random.dropped[:, None, None], empty, text)
    picture = image_inputs(settings.unet, batch.latents[:, :, 0], batch.image_tokens,
                           *told_priors(batch, random.untold), dropped=random.dropped, blank=blank)

    # Predict.
    prediction = unet(noisy, random.timesteps, encoder_hidden_states=text, fps=batch.fps, **picture)

    # L = L_diffusion + lambda L_motif, with the motion heatmap m' inside the square.
    target = schedule.target(batch.latents, random.noise, random.timesteps)
    return motion_focal_loss(prediction, target, batch.heatmap, weight=settings.motif_weight,
                             variant=settings.motif_variant, check=False, latents=batch.latents,
                             clean=schedule.clean_error(random.timesteps),
                             noise_level=random.timesteps / len(schedule.alphas_cumprod))


def told_priors(batch: LatentBatch, untold: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return the motion scores (B,), nan where untold, and masks (B, 1, h, w), 1 where untold."""
    mask = batch.motion_mask.masked_fill(untold[:, 1, None, None, None], 1)
    if batch.motion_score is None:
        return None, mask
    return batch.motion_score.masked_fill(untold[:, 0], torch.nan), mask
