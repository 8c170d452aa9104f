"""Kandinsky 5 and 6."""

from __future__ import annotations

from typing import Any

from motifocal.generate.families.family import Family, distilled_by_name, multiples


def kandinsky5(pipeline: Any) -> Family:
    """Kandinsky 5 I2V."""
    # Sparse attention is laid out in blocks. The first four latents are evened out by later ones.
    sparse = pipeline.transformer.config.attention_type == "nabla"
    # As its authors' distilled models for text alone.
    steps, guidance = (16, 1.0) if distilled_by_name(pipeline) else (50, 5.0)
    return Family((512, 768), 121, 24.0, steps, guidance, multiples(128 if sparse else 16),
                  frame_step=pipeline.vae_scale_factor_temporal, least_frames=17)


def kandinsky6(pipeline: Any) -> Family:
    """Kandinsky 6: video with sound, which is sampled too and left out of the file."""
    config = pipeline.transformer.config
    if not config.visual_cond or config.visual_token_type_num_embeddings < 2:
        raise ValueError("a Kandinsky 6 checkpoint should take an image (visual_cond, two types of "
                         "visual tokens), got one for text alone")
    divisor = pipeline.vae_scale_factor_spatial * max(pipeline.transformer_patch_size[1:])
    distilled = type(pipeline.scheduler).__name__ == "PiflowScheduler"
    sounds = getattr(pipeline, "audio_vae", None) is not None
    frames, steps, guidance = (121, 16, 1.0) if distilled else (125, 50, 5.0)
    return Family((480, 864), frames, 24.0, steps, guidance, multiples(divisor),
                  frame_step=pipeline.vae_scale_factor_temporal,
                  fps_name="frame_rate" if sounds else None, call={"sample_audio": sounds})
