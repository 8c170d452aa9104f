"""Families with a U-Net: Stable Video Diffusion, I2VGen-XL, and ModelScope's text to video."""

from __future__ import annotations

from typing import Any

from motifocal.generate.families.family import Family, multiples


def svd(pipeline: Any) -> Family:
    """Stable Video Diffusion."""
    return Family((576, 1024), pipeline.unet.config.num_frames, 7.0, 25, 3.0,
                  multiples(pipeline.vae_scale_factor), least_frames=2,
                  guidance_name="max_guidance_scale", fps_name="fps", reads=False)


def i2vgen_xl(pipeline: Any) -> Family:
    """I2VGen-XL. Its target_fps of 16 is a condition; the authors play the frames at 8."""
    return Family((704, 1280), 16, 8.0, 50, 9.0, multiples(pipeline.vae_scale_factor))


def modelscope(pipeline: Any) -> Family:
    """A control: text to video. TI2V-Zero and AnimateAnything start from its weights."""
    return Family((256, 256), 16, 8.0, 50, 9.0, multiples(pipeline.vae_scale_factor), sees=False)
