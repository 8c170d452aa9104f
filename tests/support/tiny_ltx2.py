"""LTX-2's image-to-video pipeline of diffusers' own classes with tiny random parts."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
from tiny_encoders import WIDTH, tiny_tokenizer
from tiny_vaes import ltx2_vae

LAYERS = 2  # of the text encoder: the connectors see all of them, and the embeddings


def gemma() -> Any:
    text = transformers.Gemma3TextConfig(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=LAYERS,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, sliding_window=64,
    )  # fmt: skip
    vision = transformers.SiglipVisionConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    config = transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=5,
        boi_token_index=6, eoi_token_index=7,
    )  # fmt: skip
    return transformers.Gemma3ForConditionalGeneration(config)


#: What LTX-2.3 and later have besides: the prompt is projected once for the video and once for the
#: sound, attention is gated, and the cross attention is modulated.
LATER_CONNECTORS = {
    "per_modality_projections": True, "video_hidden_dim": 32, "audio_hidden_dim": 16,
    "video_connector_attention_head_dim": 16, "video_gated_attn": True, "audio_gated_attn": True,
}  # fmt: skip
LATER_NETWORK = {
    "gated_attn": True, "cross_attn_mod": True, "audio_gated_attn": True,
    "audio_cross_attn_mod": True, "use_prompt_embeddings": False, "perturbed_attn": True,
}  # fmt: skip


#: What the network of 2.5 has besides.
LTX25_NETWORK = {
    "ff_bias": False, "use_prompt_adaln_single": False, "use_keyframes_abs_pos_embedding": True,
}  # fmt: skip


def gemma4() -> Any:
    """The text encoder of LTX-2.5."""
    text = transformers.Gemma4UnifiedTextConfig(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=LAYERS,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, sliding_window=64, layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    config = transformers.Gemma4UnifiedConfig(
        text_config=text, image_token_id=5, boi_token_id=6, eoi_token_id=7, video_token_id=8,
        audio_token_id=9, boa_token_id=10, eoa_token_index=11,
    )  # fmt: skip
    return transformers.Gemma4UnifiedForConditionalGeneration(config)


def connectors(later: bool = False) -> Any:
    return LTX2TextConnectors(**{
        "caption_channels": WIDTH, "text_proj_in_factor": LAYERS + 1,
        "video_connector_num_attention_heads": 2, "video_connector_attention_head_dim": 8,
        "video_connector_num_layers": 1, "video_connector_num_learnable_registers": None,
        "audio_connector_num_attention_heads": 2, "audio_connector_attention_head_dim": 8,
        "audio_connector_num_layers": 1, "audio_connector_num_learnable_registers": None,
        "connector_rope_base_seq_len": 32, "rope_double_precision": False,
        **(LATER_CONNECTORS if later else {}),
    })  # fmt: skip


def transformer(version: str = "2.0") -> Any:
    return diffusers.LTX2VideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16,
        cross_attention_dim=32, audio_in_channels=4, audio_out_channels=4,
        audio_num_attention_heads=2, audio_attention_head_dim=8, audio_cross_attention_dim=16,
        num_layers=1, caption_channels=WIDTH, rope_double_precision=False,
        **(LATER_NETWORK if version != "2.0" else {}),
        **(LTX25_NETWORK if version == "2.5" else {}),
    )  # fmt: skip


def tiny_ltx2(version: str = "2.0") -> Any:
    """The pipeline of LTX-2.0, 2.3 or 2.5."""
    torch.manual_seed(0)
    audio_vae = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4, output_channels=2, ch_mult=(1,), num_res_blocks=1, latent_channels=2,
        mel_bins=8,
    )  # fmt: skip
    vocoder = LTX2Vocoder(
        in_channels=16, hidden_channels=4, upsample_kernel_sizes=[4, 4], upsample_factors=[2, 2],
        resnet_kernel_sizes=[3], resnet_dilations=[[1]],
    )  # fmt: skip
    pipe: Any = diffusers.LTX2ImageToVideoPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=ltx2_vae(),
        audio_vae=audio_vae, text_encoder=gemma4() if version == "2.5" else gemma(),
        tokenizer=tiny_tokenizer(64, start=False), connectors=connectors(version != "2.0"),
        transformer=transformer(version), vocoder=vocoder,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
