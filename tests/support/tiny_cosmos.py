"""Pipelines of Cosmos of diffusers' own classes with tiny random parts, and its guardrail."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from tiny_encoders import WIDTH, tiny_t5, tiny_tokenizer
from tiny_kandinsky import qwen
from tiny_vaes import cosmos_vae
from tiny_wan import unipc, wan22_vae, wan_vae
from torch import nn

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% if m['content'] is string %}"
    "{{ m['content'] }}{% else %}{{ m['content'][0]['text'] }}{% endif %}<|im_end|>{% endfor %}"
)


@torch.no_grad()
def awake(module: Any) -> Any:
    """`module` without tensors of zeros: gates that begin at zero shut every block off."""
    for parameter in module.parameters():
        if not parameter.any():
            parameter.normal_(std=0.2)
    return module


class PassingGuardrail(nn.Module):
    """In the place of NVIDIA's checks, which are not installed here: it lets everything through."""

    dtype, device = torch.float32, torch.device("cpu")

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def cosmos_transformer(**others: Any) -> Any:
    """Without the mask of padding that the published ones have: it asks for torchvision."""
    return awake(diffusers.CosmosTransformer3DModel(
        **{"in_channels": 17, "out_channels": 16, "num_attention_heads": 2,
           "attention_head_dim": 16, "num_layers": 1, "mlp_ratio": 2, "text_embed_dim": WIDTH,
           "adaln_lora_dim": 4, "max_size": (4, 32, 32), "extra_pos_embed_type": None,
           "concat_padding_mask": False, **others}
    ))  # fmt: skip


def cosmos_parts() -> dict[str, Any]:
    return {
        "text_encoder": tiny_t5(), "tokenizer": tiny_tokenizer(512, start=False),
        "safety_checker": PassingGuardrail(),
    }  # fmt: skip


def cosmos1() -> Any:
    return diffusers.CosmosVideoToWorldPipeline(
        **cosmos_parts(), vae=cosmos_vae(),
        transformer=cosmos_transformer(in_channels=5, out_channels=4),
        scheduler=diffusers.EDMEulerScheduler(
            sigma_min=0.002, sigma_max=80, sigma_data=0.5, sigma_schedule="karras",
            num_train_timesteps=1000, prediction_type="epsilon", rho=7.0,
            final_sigmas_type="sigma_min",
        ),
    )  # fmt: skip


def cosmos2() -> Any:
    return diffusers.Cosmos2VideoToWorldPipeline(
        **cosmos_parts(), vae=wan_vae(), transformer=cosmos_transformer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
    )  # fmt: skip


def chat_tokenizer(length: int) -> Any:
    tokenizer = tiny_tokenizer(
        length, "<|im_start|>", "<|im_end|>", "<|vision_start|>", start=False
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def cosmos25() -> Any:
    parts = {**cosmos_parts(), "text_encoder": qwen(), "tokenizer": chat_tokenizer(512)}
    return diffusers.Cosmos2_5_PredictBasePipeline(
        **parts, vae=wan_vae(), transformer=cosmos_transformer(), scheduler=unipc(5.0)
    )


def cosmos3() -> Any:
    transformer = diffusers.Cosmos3OmniTransformer(
        head_dim=12, hidden_size=24, intermediate_size=32, num_attention_heads=2,
        num_hidden_layers=1, num_key_value_heads=1, vocab_size=900,
        rope_scaling={"mrope_section": [2, 2, 2]}, rope_theta=1e4,
    )  # fmt: skip
    return diffusers.Cosmos3OmniPipeline(
        transformer=awake(transformer), text_tokenizer=chat_tokenizer(512), vae=wan22_vae(),
        scheduler=unipc(5.0), enable_safety_checker=False,
    )  # fmt: skip
