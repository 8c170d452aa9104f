"""Small random checkpoints with the names and the structure of the released image-to-video ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPVisionModelWithProjection

from motifocal.models.image.encoder import image_encoder_config
from motifocal.models.image.resampler_config import ResamplerConfig
from motifocal.models.released.checkpoint import BaseModel, plan_import
from motifocal.models.text import text_config
from motifocal.models.unet import TI2VUNet

CHARACTERS = "!abcdefghijklmnopqrstuvwxyz"
SMALL_QUERIES = ResamplerConfig(width=16, depth=2, heads=2, head_width=8, queries=4)


def small(base: BaseModel) -> BaseModel:
    frames = base.unet.resampler.frames and 2
    return replace(
        base,
        unet=replace(
            base.unet,
            block_out_channels=(16, 32, 32, 32),
            layers_per_block=1,
            norm_num_groups=8,
            head_width=16,
            cross_attention_dim=16,
            image_token_dim=24,
            resampler=replace(SMALL_QUERIES, frames=frames),
        ),
        autoencoder=base.autoencoder
        | {"block_out_channels": (8, 8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
        text_encoder=text_config(width=16, heads=2, layers=2, vocabulary=2 * len(CHARACTERS) + 2),
        image_encoder=image_encoder_config(24, 2, 2, patch=14, side=28, projection=16),
    )


def released_tensors(base: BaseModel) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
    """Models with every layer drawn, and their tensors under the released names."""
    plan = plan_import(base)
    torch.manual_seed(0)
    models: dict[str, nn.Module] = {
        "unet": TI2VUNet.build(base.unet),
        "vae": AutoencoderKL(**base.autoencoder),
        "text_encoder": CLIPTextModel(base.text_encoder),
        "image_encoder": CLIPVisionModelWithProjection(base.image_encoder),
    }
    released: dict[str, Tensor] = {name: torch.zeros(3) for name in plan.unused}
    for component, model in models.items():
        for parameter in model.eval().parameters():
            nn.init.normal_(parameter, std=0.2)
        thirds: dict[str, list[Tensor]] = {}
        state = model.state_dict()
        for name, source in plan.sources[component].items():
            ours = state[name].T if source.transposed else state[name]
            theirs = ours.reshape(*ours.shape, *(1,) * source.trailing)
            if source.third is None:
                released[source.name] = theirs.clone().contiguous()
            else:
                parts = thirds.setdefault(source.name, [theirs] * 3)
                parts[source.third] = theirs
        released |= {name: torch.cat(parts) for name, parts in thirds.items()}
    schedule = base.scheduler().noise_schedule
    released["alphas_cumprod"] = schedule.alphas_cumprod.clone()
    released["scale_arr"] = torch.cat([schedule.scale, torch.full((400,), 0.7)])
    return models, released


def tokenizer_folder(folder: Path) -> Path:
    """CLIP's kind of vocabulary with single letters only: "!" first, the start and end last."""
    folder.mkdir()
    tokens = [*CHARACTERS, *(f"{c}</w>" for c in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder
