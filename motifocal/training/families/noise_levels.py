"""Draw the noise level of a training step as each model's published trainer does.

Every function draws `count` noise levels sigma in [0, 1], (count,) float32, from a generator on the
CPU: a training step draws one for a sample, a test many.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

#: LTX: the shift is linear in the number of tokens between two points, and constant above.
FEWEST_TOKENS, MOST_TOKENS = 1024, 4096
LEAST_SHIFT, MOST_SHIFT = 0.95, 2.05
LOW, HIGH = -2.5758, 3.0902  # standard normal deviates of 0.5 % and 99.9 %
SMALLEST = 1e-3
UNIFORM_SHARE = 0.1


def logit_normal(count: int, generator: Generator) -> Tensor:
    """Draw the sigmoid of a standard normal variable."""
    return torch.sigmoid(torch.randn(count, generator=generator))


def stretched_logit_normal(count: int, tokens: int, generator: Generator) -> Tensor:
    """Draw as `shifted_logit_normal` of Lightricks' LTX-2 trainer does.

    A logit-normal whose mean follows the number of tokens, stretched so that its 0.5 and 99.9 %
    points become 0 and 1. What falls below SMALLEST is reflected there, what falls above 1 is 1.
    One draw in ten is uniform instead, so that no level of noise is rare.
    """
    slope = (MOST_SHIFT - LEAST_SHIFT) / (MOST_TOKENS - FEWEST_TOKENS)
    mean = LEAST_SHIFT + slope * (min(tokens, MOST_TOKENS) - FEWEST_TOKENS)
    low, high = torch.sigmoid(torch.tensor([mean + LOW, mean + HIGH]))
    normal = torch.randn(count, generator=generator)
    stretched = (torch.sigmoid(mean + normal) - low) / (high - low)
    reflected = torch.where(stretched < SMALLEST, 2 * SMALLEST - stretched, stretched)
    uniform = SMALLEST + (1 - SMALLEST) * torch.rand(count, generator=generator)
    is_uniform = torch.rand(count, generator=generator) <= UNIFORM_SHARE
    return torch.where(is_uniform, uniform, reflected.clamp(0, 1))
