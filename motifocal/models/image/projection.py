"""Project the tokens of a frozen image encoder to the width of cross-attention.

Shape letters: B batch, F frames, N tokens of the image encoder, E their width, Q queries a clip or
a frame, D width of the text features, W width of the resampler.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from motifocal.models.image.resampler_config import ResamplerConfig


class LinearProjection(nn.Sequential):
    """A norm and a linear layer for each token: `(..., E)` becomes `(..., D)`."""

    def __init__(self, token_width: int, width: int) -> None:
        super().__init__(nn.LayerNorm(token_width), nn.Linear(token_width, width))


class Resampler(nn.Module):
    """Learned queries attend to the tokens of an image (Perceiver, as in VideoCrafter1).

    `(B, N, E)` becomes `(B, Q, D)`, or `(B, F, Q, D)` where each frame has queries of its own, as
    in DynamiCrafter; all of a clip's queries see each other.
    """

    def __init__(self, config: ResamplerConfig, token_width: int, width: int) -> None:
        super().__init__()
        self.config = config
        queries = config.queries * (config.frames or 1)
        self.queries = nn.Parameter(torch.randn(1, queries, config.width) / config.width**0.5)
        self.proj_in = nn.Linear(token_width, config.width)
        self.layers = nn.ModuleList(ResamplerLayer(config) for _ in range(config.depth))
        self.proj_out = nn.Linear(config.width, width)
        self.norm_out = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.proj_in(tokens)
        x = repeat(self.queries, "1 q w -> b q w", b=len(tokens))
        for layer in self.layers:
            x = layer(x, tokens)
        x = self.norm_out(self.proj_out(x))
        return x if self.config.frames is None else x.unflatten(1, (self.config.frames, -1))


class ResamplerLayer(nn.Module):
    """Queries attend to the tokens and to themselves, then a feed-forward layer; both residual."""

    def __init__(self, config: ResamplerConfig) -> None:
        super().__init__()
        width, inner = config.width, config.heads * config.head_width
        self.heads = config.heads
        self.norm_tokens = nn.LayerNorm(width)
        self.norm_queries = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width, bias=False),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=False),
        )

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        queries = self.norm_queries(x)
        seen = torch.cat([self.norm_tokens(tokens), queries], dim=1)
        parts = self.to_q(queries), *self.to_kv(seen).chunk(2, dim=-1)
        q, k, v = (rearrange(part, "b n (h d) -> b h n d", h=self.heads) for part in parts)
        attended = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.to_out(rearrange(attended, "b h n d -> b n (h d)"))
        return x + self.feed_forward(x)
