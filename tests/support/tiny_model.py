"""A whole model with random parts of the real classes: it samples in a fraction of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn
from transformers import CLIPTextModel, PreTrainedTokenizerFast

from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.schedule import ddim_scheduler
from motifocal.models.unet import TI2VUNet, UNetConfig
from motifocal.training.encoders.text_encoder import (
    TextEncoderSettings,
    build_text_encoder,
    train_tokenizer,
)

SENTENCES = ["the blue balloon dips down", "the red balloon rises", "nothing moves"]
TEXT_ENCODER = TextEncoderSettings(
    width=16, layers=1, heads=2, tokens=16, vocabulary=320, steps=0, rate=0.0, seed=0, stages=0
)
UNET = UNetConfig(
    latent_channels=4,
    block_out_channels=(16, 32),
    attention=(True, True),
    layers_per_block=1,
    norm_num_groups=4,
    head_width=8,
    input_attention_heads=2,
    cross_attention_dim=16,
    temporal_dropout=0.1,
)


def tiny_unet(config: UNetConfig = UNET) -> TI2VUNet:
    """A network whose zero layers are drawn anew, so that every condition moves the output."""
    torch.manual_seed(0)
    unet = TI2VUNet.build(config).eval()
    for parameter in unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return unet


def tiny_autoencoder() -> AutoencoderKL:
    """4 latent channels at 4x."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.5,
    ).eval()


def tiny_text_encoder() -> tuple[PreTrainedTokenizerFast, CLIPTextModel]:
    """A tokenizer of SENTENCES and a tower for it."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(SENTENCES, TEXT_ENCODER)
    return tokenizer, build_text_encoder(tokenizer, TEXT_ENCODER).eval()


def tiny_pipeline(unet: UNetConfig = UNET, **parts: Any) -> TI2VPipeline:
    """v-prediction, zero terminal SNR; 4 frames of 32x32 pixels (8x8 latents) in 3 steps."""
    tokenizer, tower = tiny_text_encoder()
    pipeline = TI2VPipeline(
        unet=tiny_unet(unet),
        vae=tiny_autoencoder(),
        text_encoder=tower,
        tokenizer=tokenizer,
        scheduler=ddim_scheduler("v_prediction", zero_terminal_snr=True),
        sample_height=32,
        sample_width=32,
        sample_frames=4,
        sample_fps=8.0,
        sample_steps=3,
        sample_guidance=6.5,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_folder(folder: Path) -> Path:
    """`tiny_pipeline()` saved into `folder`."""
    tiny_pipeline().save_pretrained(folder)
    return folder
