"""The parts of the denoiser that differ from diffusers' blocks, or iterate over them.

Shape letters: B batch, F frames, C channels, h w latents.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn
from torch.nn import functional

from motifocal.models.attention import Context
from motifocal.models.unet_config import TemporalKernel, UNetConfig

#: Kernels of the four convolutions of a temporal layer, over frames, height and width.
TEMPORAL_KERNELS: dict[TemporalKernel, tuple[tuple[int, int, int], ...]] = {
    "3x1x1": ((3, 1, 1),) * 4,
    "3x3x3": ((3, 3, 3), (3, 3, 3), (3, 1, 1), (3, 1, 1)),
    "3x3x1,3x1x3": ((3, 3, 1), (3, 1, 3), (3, 3, 1), (3, 1, 3)),
}


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
    context: Context,
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
    return attend(x, context, frames, attention, temporal_attention)


def attend(
    x: Tensor,
    context: Context,
    frames: int,
    attention: Transformer2DModel | None,
    temporal_attention: TransformerTemporalModel,
) -> Tensor:
    """Attend within each image and to the context, then across time without the context."""
    if attention is not None:
        image = None if context.image is None else {"image_tokens": context.image}
        (x,) = attention(
            x, encoder_hidden_states=context.text, cross_attention_kwargs=image, return_dict=False
        )
    (x,) = temporal_attention(x, num_frames=frames, return_dict=False)
    return x


def adapt_temporal_convs(model: nn.Module, dropout: float, kernel: TemporalKernel) -> None:
    """Fast or wider convolutions, and the dropout that diffusers fixes at 0.1."""
    for module in model.modules():
        if isinstance(module, TemporalConvLayer):
            branches = (module.conv1, module.conv2, module.conv3, module.conv4)
            for branch, size in zip(branches, TEMPORAL_KERNELS[kernel], strict=True):
                branch[-1] = _temporal_conv(branch[-1], size)
            for layer in module.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = dropout


def _temporal_conv(old: Any, kernel: tuple[int, int, int]) -> nn.Conv3d:
    if kernel[1:] != (1, 1):
        frames, rows, columns = (size // 2 for size in kernel)
        padding = frames, rows, columns
        return nn.Conv3d(old.in_channels, old.out_channels, kernel, padding=padding)
    with torch.device("meta"):
        new = TemporalConv(old.in_channels, old.out_channels, old.kernel_size)
    new.weight, new.bias = old.weight, old.bias
    return new


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


def with_zero_channel(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with one more input channel, the last, whose weights are zero."""
    with torch.device("meta"):
        wide = nn.Conv2d(conv.in_channels + 1, conv.out_channels, 3, padding=1)
    wide.weight = nn.Parameter(functional.pad(conv.weight.detach(), (0, 0, 0, 0, 0, 1)))
    wide.bias = conv.bias
    return wide


def check_inputs(
    config: UNetConfig, sample: Tensor, text: Tensor, image_latent: Tensor | None,
    image_tokens: Tensor | None, motion_score: Tensor | float | None,
    motion_mask: Tensor | None,
) -> None:  # fmt: skip
    """Raise ValueError for inputs of a network that have a wrong shape, or that it lacks."""
    if sample.ndim != 5 or sample.shape[1] != config.latent_channels:
        raise ValueError(
            f"sample should be (B, {config.latent_channels}, F, h, w), "
            f"got {tuple(sample.shape)}"
        )
    batch, channels, frames, height, width = sample.shape
    divisor = config.spatial_divisor
    if height % divisor or width % divisor:
        raise ValueError(
            f"latent height and width should divide by {divisor} "
            f"(2^(levels - 1)), got {height}x{width}"
        )
    _check_shape("encoder_hidden_states", text, (batch, None, config.cross_attention_dim))
    if config.takes_image_latent:
        _check_shape("image_latent", image_latent, (batch, channels, height, width))
    elif image_latent is not None:
        raise ValueError(f"image_condition {config.image_condition!r} takes no image_latent")
    if config.takes_image_tokens:
        for_frames = image_tokens is not None and image_tokens.ndim == 4
        if for_frames and config.takes_tokens_of_frames:
            expected = (batch, frames, None, config.image_token_dim)
            _check_shape("image_tokens", image_tokens, expected)
        else:
            _check_shape("image_tokens", image_tokens, (batch, None, config.image_token_dim))
    elif image_tokens is not None:
        raise ValueError(f"image_condition {config.image_condition!r} takes no image_tokens")
    if motion_score is not None and not config.motion_score:
        raise ValueError("a network without a motion score should be given none")
    if motion_mask is not None:
        if not config.motion_mask:
            raise ValueError("a network without a motion mask should be given none")
        _check_shape("motion_mask", motion_mask, (batch, 1, height, width))


def _check_shape(name: str, value: Tensor | None, expected: tuple[int | None, ...]) -> None:
    shape = None if value is None else tuple(value.shape)
    if (
        shape is None
        or len(shape) != len(expected)
        or any(want not in (None, got) for want, got in zip(expected, shape, strict=True))
    ):
        axes = ", ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"{name} should be ({axes}), got {shape}")
