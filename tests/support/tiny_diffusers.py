"""Whole image-to-video pipelines of diffusers' own classes with tiny random parts, built offline.

    KINDS                       the names
    tiny_pipeline(kind)         one of them
    save_tiny(kind, folder)     the same, saved
    TINY[kind]                  a size and a length that it takes
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from tiny_encoders import (
    MARKS,
    WIDTH,
    tiny_clip_processor,
    tiny_clip_text,
    tiny_clip_vision,
    tiny_t5,
    tiny_tokenizer,
)
from tiny_wan import skyreels, wan21, wan22_5b, wan22_a14b


def cog_parts(**transformer: Any) -> dict[str, Any]:
    vae = diffusers.AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        sample_height=16, sample_width=24,
    )  # fmt: skip
    return {
        "tokenizer": tiny_tokenizer(226, start=False),
        "text_encoder": tiny_t5(),
        "vae": vae,
        "transformer": diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4,
            time_embed_dim=8, text_embed_dim=WIDTH, num_layers=1, sample_width=6, sample_height=4,
            sample_frames=9, use_rotary_positional_embeddings=True, **transformer,
        ),
    }  # fmt: skip


def cogvideox() -> Any:
    """1.0: learned positions, so one size only."""
    parts = cog_parts(use_learned_positional_embeddings=True)
    return diffusers.CogVideoXImageToVideoPipeline(
        **parts, scheduler=diffusers.CogVideoXDPMScheduler()
    )


def cogvideox15() -> Any:
    parts = cog_parts(patch_size_t=2, ofs_embed_dim=8, patch_bias=False)
    return diffusers.CogVideoXImageToVideoPipeline(
        **parts, scheduler=diffusers.CogVideoXDDIMScheduler()
    )


def ltx_parts(timed: bool) -> dict[str, Any]:
    return {
        "tokenizer": tiny_tokenizer(256, start=False),
        "text_encoder": tiny_t5(),
        "vae": diffusers.AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8), layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1), timestep_conditioning=timed,
        ),
        "transformer": diffusers.LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16,
            cross_attention_dim=32, num_layers=1, caption_channels=WIDTH,
        ),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(),
    }  # fmt: skip


def ltx(pipeline: str = "LTXImageToVideoPipeline") -> Any:
    return getattr(diffusers, pipeline)(**ltx_parts(timed=False))


def ltx_condition() -> Any:
    """0.9.5 and later: the decoder is told a time."""
    return diffusers.LTXConditionPipeline(**ltx_parts(timed=True))


def hunyuan_vae() -> Any:
    return diffusers.AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    )


def hunyuan_transformer(channels: int, **conditions: Any) -> Any:
    return diffusers.HunyuanVideoTransformer3DModel(
        in_channels=channels, out_channels=4, num_attention_heads=2, attention_head_dim=10,
        num_layers=1, num_single_layers=1, num_refiner_layers=1, text_embed_dim=WIDTH,
        pooled_projection_dim=WIDTH, rope_axes_dim=(2, 4, 4), **conditions,
    )  # fmt: skip


def hunyuan(condition: str = "token_replace") -> Any:
    """A LLaVA that turns the picture into the template's 576 tokens."""
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video_image2video as module

    words = str(module.DEFAULT_PROMPT_TEMPLATE["template"])
    for mark in MARKS:
        words = words.replace(mark, " ")
    text = transformers.LlamaConfig(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    vision = transformers.CLIPVisionConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=8, image_size=48, patch_size=2,
    )  # fmt: skip
    llava = transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=3)
    llava.pad_token_id = 0
    concat = condition == "latent_concat"
    return diffusers.HunyuanVideoImageToVideoPipeline(
        text_encoder=transformers.LlavaForConditionalGeneration(llava),
        tokenizer=tiny_tokenizer(512, *MARKS, words=words),
        transformer=hunyuan_transformer(
            9 if concat else 4, image_condition_type=condition, guidance_embeds=not concat
        ),
        vae=hunyuan_vae(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=tiny_clip_text(),
        tokenizer_2=tiny_tokenizer(77),
        image_processor=tiny_clip_processor(48),
    )


def hunyuan_33ch() -> Any:
    return hunyuan("latent_concat")


def hunyuan15() -> Any:
    """Chooses its own size by the picture's shape; guidance is a part of its own."""
    tokenizer = tiny_tokenizer(1200, "<|im_start|>", "<|im_end|>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }}<|im_end|>"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    )
    qwen = transformers.models.qwen2_5_vl.modeling_qwen2_5_vl.Qwen2_5_VLTextConfig(
        vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=2, pad_token_id=0,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
    )  # fmt: skip
    siglip = transformers.SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    return diffusers.HunyuanVideo15ImageToVideoPipeline(
        text_encoder=transformers.models.qwen2_5_vl.Qwen2_5_VLTextModel(qwen),
        tokenizer=tokenizer,
        transformer=diffusers.HunyuanVideo15Transformer3DModel(
            in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=16,
            num_layers=1, num_refiner_layers=1, text_embed_dim=WIDTH, text_embed_2_dim=WIDTH,
            image_embed_dim=WIDTH, rope_axes_dim=(2, 6, 8), target_size=32,
        ),
        vae=diffusers.AutoencoderKLHunyuanVideo15(
            latent_channels=4, block_out_channels=(8, 8, 8, 8, 8), layers_per_block=1
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
        text_encoder_2=tiny_t5(vocabulary=384),
        tokenizer_2=transformers.ByT5Tokenizer(),
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=6.0),
        image_encoder=transformers.SiglipVisionModel(siglip),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
    )  # fmt: skip


def ltx2() -> Any:
    from tiny_ltx2 import tiny_ltx2

    return tiny_ltx2()


def kandinsky5() -> Any:
    from tiny_kandinsky import tiny_kandinsky

    return tiny_kandinsky()


def svd() -> Any:
    return diffusers.StableVideoDiffusionPipeline(
        vae=diffusers.AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32, 32, 32, 32)
        ),
        image_encoder=tiny_clip_vision("CLIPVisionModelWithProjection", 224, 32),
        unet=diffusers.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64), cross_attention_dim=WIDTH, layers_per_block=1,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            num_attention_heads=2, addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24, num_frames=14,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(
            prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002,
            sigma_max=700.0, timestep_spacing="leading", timestep_type="continuous",
        ),
        feature_extractor=tiny_clip_processor(224),
    )  # fmt: skip


def i2vgen_xl() -> Any:
    return diffusers.I2VGenXLPipeline(
        vae=diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(8, 8, 8, 8),
            up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4, latent_channels=4,
        ),
        text_encoder=tiny_clip_text(2),
        tokenizer=tiny_tokenizer(77),
        image_encoder=tiny_clip_vision("CLIPVisionModelWithProjection"),
        feature_extractor=tiny_clip_processor(),
        unet=diffusers.I2VGenXLUNet(
            block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"), cross_attention_dim=WIDTH,
            num_attention_heads=2, attention_head_dim=2,
        ),
        scheduler=diffusers.DDIMScheduler(),
    )  # fmt: skip


def modelscope() -> Any:
    return diffusers.TextToVideoSDPipeline(
        vae=diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(8, 8, 8, 8),
            up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4, latent_channels=4,
        ),
        text_encoder=tiny_clip_text(2),
        tokenizer=tiny_tokenizer(77),
        unet=diffusers.UNet3DConditionModel(
            block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"), cross_attention_dim=WIDTH,
            attention_head_dim=2,
        ),
        scheduler=diffusers.DDIMScheduler(),
    )  # fmt: skip


KINDS: dict[str, Callable[[], Any]] = {
    "wan21": wan21, "wan22-a14b": wan22_a14b, "wan22-5b": wan22_5b, "skyreels": skyreels,
    "cogvideox": cogvideox, "cogvideox15": cogvideox15, "ltx": ltx,
    "ltx-condition": ltx_condition, "hunyuan": hunyuan, "hunyuan-33ch": hunyuan_33ch,
    "hunyuan15": hunyuan15, "ltx2": ltx2, "kandinsky5": kandinsky5, "svd": svd,
    "i2vgen-xl": i2vgen_xl, "modelscope": modelscope,
}  # fmt: skip
#: (height, width), frames: small, and valid for that kind.
TINY: dict[str, tuple[tuple[int, int], int]] = {
    "wan21": ((32, 48), 5), "wan22-a14b": ((32, 48), 5), "wan22-5b": ((64, 32), 5),
    "skyreels": ((32, 48), 5), "cogvideox": ((32, 48), 9), "cogvideox15": ((32, 16), 9),
    "ltx": ((32, 64), 9), "ltx-condition": ((32, 64), 9), "hunyuan": ((32, 48), 5),
    "hunyuan-33ch": ((32, 48), 5), "hunyuan15": ((16, 32), 5), "ltx2": ((64, 64), 9),
    "kandinsky5": ((32, 48), 21), "svd": ((32, 64), 3), "i2vgen-xl": ((32, 48), 3),
    "modelscope": ((32, 48), 3),
}  # fmt: skip


def tiny_pipeline(kind: str) -> DiffusionPipeline:
    """A pipeline of one of KINDS; the same every time."""
    torch.manual_seed(0)
    pipeline = KINDS[kind]()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_tiny(kind: str, folder: Path) -> Path:
    """`tiny_pipeline(kind)` saved into `folder`, as `open_model` reads it."""
    tiny_pipeline(kind).save_pretrained(folder)
    return folder
