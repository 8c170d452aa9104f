"""The U-Net: predicts from a noisy latent video, a time, a prompt, a frame rate and an image.

The network is diffusers' `UNet3DConditionModel`, which computes what the published VideoCrafter2
U-Net computes, with what it lacks: the frame rate, the image, and gradient checkpointing.

Shape letters: B batch, F frames, C latent channels, h w latents, L text tokens, D text width,
N image tokens, E image token width.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from motifocal.models.attention import (
    Context,
    SharedTextProcessor,
    adapt_temporal_attention,
    add_image_attention,
)
from motifocal.models.image.projection import LinearProjection, Resampler
from motifocal.models.unet_config import (
    VIDEOCRAFTER2,
    ImageAttention,
    ImageCondition,
    ImageProjection,
    ImageTokenSource,
    TemporalKernel,
    UNetConfig,
)
from motifocal.models.unet_parts import (
    adapt_temporal_convs,
    attend,
    check_inputs,
    layers_of,
    run_layer,
    with_zero_channel,
    zero_residual_ends,
)

# ModelMixin: `DiffusionPipeline.from_pretrained` looks here for the base class of TI2VUNet.
__all__ = ["VIDEOCRAFTER2", "ImageCondition", "ModelMixin", "TI2VUNet", "UNetConfig"]


class TI2VUNet(UNet3DConditionModel):
    """The text-image-to-video denoiser. A freshly built one predicts exactly zero.

    Saved and loaded by `save_pretrained` / `from_pretrained`; `config.json` holds the fields of
    `UNetConfig`. Build one with `TI2VUNet.build(config)`.
    """

    _supports_gradient_checkpointing = True
    _gradient_checkpointing_func: Any
    # The base class registers its own arguments too; ours say the same in one vocabulary.
    ignore_for_config = sorted(
        set(inspect.signature(UNet3DConditionModel.__init__).parameters)
        - {field.name for field in fields(UNetConfig)}
    )

    @register_to_config
    def __init__(
        self,
        latent_channels: int,
        block_out_channels: tuple[int, ...],
        attention: tuple[bool, ...],
        layers_per_block: int,
        norm_num_groups: int,
        head_width: int,
        input_attention_heads: int,
        cross_attention_dim: int,
        temporal_dropout: float,
        image_condition: ImageCondition = "concat",
        image_token_dim: int | None = None,
        image_attention: ImageAttention = "appended",
        image_scale: float = 1.0,
        image_projection: ImageProjection = "linear",
        resampler: dict[str, Any] | None = None,
        relative_positions: int | None = None,
        causal_attention: bool = False,
        causal_input_attention: bool = False,
        temporal_kernel: TemporalKernel = "3x1x1",
        image_token_source: ImageTokenSource = "encoder",
        motion_score: bool = False,
        motion_mask: bool = False,
    ) -> None:
        config = UNetConfig.from_mapping(self.config)
        channels = config.block_out_channels
        super().__init__(
            in_channels=latent_channels * (2 if config.takes_image_latent else 1),
            out_channels=latent_channels,
            down_block_types=tuple(_block("Down", yes) for yes in config.attention),
            up_block_types=tuple(_block("Up", yes) for yes in reversed(config.attention)),
            block_out_channels=channels,
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            cross_attention_dim=cross_attention_dim,
            attention_head_dim=head_width,
        )
        self.transformer_in = TransformerTemporalModel(
            num_attention_heads=input_attention_heads,
            attention_head_dim=head_width,
            in_channels=channels[0],
            num_layers=1,
            norm_num_groups=norm_num_groups,
        )
        self.fps_proj = Timesteps(channels[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.fps_embedding = TimestepEmbedding(channels[0], 4 * channels[0])
        if config.image_token_dim is not None:
            self.image_proj = _image_projection(config, config.image_token_dim)
        self.unet_config = config
        self.gradient_checkpointing = False
        self.set_attn_processor(SharedTextProcessor())
        if config.takes_image_tokens and image_attention == "decoupled":
            add_image_attention(self, cross_attention_dim, image_scale)
        for module in self.modules():
            if isinstance(module, TransformerTemporalModel):
                first = module is self.transformer_in
                causal = causal_input_attention if first else causal_attention
                adapt_temporal_attention(module, relative_positions, causal)
        adapt_temporal_convs(self, temporal_dropout, temporal_kernel)
        zero_residual_ends(self)
        # Last, so that a network without priors has the same first weights.
        if motion_score:
            self.score_embedding = TimestepEmbedding(channels[0], 4 * channels[0])
            for parameter in self.score_embedding.linear_2.parameters():
                nn.init.zeros_(parameter)
        if motion_mask:
            self.conv_in = with_zero_channel(self.conv_in)

    @classmethod
    def build(cls, config: UNetConfig) -> TI2VUNet:
        """A fresh network; seed torch before the call to make its weights reproducible."""
        return cls(**asdict(config))

    def forward(  # type: ignore[override]
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        fps: Tensor | float,
        image_latent: Tensor | None = None,
        image_tokens: Tensor | None = None,
        motion_score: Tensor | float | None = None,
        motion_mask: Tensor | None = None,
    ) -> Tensor:
        """Predict noise or velocity: a plain tensor `(B, C, F, h, w)`.

        Args:
            sample: noisy latents `(B, C, F, h, w)`; any F; h and w divide by 2^(levels - 1).
            timestep: `(B,)` or one number, 0 to 999.
            encoder_hidden_states: text features `(B, L, D)`.
            fps: frames per second of the clip as a raw number, `(B,)` or one for all.
            image_latent: `(B, C, h, w)`, the clean latent of the first frame, repeated over the
                frames and concatenated on channels (the paper's x-cat).
            image_tokens: `(B, N, E)` for the clip or, with decoupled attention and no resampler,
                `(B, F, N, E)` for each frame; projected, then seen by cross-attention (cx-attn).
            motion_score: how much clips move, `(B,)` or one number in [0, 1]; None, or nan for a
                clip, where the network is not told.
            motion_mask: where clips may move, `(B, 1, h, w)` in [0, 1]; None: everywhere.

        Raises:
            ValueError: a shape is wrong, or an image condition is missing or not taken.
        """
        check_inputs(self.unet_config, sample, encoder_hidden_states, image_latent, image_tokens,
                     motion_score, motion_mask)
        batch, _, frames, _, _ = sample.shape
        emb = self.time_embedding(self._sinusoid(self.time_proj, "timestep", timestep, sample))
        emb = emb + self.fps_embedding(self._sinusoid(self.fps_proj, "fps", fps, sample))
        if motion_score is not None:
            emb = emb + self._score_embedding(motion_score, sample)
        emb = emb.repeat_interleave(frames, dim=0, output_size=batch * frames)
        context = self._context(encoder_hidden_states, image_tokens, frames)
        sample = self._with_image_channels(sample, image_latent, motion_mask)

        x = self.conv_in(rearrange(sample, "b c f h w -> (b f) c h w"))
        x = self._run(attend, x, context, frames, None, self.transformer_in)
        skips = [x]
        block: Any
        for block in self.down_blocks:
            for layer in layers_of(block):
                x = self._run(run_layer, x, None, emb, context, frames, *layer)
                skips.append(x)
            for downsampler in block.downsamplers or ():
                x = downsampler(x)
                skips.append(x)
        x = self._middle(x, emb, context, frames)
        for block in self.up_blocks:
            for layer in layers_of(block):
                x = self._run(run_layer, x, skips.pop(), emb, context, frames, *layer)
            for upsampler in block.upsamplers or ():
                x = upsampler(x)
        x = self.conv_out(self.conv_act(self.conv_norm_out(x)))
        return rearrange(x, "(b f) c h w -> b c f h w", f=frames)

    def enable_freeu(self, s1: float, s2: float, b1: float, b2: float) -> None:
        """Refused: this forward pass does not go through the blocks that read these numbers."""
        raise NotImplementedError("TI2VUNet does not support FreeU")

    def _context(self, text: Tensor, image_tokens: Tensor | None, frames: int) -> Context:
        """What spatial attention looks at: the text, with image tokens after it or beside it."""
        if image_tokens is None:
            return Context(text, None)
        tokens = self.image_proj(image_tokens)
        if self.unet_config.image_attention == "appended":
            return Context(torch.cat([text, tokens], dim=1), None)
        if tokens.ndim == 4:
            # A resampler for another number of frames: each frame sees the tokens of all, as in
            # DynamiCrafter.
            own = tokens.shape[1] == frames
            tokens = rearrange(tokens, f"b f n d -> {'(b f) n' if own else 'b (f n)'} d")
        return Context(text, tokens)

    def _with_image_channels(
        self, sample: Tensor, image_latent: Tensor | None, motion_mask: Tensor | None
    ) -> Tensor:
        """Latents, the image's, and 1 where nothing may move: 0, as if untold, where it may."""
        channels = [] if image_latent is None else [image_latent]
        if self.unet_config.motion_mask:
            anywhere = sample.new_ones(len(sample), 1, *sample.shape[3:])
            channels.append(1 - (anywhere if motion_mask is None else motion_mask))
        still = [repeat(x, "b c h w -> b c f h w", f=sample.shape[2]).to(sample.dtype)
                 for x in channels]
        return torch.cat([sample, *still], dim=1)

    def _score_embedding(self, score: Tensor | float, sample: Tensor) -> Tensor:
        """Embed 1000 times the score as a timestep; zeros for clips of which it is not told."""
        scores = torch.as_tensor(score, device=sample.device)
        times = 1000 * scores.nan_to_num()
        sinusoid = self._sinusoid(self.time_proj, "motion_score", times, sample)
        embedded: Tensor = self.score_embedding(sinusoid)
        return embedded * scores.isfinite().expand(len(sample))[:, None].to(embedded.dtype)

    def _middle(self, x: Tensor, emb: Tensor, context: Context, frames: int) -> Tensor:
        block = self.mid_block
        first, *rest = zip(block.resnets, block.temp_convs, strict=True)
        x = self._run(run_layer, x, None, emb, context, frames, *first, None, None)
        attentions = zip(block.attentions, block.temp_attentions, strict=True)
        for attention, convolutions in zip(attentions, rest, strict=True):
            x = self._run(attend, x, context, frames, *attention)
            x = self._run(run_layer, x, None, emb, context, frames, *convolutions, None, None)
        return x

    def _run(self, function: Callable[..., Tensor], *args: Any) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(function, *args)
        return function(*args)

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable[..., Any] = checkpoint
    ) -> None:
        # Only here: a block inside that checkpoints too would be computed a third time.
        self.gradient_checkpointing = enable
        self._gradient_checkpointing_func = gradient_checkpointing_func

    def _sinusoid(
        self, proj: Timesteps, name: str, value: Tensor | float, sample: Tensor
    ) -> Tensor:
        values, batch = torch.as_tensor(value, device=sample.device), len(sample)
        if values.shape not in ((), (1,), (batch,)):
            raise ValueError(
                f"{name} should be ({batch},) or one number, got {tuple(values.shape)}"
            )
        return proj(values.expand(batch)).to(self.dtype)


def _block(direction: str, attends: bool) -> str:
    return f"{'CrossAttn' if attends else ''}{direction}Block3D"


def _image_projection(config: UNetConfig, token_dim: int) -> nn.Module:
    width = config.cross_attention_dim
    if config.resampler is not None:
        return Resampler(config.resampler, token_dim, width)
    return LinearProjection(token_dim, width) if config.image_projection == "linear" else (
        nn.Identity())
