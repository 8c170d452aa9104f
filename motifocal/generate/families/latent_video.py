"""Families with a class or two of their own: CogVideoX, Motif-Video, SANA-Video."""

from __future__ import annotations

import math
from typing import Any

from motifocal.generate.families.family import Family, multiples


def cogvideox(pipeline: Any) -> Family:
    """CogVideoX-5B-I2V and CogVideoX1.5-5B-I2V."""
    config = pipeline.transformer.config
    factor = pipeline.vae_scale_factor_spatial
    largest = config.sample_height * factor, config.sample_width * factor
    nearest = multiples(factor * config.patch_size)
    size, frames, fps = (480, 720), 49, 8.0
    if config.patch_size_t is not None:  # 1.5: positions are cut out of a table
        size, frames, fps = (768, 1360), 81, 16.0
        nearest = multiples(factor * config.patch_size, most=largest)
    elif config.use_learned_positional_embeddings:
        size, nearest = largest, lambda _: largest
    dpm = type(pipeline.scheduler).__name__ == "CogVideoXDPMScheduler"
    # The autoencoder decodes two latents at a time, and the first frame stands alone only where
    # their number is odd.
    return Family(size, frames, fps, 50, 6.0, nearest,
                  frame_step=2 * pipeline.vae_scale_factor_temporal,
                  call={"use_dynamic_cfg": dpm})


def motif_video(pipeline: Any) -> Family:
    """Motif-Video-2B, guided by a part of its pipeline."""
    divisor = pipeline.vae_scale_factor_spatial * pipeline.transformer_spatial_patch_size
    step = pipeline.vae_scale_factor_temporal * pipeline.transformer_temporal_patch_size
    # The image is no condition of a single frame.
    return Family((736, 1280), 121, 24.0, 50, pipeline.guider.guidance_scale, multiples(divisor),
                  frame_step=step, least_frames=2, guidance_name=None)


#: The side in latents of SANA-Video's checkpoint for 720 pixels; the one for 480 has 30.
SIDE_OF_720P = 22


def sana_video(pipeline: Any) -> Family:
    """SANA-Video-2B, for 480 or 720 pixels."""
    large = pipeline.transformer.config.sample_size == SIDE_OF_720P
    divisor = pipeline.vae_scale_factor_spatial * pipeline.transformer_spatial_patch_size
    # Without its own choice of size, after which it resizes the video.
    return Family((704, 1280) if large else (480, 832), 81, 16.0, 50, 6.0,
                  multiples(math.lcm(32, divisor)),
                  frame_step=pipeline.vae_scale_factor_temporal
                  * pipeline.transformer_temporal_patch_size,
                  frames_name="frames", call={"use_resolution_binning": False})
