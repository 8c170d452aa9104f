"""Pipelines of Wan and what is built on it, of diffusers' own classes with tiny random parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
from tiny_encoders import WIDTH, tiny_clip_processor, tiny_clip_vision, tiny_t5, tiny_tokenizer


def wan_vae() -> Any:
    return diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )  # fmt: skip


def wan_transformer(image_dim: int | None, channels: int, latents: int = 16) -> Any:
    return diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=latents,
        text_dim=WIDTH, freq_dim=16, ffn_dim=32, num_layers=1, image_dim=image_dim,
        added_kv_proj_dim=24 if image_dim else None, rope_max_seq_len=64,
    )  # fmt: skip


def unipc(shift: float) -> Any:
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )


def with_shift(folder: Path, shift: float) -> Path:
    """A copy beside a saved pipeline whose scheduler says another shift."""
    other = shutil.copytree(folder, folder.with_name(f"{folder.name}-{shift:g}"))
    path = other / "scheduler/scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "flow_shift": shift}))
    return other


def wan_parts() -> dict[str, Any]:
    return {
        "tokenizer": tiny_tokenizer(512, start=False),
        "text_encoder": tiny_t5("UMT5EncoderModel"),
        "vae": wan_vae(),
        "scheduler": unipc(3.0),
    }


def wan21() -> Any:
    return diffusers.WanImageToVideoPipeline(
        **wan_parts(), transformer=wan_transformer(WIDTH, 36), image_encoder=tiny_clip_vision(),
        image_processor=tiny_clip_processor(),
    )  # fmt: skip


def wan22_a14b() -> Any:
    """Two transformers, no image encoder."""
    return diffusers.WanImageToVideoPipeline(
        **wan_parts(), transformer=wan_transformer(None, 36),
        transformer_2=wan_transformer(None, 36), boundary_ratio=0.9,
    )  # fmt: skip


def wan22_vae() -> Any:
    return diffusers.AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=48, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True], latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
        is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16,
    )  # fmt: skip


def wan22_5b(pipeline: str = "WanImageToVideoPipeline") -> Any:
    """The picture is the first latent, at 16x; published under its text-to-video class."""
    parts = {**wan_parts(), "vae": wan22_vae(), "transformer": wan_transformer(None, 48, 48)}
    return getattr(diffusers, pipeline)(**parts, expand_timesteps=True)


def skyreels() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=36, out_channels=16,
        text_dim=WIDTH, freq_dim=16, ffn_dim=32, num_layers=1, image_dim=WIDTH,
        added_kv_proj_dim=24, rope_max_seq_len=64,
    )  # fmt: skip
    return diffusers.SkyReelsV2ImageToVideoPipeline(
        **wan_parts(), transformer=transformer,
        image_encoder=tiny_clip_vision("CLIPVisionModelWithProjection"),
        image_processor=tiny_clip_processor(),
    )  # fmt: skip
