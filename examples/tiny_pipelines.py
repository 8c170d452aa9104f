"""Image-to-video pipelines of diffusers' real classes with tiny random weights, made offline.

They compute nonsense, but every tensor has the shape, the layout and the normalisation of the
published model's, so a training step that runs on one is right for the other.
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers

WIDTH = 16  # of the text encoders


def text_parts(kind: str = "T5") -> dict[str, Any]:
    """Bytes in place of a vocabulary that would have to be fetched."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=384, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    encoder = getattr(transformers, f"{kind}EncoderModel")(config)
    return {"tokenizer": transformers.ByT5Tokenizer(), "text_encoder": encoder}


def tiny_wan() -> Any:
    """Wan 2.2 TI2V-5B: 16x, 48 channels, the first latent clean; not normalised to mean 0 here."""
    torch.manual_seed(0)
    channels = 48
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=channels, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True], latents_mean=[0.1] * channels,
        latents_std=[0.5] * channels, is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=16,
    )  # fmt: skip
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=channels,
        text_dim=WIDTH, freq_dim=16, ffn_dim=32, num_layers=1, rope_max_seq_len=64,
    )  # fmt: skip
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    return quiet(diffusers.WanImageToVideoPipeline(
        **text_parts("UMT5"), vae=vae, transformer=transformer, scheduler=scheduler,
        expand_timesteps=True,
    ))  # fmt: skip


def tiny_cogvideox(later: bool = False) -> Any:
    """CogVideoX-5B-I2V, or 1.5 with `later`: two latents a token, so one is put in front."""
    torch.manual_seed(0)
    kind: dict[str, Any] = {"use_learned_positional_embeddings": True}
    if later:
        kind = {"patch_size_t": 2, "ofs_embed_dim": 8, "patch_bias": False}
    vae = diffusers.AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        sample_height=32, sample_width=48, invert_scale_latents=later,
    )  # fmt: skip
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4,
        time_embed_dim=8, text_embed_dim=WIDTH, num_layers=1, sample_width=6, sample_height=4,
        sample_frames=9, use_rotary_positional_embeddings=True, **kind,
    )  # fmt: skip
    scheduler = diffusers.CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0,
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
    )  # fmt: skip
    return quiet(diffusers.CogVideoXImageToVideoPipeline(
        **text_parts(), vae=vae, transformer=transformer, scheduler=scheduler
    ))  # fmt: skip


def tiny_ltx() -> Any:
    """LTX-Video: 32x, latents packed to tokens, the first frame's clean."""
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16,
        cross_attention_dim=32, num_layers=1, caption_channels=WIDTH,
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
        max_image_seq_len=4096, shift_terminal=0.1,
    )  # fmt: skip
    return quiet(diffusers.LTXImageToVideoPipeline(
        **text_parts(), vae=vae, transformer=transformer, scheduler=scheduler
    ))  # fmt: skip


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
