"""A random CLIP of transformers' class, with the tokenizer of the tiny model's sentences."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_model import tiny_text_encoder
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

SIDE = 16
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}  # fmt: skip
SIZES = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


def write_clip(folder: Path) -> Path:
    """Write the model folder that `bench score --clip` takes."""
    tokenizer, tower = tiny_text_encoder()
    torch.manual_seed(0)
    config = CLIPConfig(text_config=tower.config.to_dict(), vision_config=SMALL, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(**SIZES).save_pretrained(folder)
    return folder
