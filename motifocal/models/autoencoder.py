"""Encode videos as latents, frame by frame, and decode them; where a part computes.

Shape letters: B batch, F frames, C latent channels, H W pixels, h w latents.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.utils.torch_utils import randn_tensor
from einops import rearrange
from torch import Tensor, nn


def downsampling_factor(autoencoder: AutoencoderKL) -> int:
    """Return how many pixels one latent covers, in each direction."""
    config: Any = autoencoder.config
    return int(2 ** (len(config.block_out_channels) - 1))


def computing_device(part: nn.Module) -> torch.device:
    """Return the device that a part of a pipeline computes on.

    Weights that are offloaded by accelerate's hooks lie on the CPU, or on no device ("meta"), until
    they are used; the hooks say where that is.
    """
    for module in part.modules():
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    return next(part.parameters()).device


@torch.no_grad()
def encode(
    autoencoder: AutoencoderKL,
    video: Tensor,
    frames_per_chunk: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Encode a video `(B, 3, F, H, W)` in [-1, 1] as scaled latents `(B, C, F, h, w)`.

    Args:
        autoencoder: the KL autoencoder; latents are multiplied by its `scaling_factor`.
        video: H and W divide by its downsampling factor.
        frames_per_chunk: how many frames are encoded at once: memory against speed.
        generator: with one the latents are sampled, without one they are the mean.

    Raises:
        ValueError: the shape or `frames_per_chunk` is wrong.
    """
    config: Any = autoencoder.config
    factor = downsampling_factor(autoencoder)
    if video.ndim != 5 or video.shape[1] != 3:
        raise ValueError(f"video should be (B, 3, F, H, W), got {tuple(video.shape)}")
    if video.shape[-2] % factor or video.shape[-1] % factor:
        raise ValueError(
            f"height and width should divide by {factor}, got {video.shape[-2]}x{video.shape[-1]}"
        )
    posteriors = [
        autoencoder.encode(chunk.to(autoencoder.dtype)).latent_dist
        for chunk in _chunks(video, frames_per_chunk)
    ]
    latents = torch.cat([posterior.mean for posterior in posteriors])
    if generator is not None:  # drawn for all at once: chunks do not change the sample
        noise = randn_tensor(latents.shape, generator, latents.device, latents.dtype)
        latents = latents + torch.cat([posterior.std for posterior in posteriors]) * noise
    scaled = latents * config.scaling_factor
    return rearrange(scaled, "(b f) c h w -> b c f h w", b=len(video))


@torch.no_grad()
def decode(autoencoder: AutoencoderKL, latents: Tensor, frames_per_chunk: int) -> Tensor:
    """Decode scaled latents `(B, C, F, h, w)`: a video `(B, 3, F, H, W)`, about [-1, 1], unclipped.

    Raises:
        ValueError: the shape or `frames_per_chunk` is wrong.
    """
    config: Any = autoencoder.config
    if latents.ndim != 5 or latents.shape[1] != config.latent_channels:
        raise ValueError(
            f"latents should be (B, {config.latent_channels}, F, h, w), got {tuple(latents.shape)}"
        )
    frames = []
    for chunk in _chunks(latents, frames_per_chunk):
        unscaled = chunk.to(autoencoder.dtype) / config.scaling_factor
        frames.append(autoencoder.decode(unscaled).sample)
    return rearrange(torch.cat(frames), "(b f) c h w -> b c f h w", b=len(latents))


def _chunks(x: Tensor, frames_per_chunk: int) -> tuple[Tensor, ...]:
    if frames_per_chunk < 1:
        raise ValueError(f"frames_per_chunk should be at least 1, got {frames_per_chunk}")
    return rearrange(x, "b c f h w -> (b f) c h w").split(frames_per_chunk)
