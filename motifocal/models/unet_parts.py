"""The parts of the denoiser that differ from diffusers' blocks, or walk through them.

Shape letters: B batch, F frames, C channels, h w latents, L text tokens, D text width.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


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


class TemporalConv(nn.Conv3d):
    """A (3, 1, 1) convolution computed as a (3, 1) one over frames and flattened pixels.

    The same numbers under the same names, and 2.5 to 3 times faster forward and backward on the
    CPU, where torch's 3-D convolution is not vectorised.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight, padding = self.weight.flatten(3), (self.kernel_size[0] // 2, 0)
        out = functional.conv2d(x.flatten(3), weight, self.bias, padding=padding)
        return out.unflatten(3, x.shape[3:])


def layers_of(block: Any) -> list[tuple[nn.Module | None, ...]]:
    """The layers of a down or up block: (resnet, temporal conv, attention, temporal attention)."""
    none = [None] * len(block.resnets)
    spatial, temporal = getattr(block, "attentions", none), getattr(block, "temp_attentions", none)
    return list(zip(block.resnets, block.temp_convs, spatial, temporal, strict=True))


def run_layer(
    x: Tensor,
    skip: Tensor | None,
    emb: Tensor,
    text: Tensor,
    frames: int,
    resnet: ResnetBlock2D,
    temporal_conv: TemporalConvLayer,
    attention: Transformer2DModel | None,
    temporal_attention: TransformerTemporalModel | None,
) -> Tensor:
    if skip is not None:
        x = torch.cat([x, skip], dim=1)
    x = temporal_conv(resnet(x, emb), num_frames=frames)
    if temporal_attention is None:
        return x
    return attend(x, text, frames, attention, temporal_attention)


def attend(
    x: Tensor,
    text: Tensor,
    frames: int,
    attention: Transformer2DModel | None,
    temporal_attention: TransformerTemporalModel,
) -> Tensor:
    """Across each picture and to the text, then across time. Text never reaches the latter."""
    if attention is not None:
        (x,) = attention(x, encoder_hidden_states=text, return_dict=False)
    (x,) = temporal_attention(x, num_frames=frames, return_dict=False)
    return x


def adapt_temporal_convs(model: nn.Module, dropout: float) -> None:
    """Fast convolutions, and the dropout that diffusers fixes at 0.1."""
    for module in model.modules():
        if isinstance(module, TemporalConvLayer):
            for branch in (module.conv1, module.conv2, module.conv3, module.conv4):
                old: Any = branch[-1]
                with torch.device("meta"):
                    new = TemporalConv(old.in_channels, old.out_channels, old.kernel_size)
                new.weight, new.bias = old.weight, old.bias
                branch[-1] = new
            for layer in module.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = dropout


def zero_residual_ends(model: Any) -> None:
    """Every residual branch starts as the identity and the output at zero, as in the base model."""
    ends: list[nn.Module] = [model.conv_out, model.fps_embedding.linear_2]
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            ends.append(module.conv2)
        elif isinstance(module, TemporalConvLayer):
            ends.append(module.conv4[-1])
        elif isinstance(module, Transformer2DModel | TransformerTemporalModel):
            ends.append(module.proj_out)
    for end in ends:
        for parameter in end.parameters():
            nn.init.zeros_(parameter)
