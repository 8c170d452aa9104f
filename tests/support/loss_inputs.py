"""Random latents, heatmaps and masks of one small shape."""

from __future__ import annotations

import torch
from torch import Tensor

SHAPE = (3, 4, 5, 6, 7)
HEATMAP_SHAPE = (3, 1, 5, 6, 7)


def latents(seed: int = 0, shape: tuple[int, ...] = SHAPE, **options) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn((2, *shape), generator=generator)
    return prediction.to(**options).requires_grad_(), target.to(**options)


def heat(seed: int = 1, shape: tuple[int, ...] = HEATMAP_SHAPE) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def mask(seed: int = 2, shape: tuple[int, ...] = HEATMAP_SHAPE) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
