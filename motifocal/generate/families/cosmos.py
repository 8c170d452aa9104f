"""NVIDIA Cosmos: Predict 1, 2 and 2.5, and Cosmos 3."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from motifocal.generate.families.family import Family, multiples

if TYPE_CHECKING:
    from PIL.Image import Image


def _rules(pipeline: Any) -> dict[str, Any]:
    divisor = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size[1]
    return {"size": (704, 1280), "guidance": 7.0, "nearest": multiples(math.lcm(16, divisor)),
            "frame_step": pipeline.vae_scale_factor_temporal}  # fmt: skip


def predict1(pipeline: Any) -> Family:
    """Cosmos-Predict1 Video2World, given one frame."""
    return Family(**_rules(pipeline), frames=121, fps=30.0, steps=36, fps_name="fps")


def predict2(pipeline: Any) -> Family:
    """Cosmos-Predict2 Video2World, given one frame."""
    return Family(**_rules(pipeline), frames=93, fps=16.0, steps=35, fps_name="fps")


def predict25(pipeline: Any) -> Family:
    """Cosmos-Predict2.5: a video of one frame is what it makes of an image."""
    # The argument `image` leads to the same first latent and pads the video with black first.
    return Family(**_rules(pipeline), frames=93, fps=16.0, steps=36,
                  image_arguments=_video_of_one_frame,
                  call={"num_latent_conditional_frames": 1})


def _video_of_one_frame(image: Image, frames: int) -> dict[str, Any]:
    return {"video": [image]}


def cosmos3(pipeline: Any) -> Family:
    """Cosmos 3, which is told size, length and rate in words as well; without sound."""
    return Family((720, 1280), 189, 24.0, 35, 6.0, multiples(pipeline.vae_scale_factor_spatial),
                  frame_step=pipeline.vae_scale_factor_temporal, least_frames=2, fps_name="fps",
                  video_of=lambda output: output.video)
