"""The image and motion inputs of a network, besides prompt, timestep and frame rate.

Shape letters: B batch, C latent channels, h w latents, N image tokens, E their width, p side of a
patch, K features of a position.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor

from motifocal.models.unet_config import LATENT_PATCH, UNetConfig


def image_inputs(
    config: UNetConfig, latent: Tensor | None, tokens: Tensor | None = None,
    score: Tensor | None = None, mask: Tensor | None = None, *,
    dropped: Tensor | None = None, blank: Tensor | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Return what a network of `config` takes of all that is known, as arguments of its call.

    Args:
        config: that of the network.
        latent: the clean latent of the first frame, (B, C, h, w).
        tokens: those of an image encoder, (B, N, E); made of `latent` where the network wants that.
        score: how much each clip moves, (B,) in [0, 1]; nan where it is not told.
        mask: where it may move, (B, 1, h, w) in [0, 1]; 1 everywhere where it is not told.
        dropped: (B,) bool, clips whose tokens are replaced by `blank`.
        blank: tokens that say nothing, (1, N, E): those of grey; zeros for tokens of latents.
    """
    if config.image_token_source == "latents" and latent is not None:
        tokens = latent_tokens(latent)
    if tokens is not None and dropped is not None:
        blank = torch.zeros_like(tokens[:1]) if blank is None else blank
        tokens = torch.where(dropped[:, None, None], blank.to(tokens), tokens)
    known = {
        "image_latent": latent if config.takes_image_latent else None,
        "image_tokens": tokens if config.takes_image_tokens else None,
        "motion_score": score if config.motion_score else None,
        "motion_mask": mask if config.motion_mask else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def latent_tokens(latent: Tensor) -> Tensor:
    """Make tokens (B, N, p² C + K) of latents (B, C, h, w): each patch, and where it lies.

    Nothing is learnt and nothing lost: the network's own projection sees all that it would see on
    the channels. The place is sines and cosines of 1, 2, 4, 8 half turns over height and width.
    """
    batch, _, height, width = latent.shape
    if height % LATENT_PATCH or width % LATENT_PATCH:
        raise ValueError(f"latents should divide by {LATENT_PATCH}, got {height}x{width}")
    patches = rearrange(latent, "b c (y p) (x q) -> b (y x) (c p q)", p=LATENT_PATCH,
                        q=LATENT_PATCH)
    rows, columns = (_place(side // LATENT_PATCH, latent) for side in (height, width))
    place = torch.cat([rows.repeat_interleave(len(columns), 0), columns.repeat(len(rows), 1)], 1)
    return torch.cat([patches, place.expand(batch, -1, -1)], dim=2)


def _place(count: int, like: Tensor) -> Tensor:
    """Eight features (count, 8) of each of so many places along a side."""
    middles = (torch.arange(count, device=like.device) + 0.5) / count
    angles = middles[:, None] * math.pi * 2.0 ** torch.arange(4, device=like.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype)
