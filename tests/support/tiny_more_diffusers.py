"""More whole pipelines of diffusers' own classes with tiny random parts, as in tiny_diffusers.py.

    MORE_KINDS          the names, each with what builds it
    MORE_TINY[kind]     a size and a length that it takes
    save_more(kind)     one of them, saved as `open_model` reads it
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tiny_cosmos import awake, cosmos1, cosmos2, cosmos3, cosmos25
from tiny_diffusers import hunyuan_transformer, hunyuan_vae, ltx_parts
from tiny_encoders import WIDTH, tiny_clip_text, tiny_tokenizer
from tiny_kandinsky import processor, qwen
from tiny_wan import wan_parts, wan_vae

#: A Wan network without an image encoder, and its sizes.
WAN = {
    "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": WIDTH, "freq_dim": 16,
    "ffn_dim": 32, "num_layers": 1,
}  # fmt: skip


def wan_vace() -> Any:
    transformer = diffusers.WanVACETransformer3DModel(
        **WAN, rope_max_seq_len=64, vace_layers=[0], vace_in_channels=96
    )
    return diffusers.WanVACEPipeline(**wan_parts(), transformer=awake(transformer))


def skyreels_v2_forcing() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(
        **WAN, in_channels=16, out_channels=16, rope_max_seq_len=64, inject_sample_info=True
    )
    return diffusers.SkyReelsV2DiffusionForcingImageToVideoPipeline(
        **wan_parts(), transformer=transformer
    )


def helios_transformer() -> Any:
    return diffusers.HeliosTransformer3DModel(**WAN, rope_dim=(4, 4, 4))


def helios() -> Any:
    parts = {**wan_parts(), "scheduler": diffusers.HeliosScheduler(stages=1, stage_range=[0, 1])}
    return diffusers.HeliosPipeline(**parts, transformer=helios_transformer())


#: Two stages of the published three. With the published gamma of a third, noise of blocks of four
#: has a singular covariance, which the CPU's decomposition refuses.
COARSE_TO_FINE: dict[str, Any] = {"stages": 2, "stage_range": [0, 0.5, 1], "gamma": 0.3}


def helios_pyramid() -> Any:
    parts = {**wan_parts(), "scheduler": diffusers.HeliosScheduler(**COARSE_TO_FINE)}
    return diffusers.HeliosPyramidPipeline(**parts, transformer=helios_transformer())


def helios_distilled() -> Any:
    parts = {**wan_parts(), "scheduler": diffusers.HeliosDMDScheduler(**COARSE_TO_FINE)}
    return diffusers.HeliosPyramidPipeline(
        **parts, transformer=helios_transformer(), is_distilled=True
    )


def hunyuan_text() -> dict[str, Any]:
    """The parts of HunyuanVideo that read a prompt alone."""
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video_framepack as module

    words = str(module.DEFAULT_PROMPT_TEMPLATE["template"])
    text = transformers.LlamaConfig(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return {
        "text_encoder": transformers.LlamaModel(text),
        "tokenizer": tiny_tokenizer(512, words=words),
        "vae": hunyuan_vae(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        "text_encoder_2": tiny_clip_text(),
        "tokenizer_2": tiny_tokenizer(77),
    }


def skyreels_v1() -> Any:
    return diffusers.HunyuanSkyreelsImageToVideoPipeline(
        **hunyuan_text(), transformer=hunyuan_transformer(8, guidance_embeds=False)
    )


def framepack() -> Any:
    siglip = transformers.SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    transformer = diffusers.HunyuanVideoFramepackTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, text_embed_dim=WIDTH,
        pooled_projection_dim=WIDTH, rope_axes_dim=(2, 4, 4), has_image_proj=True,
        image_proj_dim=WIDTH, has_clean_x_embedder=True,
    )  # fmt: skip
    return diffusers.HunyuanVideoFramepackPipeline(
        **hunyuan_text(), transformer=transformer,
        image_encoder=transformers.SiglipVisionModel(siglip),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
    )  # fmt: skip


def ltx_long() -> Any:
    parts = {**ltx_parts(timed=True), "scheduler": diffusers.LTXEulerAncestralRFScheduler()}
    return diffusers.LTXI2VLongMultiPromptPipeline(**parts)


def ltx23() -> Any:
    from tiny_ltx2 import tiny_ltx2

    return tiny_ltx2("2.3")


def ltx25() -> Any:
    from tiny_ltx2 import tiny_ltx2

    return tiny_ltx2("2.5")


def kandinsky6() -> Any:
    audio = diffusers.MMAudioVAE(
        mel_bins=8, latent_channels=4, hidden_channels=8, channel_multipliers=(1, 2),
        layers_per_block=1,
    )  # fmt: skip
    transformer = diffusers.Kandinsky6Transformer3DModel(
        in_visual_dim=4, in_text_dim=WIDTH, in_text_dim2=WIDTH, time_dim=16, out_visual_dim=4,
        model_dim=32, ff_dim=32, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 6, 6),
        in_audio_dim=4, out_audio_dim=4, model_dim_a=32, time_dim_a=16, ff_dim_a=32,
        axes_dims_a=(4, 6, 6), visual_token_type_num_embeddings=2,
    )  # fmt: skip
    vocoder = diffusers.MMAudioVocoder(
        num_mels=8, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8),
        upsample_initial_channel=8, resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1,),),
    )  # fmt: skip
    return diffusers.Kandinsky6TI2VAPipeline(
        transformer=awake(transformer), vae=hunyuan_vae(), text_encoder=qwen(),
        tokenizer=processor(), text_encoder_2=tiny_clip_text(), tokenizer_2=tiny_tokenizer(77),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0), audio_vae=audio,
        vocoder=vocoder,
    )  # fmt: skip


def motif_video() -> Any:
    text = {
        "vocab_size": 900, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0,
        "dropout_rate": 0.0,
    }  # fmt: skip
    vision = {
        "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    encoder = transformers.T5Gemma2EncoderConfig(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=5,
        boi_token_index=6, eoi_token_index=7,
    )  # fmt: skip
    transformer = diffusers.MotifVideoTransformer3DModel(
        in_channels=33, out_channels=16, num_attention_heads=2, attention_head_dim=10,
        num_layers=1, num_single_layers=1, text_embed_dim=WIDTH, image_embed_dim=WIDTH,
        rope_axes_dim=(2, 4, 4),
    )  # fmt: skip
    from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

    return diffusers.MotifVideoImage2VideoPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=wan_vae(), text_encoder=T5Gemma2Encoder(encoder),
        tokenizer=tiny_tokenizer(64, start=False), transformer=awake(transformer),
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=8.0),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
    )  # fmt: skip


def sana_video(pipeline: str = "SanaImageToVideoPipeline") -> Any:
    gemma = transformers.Gemma2Config(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    transformer = diffusers.SanaVideoTransformer3DModel(
        in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=12,
        num_layers=1, num_cross_attention_heads=2, cross_attention_head_dim=12,
        cross_attention_dim=24, caption_channels=WIDTH, rope_max_seq_len=64,
    )  # fmt: skip
    return getattr(diffusers, pipeline)(
        tokenizer=tiny_tokenizer(400), text_encoder=transformers.Gemma2Model(gemma),
        vae=wan_vae(), transformer=awake(transformer),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=8.0),
    )  # fmt: skip


MORE_KINDS: dict[str, Callable[[], Any]] = {
    "wan-vace": wan_vace, "skyreels-v2-df": skyreels_v2_forcing, "helios": helios,
    "helios-pyramid": helios_pyramid, "helios-distilled": helios_distilled,
    "skyreels-v1": skyreels_v1, "framepack": framepack, "ltx-long": ltx_long, "ltx-2.3": ltx23,
    "ltx-2.5": ltx25, "kandinsky6": kandinsky6, "motif-video": motif_video,
    "sana-video": sana_video, "cosmos-predict1": cosmos1, "cosmos-predict2": cosmos2,
    "cosmos-predict2.5": cosmos25, "cosmos3": cosmos3,
}  # fmt: skip
MORE_TINY: dict[str, tuple[tuple[int, int], int]] = {
    "wan-vace": ((16, 32), 5), "skyreels-v2-df": ((16, 32), 5), "helios": ((16, 32), 33),
    "helios-pyramid": ((32, 32), 33), "helios-distilled": ((32, 32), 33),
    "skyreels-v1": ((16, 32), 5), "framepack": ((16, 32), 37), "ltx-long": ((32, 64), 9),
    "ltx-2.3": ((64, 64), 9), "ltx-2.5": ((64, 64), 9), "kandinsky6": ((16, 32), 5),
    "motif-video": ((16, 32), 5),
    "sana-video": ((32, 64), 5), "cosmos-predict1": ((16, 32), 9), "cosmos-predict2": ((16, 32), 5),
    "cosmos-predict2.5": ((16, 32), 5), "cosmos3": ((32, 48), 5),
}  # fmt: skip
#: Extra arguments that make it quick: a prompt of few tokens, without instructions before it.
MORE_QUICK: dict[str, dict[str, Any]] = {
    **{kind: {"max_sequence_length": 32}
       for kind in ("kandinsky6", "framepack", "skyreels-v1", "ltx-2.3", "ltx-2.5",
                    "motif-video")},
    "sana-video": {"max_sequence_length": 32, "complex_human_instruction": None},
}  # fmt: skip


def save_more(kind: str, folder: Path) -> Path:
    """A pipeline of MORE_KINDS, the same every time, saved into `folder` without its guardrail."""
    torch.manual_seed(0)
    pipeline = MORE_KINDS[kind]()
    if "safety_checker" in pipeline.components:
        pipeline.register_modules(safety_checker=None)
    pipeline.save_pretrained(folder)
    return folder
