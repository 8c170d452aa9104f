"""Attention layers that the denoiser needs and diffusers' blocks lack.

In space, one text for all frames of a clip, and cross-attention to image tokens beside the text, as
VideoCrafter1 and DynamiCrafter have it. In time, relative positions and a causal mask. All are
processors of diffusers' `Attention`, with what they learn added to it under the published names.

Shape letters: B batch, F frames, S sequences, n h w pixels, L text tokens, N image tokens, C width
of a sequence, H heads, d width of a head, D width of text and image tokens.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


class Context(NamedTuple):
    """What spatial cross-attention looks at."""

    text: Tensor  # (B, L, D)
    image: Tensor | None  # (B, N, D) for all frames, (B F, N, D) for each; None: text alone


class SharedTextProcessor(AttnProcessor2_0):
    """Attention of B·F pictures to B texts, without a copy of the text for every frame.

    All frames of a clip see the same text, and attention treats each query alone, so the frames
    are laid side by side as queries of one sequence. Exact; keys and values cost 1/F.
    """

    def __call__(  # type: ignore[override]
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        if encoder_hidden_states is None:
            with _attention_backend(hidden_states):
                return super().__call__(attn, hidden_states, None, attention_mask)
        frames = len(hidden_states) // len(encoder_hidden_states)
        queries = rearrange(hidden_states, "(b f) n c -> b (f n) c", f=frames)
        with _attention_backend(encoder_hidden_states):
            out = super().__call__(attn, queries, encoder_hidden_states, attention_mask)
        return rearrange(out, "b (f n) c -> (b f) n c", f=frames)


def _attention_backend(keys: Tensor) -> AbstractContextManager[None]:
    """Plain matrix products for short sequences in low precision on the CPU.

    There the backward pass of torch's blocked attention is ten times slower than they are, which
    was half of a training step of the small model. Elsewhere torch chooses.
    """
    low = keys.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if keys.device.type == "cpu" and low and keys.shape[1] <= 128:
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


class ImageTokenProcessor(SharedTextProcessor):
    """Cross-attention to text plus `scale` times that to image tokens, by the same queries.

    Keys and values of the image have weights of their own, `to_k_ip` and `to_v_ip`; `to_out` acts
    on the sum.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_tokens: Tensor | None = None,
    ) -> Tensor:
        if encoder_hidden_states is None or image_tokens is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)
        modules: Any = attn
        queries, text = attn.to_q(hidden_states), encoder_hidden_states
        out = attend_together(queries, attn.to_k(text), attn.to_v(text), attn.heads)
        keys, values = modules.to_k_ip(image_tokens), modules.to_v_ip(image_tokens)
        out = out + self.scale * attend_together(queries, keys, values, attn.heads)
        return modules.to_out[1](modules.to_out[0](out))


def attend_together(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention of S sequences of queries `(S, n, C)` to B of keys `(B, L, C)`; B divides S.

    The S / B sequences that see the same keys are laid side by side as queries of one.
    """
    together = len(queries) // len(keys)
    q = rearrange(queries, "(b f) n (h d) -> b h (f n) d", f=together, h=heads)
    k, v = (rearrange(x, "b l (h d) -> b h l d", h=heads) for x in (keys, values))
    with _attention_backend(keys):
        out = functional.scaled_dot_product_attention(q, k, v)
    return rearrange(out, "b h (f n) d -> (b f) n (h d)", f=together)


def add_image_attention(model: nn.Module, width: int, scale: float) -> None:
    """Give every spatial cross-attention keys and values for image tokens of this width."""
    for transformer in model.modules():
        if isinstance(transformer, Transformer2DModel):
            for block in transformer.transformer_blocks:
                cross: Any = block.attn2
                inner = cross.to_k.out_features
                cross.to_k_ip = nn.Linear(width, inner, bias=False)
                cross.to_v_ip = nn.Linear(width, inner, bias=False)
                for attention in (block.attn1, cross):
                    attention.set_processor(ImageTokenProcessor(scale))


class RelativePositions(nn.Module):
    """A learned vector for each distance between two frames, shared by all heads.

    Distances beyond `longest` share the vector of `longest`.
    """

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        self.longest = longest
        self.embeddings_table = nn.Parameter(torch.empty(2 * longest + 1, width))
        nn.init.xavier_uniform_(self.embeddings_table)

    def forward(self, frames: int) -> Tensor:
        """`(F, F, d)`: for each frame the vectors of all frames, by key minus query."""
        place = torch.arange(frames, device=self.embeddings_table.device)
        distance = (place[None, :] - place[:, None]).clamp(-self.longest, self.longest)
        return self.embeddings_table[distance + self.longest]


class TemporalProcessor:
    """Self-attention over frames, with relative positions where there are any, causal or not.

    Positions add to the keys that a query is compared with and to the values that it collects.
    """

    def __init__(self, causal: bool) -> None:
        self.causal = causal

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        modules: Any = attn
        projections = modules.to_q, modules.to_k, modules.to_v
        q, k, v = (
            rearrange(project(hidden_states), "s f (h d) -> s h f d", h=attn.heads)
            for project in projections
        )
        frames, positions = q.shape[2], hasattr(attn, "relative_position_k")
        scores = q @ k.transpose(-1, -2)
        if positions:
            added = modules.relative_position_k(frames)
            scores = scores + torch.einsum("s h i d, i j d -> s h i j", q, added)
        scores = scores * attn.scale
        if self.causal:
            future = scores.new_ones(frames, frames, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        shares = scores.softmax(dim=-1)
        out = shares @ v
        if positions:
            added = modules.relative_position_v(frames)
            out = out + torch.einsum("s h i j, i j d -> s h i d", shares, added)
        return modules.to_out[1](modules.to_out[0](rearrange(out, "s h f d -> s f (h d)")))


def adapt_temporal_attention(
    transformer: TransformerTemporalModel, longest: int | None, causal: bool
) -> None:
    """Give a temporal transformer relative positions up to `longest` frames, or a causal mask."""
    if longest is None and not causal:
        return
    for block in transformer.transformer_blocks:
        for attention in (block.attn1, block.attn2):
            modules: Any = attention
            if longest is not None:
                width = modules.to_q.out_features // modules.heads
                modules.relative_position_k = RelativePositions(longest, width)
                modules.relative_position_v = RelativePositions(longest, width)
            modules.set_processor(TemporalProcessor(causal))
