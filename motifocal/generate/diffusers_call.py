"""The arguments of a pipeline's call, checked before anything runs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import torch

#: Extra argument that belongs to the autoencoder, not to the call.
TILING = "vae_tiling"
#: What the jobs and the other options say, and what only a program can give.
_SPOKEN_FOR = {
    "self", "image", "prompt", "negative_prompt", "height", "width", "num_frames",
    "num_inference_steps", "generator", "output_type", "return_dict", "num_videos_per_prompt",
    "video", "conditions", "last_image", "frames", "cond_image", "seed", "action",
    "pyramid_num_inference_steps_list",
    # How many latents are made at a time, which decides the length.
    "latent_window_size", "num_latent_frames_per_chunk",
    # Cosmos 3's guardrail, which its licence asks for.
    "enable_safety_check",
}  # fmt: skip
_ONLY_TENSORS = ("latents", "embeds", "mask", "callback")
_FILES = {"motion_mask"}


def extra_arguments(
    pipeline: Any, extra: Mapping[str, Any], taken: Iterable[str | None]
) -> dict[str, Any]:
    """Return what of `extra` goes into the pipeline's call; tiling is switched on here.

    `taken` are arguments that other options give. ValueError for names that the call does not
    know, with those it does, and for values that JSON cannot hold.
    """
    excluded = {*_SPOKEN_FOR, *taken}
    known = sorted(
        name for name in inspect.signature(type(pipeline).__call__).parameters
        if name in _FILES
        or (name not in excluded and not any(word in name for word in _ONLY_TENSORS))
    )
    if hasattr(getattr(pipeline, "vae", None), "use_tiling"):
        known.append(TILING)
    unknown = [name for name in extra if name not in known]
    if unknown:
        raise ValueError(f"extra should be among {', '.join(known)} for "
                         f"{type(pipeline).__name__}, got {', '.join(unknown)}")
    try:
        json.dumps(dict(extra), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"extra should hold JSON values, got {dict(extra)}: {error}") from error
    if extra.get(TILING):  # saves memory, and shows faint seams
        pipeline.vae.enable_tiling()
    return {name: value for name, value in extra.items() if name != TILING}


def played_rate(fps: float) -> float:
    """The rate at which a video file of `fps` plays: the nearest fraction that is written."""
    return float(Fraction(fps).limit_denominator(1001))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Every draw inside depends on the seed alone, and none outside on what was drawn inside.

    Some pipelines draw without the generator that they are given (I2VGen-XL, for the image's
    latents).
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
