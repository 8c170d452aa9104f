"""Compute every measure of one clip that needs no learned weights.

F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB, the picture (H, W, 3), flow (F-1, 2, H, W)
float32 in pixels. The caller decodes and estimates once; nothing here does so again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motifocal.bench.score.fidelity import WINDOW, fidelity
from motifocal.bench.score.motion import MOVES, motion
from motifocal.bench.score.temporal import temporal_flickering, warping_error
from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.flow import Flow


@dataclass(frozen=True)
class Measure:
    """The description of a measure, for tables and pages.

    `name` heads its column, `unit` may be empty. `still_wins`: no clip can beat the picture
    repeated, so that a table without a measure of motion beside it rewards standing still.
    """

    name: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    definition: str
    source: str
    blind_spot: str
    still_wins: bool


_OURS = "our reading"
_WANG = "Wang et al. 2004, on luma"
_PERCENT = "% of side/s"

#: Every key that `measure` returns, in the order of the tables.
MEASURES: Mapping[str, Measure] = MappingProxyType({
    "first_frame_psnr": Measure(
        "first frame PSNR", "dB", "higher",
        "peak signal-to-noise ratio of frame 0 and the picture, over RGB; 58.9 if they are equal",
        "common use",
        "A model that hands the picture through scores high, whatever it makes of it afterwards.",
        True,
    ),
    "first_frame_ssim": Measure(
        "first frame SSIM", "", "higher",
        "structural similarity of frame 0 and the picture, from -1 to 1",
        _WANG,
        "As with PSNR; it does not see colour, and a shift by one pixel costs it dearly.",
        True,
    ),
    "drift_psnr": Measure(
        "drift PSNR", "dB", "higher",
        "mean PSNR of all frames but the first and the picture",
        _OURS,
        "What was asked for counts as drift: motion lowers it as much as decay does.",
        True,
    ),
    "drift_ssim": Measure(
        "drift SSIM", "", "higher",
        "mean SSIM of all frames but the first and the picture",
        _WANG,
        "What was asked for counts as drift: motion lowers it as much as decay does.",
        True,
    ),
    "temporal_flickering": Measure(
        "temporal flickering", "", "higher",
        "(255 - mean absolute difference of neighbouring frames) / 255",
        "VBench (Huang et al. 2024)",
        "It cannot tell flicker from motion; VBench keeps it for videos that should stand still.",
        True,
    ),
    "warping_error": Measure(
        "warping error", "x 0.001", "lower",
        "mean squared error of a frame and its neighbour warped back, colours in [0, 1], over "
        "pixels that are neither at a motion boundary nor leave the picture",
        "Lai et al. 2018, with half of their occlusion test",
        "A blurred or still clip wins, and flow that explains a bad video well hides its faults.",
        True,
    ),
    "motion_amount": Measure(
        "motion", _PERCENT, "neither",
        "mean length of the flow, where frames differ, in percent of the shorter side a second",
        _OURS,
        "Any motion counts: the right one, the wrong one, the camera's, and that of decay.",
        False,
    ),
    "object_motion": Measure(
        "object motion", _PERCENT, "neither",
        "the same once the camera's own motion is removed",
        _OURS,
        "Pans over plain areas and things at other depths than most of the picture count as "
        "objects; what fills most of the picture counts as camera.",
        False,
    ),
    "camera_motion": Measure(
        "camera motion", _PERCENT, "neither",
        "mean length of the flow of the camera that was removed: pan, zoom and roll",
        _OURS,
        "0 where no one camera explains most of the picture, such as one that moves in depth.",
        False,
    ),
    "moving_share": Measure(
        "moving share", "%", "neither",
        f"pixels that move by themselves, faster than {MOVES:g} percent of the shorter side a "
        "second",
        _OURS,
        "It counts pixels, not how far they go: shimmering water counts like a car that leaves.",
        False,
    ),
})


def measure(
    frames: Frames, picture: NDArray[np.uint8], flow: Flow, fps: float
) -> dict[str, float]:
    """Return every measure of one clip, by the keys of ``MEASURES``.

    Args:
        frames: (F, H, W, 3) uint8 RGB, at least 2 frames of at least 11 pixels a side.
        picture: (H, W, 3) uint8 RGB, the picture to animate as the model saw it.
        flow: (F-1, 2, H, W) float32 of ``flow.estimate_flow(frames)``.
        fps: frames per second.

    Raises:
        ValueError: on anything else, and on nan or infinity in the flow.
    """
    check_frames(frames)
    if len(frames) < 2 or min(frames.shape[1:3]) < WINDOW:
        expected = f"at least 2 frames, {WINDOW} or more pixels a side"
        raise ValueError(f"frames should be {expected}, got {frames.shape}")
    if picture.shape != frames.shape[1:] or picture.dtype != np.uint8:
        expected = f"{frames.shape[1:]} uint8 like the frames"
        raise ValueError(f"picture should be {expected}, got {picture.shape} {picture.dtype}")
    if flow.shape != (expected_flow := (len(frames) - 1, 2, *frames.shape[1:3])):
        raise ValueError(f"flow should be {expected_flow}, got {flow.shape}")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps should be positive and finite, got {fps}")
    values = {
        **fidelity(frames, picture),
        "temporal_flickering": temporal_flickering(frames),
        "warping_error": warping_error(frames, flow),
        **motion(frames, flow, fps),
    }
    return {key: values[key] for key in MEASURES}
