"""Kandinsky 5's image-to-video pipeline of diffusers' own classes with tiny random parts."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers
from tiny_diffusers import hunyuan_vae
from tiny_encoders import WIDTH, tiny_clip_text, tiny_tokenizer


def processor() -> Any:
    """Qwen's processor hands text to its tokenizer; the whole one asks for torchvision."""
    return tiny_tokenizer(4096, "<|im_start|>", "<|im_end|>", start=False)


def qwen() -> Any:
    text = {
        "vocab_size": 900, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4
        },
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
        "out_hidden_size": WIDTH,
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def tiny_kandinsky() -> Any:
    torch.manual_seed(0)
    transformer = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=4, in_text_dim=WIDTH, in_text_dim2=WIDTH, time_dim=16, out_visual_dim=4,
        model_dim=32, ff_dim=32, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 6, 6),
        visual_cond=True,
    )  # fmt: skip
    with torch.no_grad():  # those of its gates begin at zero, and shut every block off
        for parameter in transformer.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)
    pipe: Any = diffusers.Kandinsky5I2VPipeline(
        transformer=transformer, vae=hunyuan_vae(), text_encoder=qwen(), tokenizer=processor(),
        text_encoder_2=tiny_clip_text(), tokenizer_2=tiny_tokenizer(77),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
