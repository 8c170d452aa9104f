"""The scenes preset becomes a denoiser with random inputs of its own size, for the benchmarks.

Letters: B batch, C latent channels, F frames, h w latents, L tokens, D text width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from motifocal.models.unet import TI2VUNet, UNetConfig
from motifocal.training.encoders.text_encoder import BUNDLED_TEXT_ENCODER
from motifocal.training.presets import SCENES

FRAMES, SIDE, FPS = 16, 8, 8.0  # 64 x 64 pixels through an autoencoder of stride 8


@dataclass(frozen=True)
class Inputs:
    """latents (B, C, F, h, w), timesteps (B,), text (B, L, D), fps (B,)."""

    latents: Tensor
    timesteps: Tensor
    text: Tensor
    fps: Tensor

    @property
    def picture(self) -> Tensor:
        """(B, C, h, w): the first frame, clean."""
        return self.latents[:, :, 0]


def config(quick: bool) -> UNetConfig:
    """The preset's network, or for a smoke run one of its kind that takes milliseconds."""
    if not quick:
        return SCENES.unet
    return replace(
        SCENES.unet, block_out_channels=(8,), attention=(True,), norm_num_groups=4, head_width=8
    )


def denoiser(unet: UNetConfig, seed: int = 0) -> TI2VUNet:
    """A network in eval mode whose zero weights were given values, as training would.

    The weights behind the frame rate stay zero: without them it computes what diffusers' does.
    """
    torch.manual_seed(seed)
    network = TI2VUNet.build(unet)
    for name, parameter in network.named_parameters():
        if not name.startswith("fps_embedding.linear_2") and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return network.eval()


def inputs(unet: UNetConfig, batch: int, quick: bool, seed: int = 0) -> Inputs:
    """Random inputs for `batch` clips."""
    generator = torch.Generator().manual_seed(seed)
    frames = 3 if quick else FRAMES
    shape = (batch, unet.latent_channels, frames, SIDE, SIDE)
    tokens = (batch, BUNDLED_TEXT_ENCODER.tokens, unet.cross_attention_dim)
    return Inputs(
        latents=torch.randn(shape, generator=generator),
        timesteps=torch.randint(0, 1000, (batch,), generator=generator),
        text=torch.randn(tokens, generator=generator),
        fps=torch.full((batch,), FPS),
    )
