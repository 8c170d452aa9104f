"""Small networks that look at the image in each way, their inputs, and attention written out."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from tiny_model import UNET
from torch import Tensor

from motifocal.models.image.resampler_config import ResamplerConfig
from motifocal.models.unet import UNetConfig

SMALL = replace(
    UNET,
    attention=(False, True),
    cross_attention_dim=12,
    temporal_dropout=0.0,
    image_condition="both",
    image_token_dim=6,
    image_attention="decoupled",
)
QUERIES = ResamplerConfig(width=16, depth=2, heads=2, head_width=4, queries=3)
VARIANTS = {
    "linear": SMALL,
    "no projection": replace(SMALL, image_projection="none", image_token_dim=12),
    "resampler": replace(SMALL, image_projection="resampler", resampler=QUERIES),
    "resampler for each frame": replace(
        SMALL, image_projection="resampler", resampler=replace(QUERIES, frames=3)
    ),
    "attention alone": replace(SMALL, image_condition="attention"),
    "relative and causal": replace(
        SMALL, relative_positions=2, causal_attention=True, causal_input_attention=True
    ),
    "3x3x3": replace(SMALL, temporal_kernel="3x3x3"),
    "3x3x1,3x1x3": replace(SMALL, temporal_kernel="3x3x1,3x1x3"),
}


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs(config: UNetConfig, frames: int = 3) -> dict:
    return {
        "sample": draw(2, 4, frames, 4, 6),
        "timestep": torch.tensor([7, 900]),
        "encoder_hidden_states": draw(2, 5, 12, seed=2),
        "fps": torch.tensor([8.0, 24.0]),
        "image_latent": draw(2, 4, 4, 6, seed=3) if config.takes_image_latent else None,
        "image_tokens": draw(2, 5, config.image_token_dim or 0, seed=4),
    }


def written_out(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention of one sequence `(n, C)` to `(L, C)`, head by head, from its definition."""
    parts = []
    for q_h, k_h, v_h in zip(*(x.chunk(heads, dim=-1) for x in (q, k, v)), strict=True):
        parts.append((q_h @ k_h.T / math.sqrt(q_h.shape[-1])).softmax(-1) @ v_h)
    return torch.cat(parts, dim=-1)
