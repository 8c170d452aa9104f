"""HunyuanVideo and 1.5, and models derived from HunyuanVideo: SkyReels V1, FramePack."""

from __future__ import annotations

import math
from typing import Any

from motifocal.generate.families.family import Family, Size, multiples


def _divisor(pipeline: Any) -> int:
    patch = pipeline.transformer.config.patch_size
    return math.lcm(16, pipeline.vae_scale_factor_spatial * patch)


def hunyuan(pipeline: Any) -> Family:
    """Tell HunyuanVideo-I2V's two checkpoints apart."""
    config = pipeline.transformer.config
    # Guidance is distilled into the checkpoint that replaces tokens; the one that concatenates
    # latents has none, and its first four frames are thrown away.
    distilled = bool(config.guidance_embeds)
    dropped = 4 if config.image_condition_type == "latent_concat" else 0
    return Family((720, 1280), 129 - dropped, 24.0, 50, 6.0 if distilled else 1.0,
                  multiples(_divisor(pipeline)),
                  frame_step=pipeline.vae_scale_factor_temporal,
                  asked=lambda frames: frames + dropped,
                  guidance_name="guidance_scale" if distilled else "true_cfg_scale",
                  negative_name="true_cfg_scale")


def skyreels_v1(pipeline: Any) -> Family:
    """SkyReels V1 I2V: true guidance, and none that is distilled."""
    return Family((544, 960), 97, 24.0, 30, 6.0, multiples(_divisor(pipeline)),
                  frame_step=pipeline.vae_scale_factor_temporal,
                  guidance_name="true_cfg_scale", negative_name="true_cfg_scale",
                  call={"guidance_scale": 1.0})


#: Latents that FramePack makes at a time.
SECTION_LATENTS = 9


def framepack(pipeline: Any) -> Family:
    """FramePack: sections of nine latents, the last moments first, then the image in front."""
    step = pipeline.vae_scale_factor_temporal
    section = SECTION_LATENTS * step
    # The pipeline counts sections as if each began with a latent of one frame.
    counted = (SECTION_LATENTS - 1) * step + 1
    return Family((480, 832), 4 * section + 1, 30.0, 25, 10.0, multiples(_divisor(pipeline)),
                  frame_step=section, least_frames=section + 1,
                  asked=lambda frames: (frames - 1) // section * counted,
                  negative_name="true_cfg_scale")


def hunyuan15(pipeline: Any) -> Family:
    """HunyuanVideo 1.5 I2V: it chooses its size by the shape of the image."""
    target = pipeline.target_size

    def chosen(size: Size) -> Size:
        height, width = pipeline.video_processor.calculate_default_height_width(*size, target)
        return int(height), int(width)

    def nearest(size: Size) -> Size:
        # A size that the pipeline would choose again for an image of that very size.
        while (again := chosen(size)) != size:
            size = again
        return size

    # Its authors advise 8 or 12 steps for the model that is distilled to few steps.
    steps = 12 if pipeline.transformer.config.use_meanflow else 50
    return Family(nearest((720, 1280)), 121, 24.0, steps, pipeline.guider.guidance_scale, nearest,
                  frame_step=pipeline.vae_scale_factor_temporal, guidance_name=None,
                  takes_size=False)
