"""The sizes of the resampler, which can be read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResamplerConfig:
    """The sizes of a `Resampler`."""

    width: int
    depth: int
    heads: int
    head_width: int
    queries: int  # tokens that come out: for the clip, or for each frame
    frames: int | None = None  # frames with queries of their own; None: one set for the clip


#: VideoCrafter1's, with one set of tokens for the clip.
VIDEOCRAFTER1_RESAMPLER = ResamplerConfig(width=1024, depth=4, heads=12, head_width=64, queries=16)
