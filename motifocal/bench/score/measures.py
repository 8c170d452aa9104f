"""Compute every measure of one clip that needs no learned weights.

F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB, the image (H, W, 3), flow (F-1, 2, H, W)
float32 in pixels. The caller decodes and estimates once; nothing here does so again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motifocal.bench.score.fidelity import WINDOW, fidelity
from motifocal.bench.score.motion import motion
from motifocal.bench.score.temporal import temporal_flickering, warping_error
from motifocal.files.toml_text import parse_toml
from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.flow import Flow


@dataclass(frozen=True)
class Measure:
    """The description of a measure, for tables and pages: see `measures.toml`."""

    name: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    definition: str
    source: str
    blind_spot: str
    still_wins: bool


def read_measures(keys: Sequence[str]) -> dict[str, Measure]:
    """Return the descriptions of these measures from `measures.toml`, in this order."""
    described = parse_toml(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {key: Measure(**described[key]) for key in keys}


#: Every key that `measure` returns, in the order of the tables.
MEASURES: Mapping[str, Measure] = MappingProxyType(read_measures((
    "first_frame_psnr", "first_frame_ssim", "drift_psnr", "drift_ssim", "temporal_flickering",
    "warping_error", "motion_amount", "object_motion", "camera_motion", "moving_share",
)))  # fmt: skip


def measure(
    frames: Frames, image: NDArray[np.uint8], flow: Flow, fps: float
) -> dict[str, float]:
    """Return every measure of one clip, by the keys of ``MEASURES``.

    Args:
        frames: (F, H, W, 3) uint8 RGB, at least 2 frames of at least 11 pixels a side.
        image: (H, W, 3) uint8 RGB, the image to animate as the model saw it.
        flow: (F-1, 2, H, W) float32 of ``flow.estimate_flow(frames)``.
        fps: frames per second.

    Raises:
        ValueError: on anything else, and on nan or infinity in the flow.
    """
    check_frames(frames)
    if len(frames) < 2 or min(frames.shape[1:3]) < WINDOW:
        expected = f"at least 2 frames, {WINDOW} or more pixels a side"
        raise ValueError(f"frames should be {expected}, got {frames.shape}")
    if image.shape != frames.shape[1:] or image.dtype != np.uint8:
        expected = f"{frames.shape[1:]} uint8 like the frames"
        raise ValueError(f"image should be {expected}, got {image.shape} {image.dtype}")
    if flow.shape != (expected_flow := (len(frames) - 1, 2, *frames.shape[1:3])):
        raise ValueError(f"flow should be {expected_flow}, got {flow.shape}")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps should be positive and finite, got {fps}")
    values = {
        **fidelity(frames, image),
        "temporal_flickering": temporal_flickering(frames),
        "warping_error": warping_error(frames, flow),
        **motion(frames, flow, fps),
    }
    return {key: values[key] for key in MEASURES}
