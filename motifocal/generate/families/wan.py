"""Wan 2.1 and 2.2, Wan VACE, and models derived from Wan's network: SkyReels V2, Helios."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from motifocal.generate.families.family import Family, multiples
from motifocal.models.folder_files import skyreels_v2_shift

if TYPE_CHECKING:
    from PIL.Image import Image


def _divisor(pipeline: Any, transformer: Any) -> int:
    """Return what both sides are a multiple of: the pipelines shrink other sizes silently."""
    return math.lcm(16, pipeline.vae_scale_factor_spatial * transformer.config.patch_size[1])


def wan(pipeline: Any) -> Family:
    """Tell Wan 2.1 I2V, 2.2 I2V-A14B and 2.2 TI2V-5B apart."""
    transformer = pipeline.transformer or pipeline.transformer_2
    rules: dict[str, Any] = {"nearest": multiples(_divisor(pipeline, transformer)),
                             "frame_step": pipeline.vae_scale_factor_temporal}
    if getattr(transformer.config, "pos_embed_seq_len", None) is not None:
        raise ValueError("Wan's first-and-last-frame checkpoint should be given two images, and "
                         "there is one")
    if pipeline.config.expand_timesteps:  # 2.2 TI2V-5B
        return Family((704, 1280), 121, 24.0, 50, 5.0, **rules)
    if pipeline.config.boundary_ratio is not None:  # 2.2 I2V-A14B
        return Family((720, 1280), 81, 16.0, 40, 3.5, **rules)
    return Family((480, 832), 81, 16.0, 40, 5.0, **rules)  # 2.1 I2V-14B; its 720P is no different


def wan_vace(pipeline: Any) -> Family:
    """VACE is given a video and a mask of what it should make: the image, then grey frames."""
    transformer = pipeline.transformer or pipeline.transformer_2
    return Family((480, 832), 81, 16.0, 50, 5.0, multiples(_divisor(pipeline, transformer)),
                  frame_step=pipeline.vae_scale_factor_temporal,
                  image_arguments=_first_of_a_video)


def _first_of_a_video(image: Image, frames: int) -> dict[str, Any]:
    import PIL.Image

    grey = PIL.Image.new("RGB", image.size, (128, 128, 128))
    keep, make = (PIL.Image.new("L", image.size, white) for white in (0, 255))
    return {"video": [image] + [grey] * (frames - 1), "mask": [keep] + [make] * (frames - 1)}


def skyreels_v2(pipeline: Any) -> Family:
    """SkyReels V2 I2V."""
    return Family((544, 960), 97, 24.0, 50, 5.0,
                  multiples(_divisor(pipeline, pipeline.transformer)),
                  frame_step=pipeline.vae_scale_factor_temporal,
                  flow_shift=skyreels_v2_shift(pipeline.scheduler.config))


def skyreels_v2_forcing(pipeline: Any) -> Family:
    """SkyReels V2 DF: diffusion forcing, which continues a video longer than `base_num_frames`."""
    # A continuation sees the 17 frames before it; 20 of 1000 is the noise on what is known.
    return Family((544, 960), 97, 24.0, 50, 5.0,
                  multiples(_divisor(pipeline, pipeline.transformer)),
                  frame_step=pipeline.vae_scale_factor_temporal, fps_name="fps",
                  flow_shift=skyreels_v2_shift(pipeline.scheduler.config),
                  call={"overlap_history": 17, "addnoise_condition": 20})


#: Latents that Helios makes at a time, each section from a first latent of one frame.
SECTION_LATENTS = 9


def helios(pipeline: Any) -> Family:
    """Helios-Base: sections of 33 frames, each after those before it."""
    return Family(**_helios(pipeline, 1), steps=50, guidance=5.0)


def helios_pyramid(pipeline: Any) -> Family:
    """Helios-Mid and -Distilled: each section from coarse to fine, with the same steps at each."""
    stages = pipeline.scheduler.config.stages

    def at_each_stage(steps: int) -> dict[str, Any]:
        return {"pyramid_num_inference_steps_list": [steps] * stages}

    rules = {**_helios(pipeline, 2 ** (stages - 1)), "step_arguments": at_each_stage}
    if pipeline.config.is_distilled:
        return Family(**rules, steps=2, guidance=1.0, call={"is_amplify_first_chunk": True})
    return Family(**rules, steps=20, guidance=5.0)


def _helios(pipeline: Any, coarsest: int) -> dict[str, Any]:
    step = pipeline.vae_scale_factor_temporal
    section = (SECTION_LATENTS - 1) * step + 1
    # The strength of the noise on the image is drawn on the device.
    return {"size": (384, 640), "frames": (3 * section - 1) // step * step + 1, "fps": 24.0,
            "nearest": multiples(_divisor(pipeline, pipeline.transformer) * coarsest),
            "frame_step": step, "section_frames": section, "least_frames": section,
            "noise_on_device": True}  # fmt: skip
