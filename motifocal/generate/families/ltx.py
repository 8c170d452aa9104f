"""LTX-Video, its sampler for long videos, and LTX-2."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from motifocal.generate.families.family import Family, distilled_by_name, multiples, number_of_steps

if TYPE_CHECKING:
    from PIL.Image import Image


def _rules(pipeline: Any) -> dict[str, Any]:
    divisor = math.lcm(32, pipeline.vae_spatial_compression_ratio
                       * pipeline.transformer_spatial_patch_size)
    return {"nearest": multiples(divisor), "frame_step": pipeline.vae_temporal_compression_ratio,
            "fps_name": "frame_rate"}  # fmt: skip


def _timed(pipeline: Any) -> bool:
    """Whether the decoder is told a time (0.9.1 and later) and adds noise."""
    return bool(pipeline.vae.config.timestep_conditioning)


def ltx(pipeline: Any) -> Family:
    """LTX-Video, by either of two classes."""
    timed = _timed(pipeline)
    # diffusers' documentation: guidance 1 for distilled models. Steps as those of `ltx_long`.
    steps, guidance = (8, 1.0) if distilled_by_name(pipeline) else (50, 3.0)
    # The noise for the decoder is drawn on the device, which takes no generator of the CPU's.
    return Family((512, 704), 161, 25.0, steps, guidance, **_rules(pipeline),
                  noise_on_device=timed,
                  call={"decode_timestep": 0.05, "decode_noise_scale": 0.025} if timed else {})


def ltx_long(pipeline: Any) -> Family:
    """LTX-Video 0.9.8 distilled, by windows of 80 frames; "|" in a prompt parts the windows'."""
    # With a seed of its own the pipeline would draw the same noise for every job. It decodes in
    # 4 x 4 tiles, which shows faint seams, and fails where they are smaller than their overlap.
    return Family((512, 704), 161, 25.0, 8, 1.0, **_rules(pipeline),
                  image_arguments=_conditioning_image,
                  call={"seed": None, "decode_horizontal_tiles": 1, "decode_vertical_tiles": 1})


def _conditioning_image(image: Image, frames: int) -> dict[str, Any]:
    return {"cond_image": image}


def ltx2(pipeline: Any) -> Family:
    """LTX-2.0, 2.3 and 2.5: the image-to-video class serves them all."""
    # Guidance in space and time skips a block; 2.0 also modulates by its own time alone.
    later = bool(pipeline.connectors.config.per_modality_projections)
    # 2.5, which alone has a Gemma 4, is published for diffusers with a distilled transformer.
    distilled = (distilled_by_name(pipeline)
                 or pipeline.text_encoder.config.model_type.startswith("gemma4"))
    steps, guidance = (8, 1.0) if distilled else (30, 3.0)
    return Family((512, 768), 121, 24.0, steps, guidance, **_rules(pipeline),
                  step_arguments=_distilled_steps if distilled else number_of_steps,
                  call={"spatio_temporal_guidance_blocks": [28 if later else 29],
                        "use_cross_timestep": later})


def _distilled_steps(steps: int) -> dict[str, Any]:
    """Return the noise levels that the distilled networks were trained at, for as many steps."""
    from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES

    if steps != len(DISTILLED_SIGMA_VALUES):
        return number_of_steps(steps)
    return {**number_of_steps(steps), "sigmas": list(DISTILLED_SIGMA_VALUES)}
