"""Measure speeds from pairs of small frames: of objects and of the camera.

H W pixels. Speeds are percent of the picture's shorter side a second, so that they mean the same
at every size and rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.inspection.decode_pass import Pair
from motifocal.media.arrays import Frames
from motifocal.motion.camera import own_motion
from motifocal.motion.flow import estimate_flow
from motifocal.motion.settings import NOISE

#: Slower is rest, percent a second: stills encoded at CRF 18 to 34, with noise of a deviation of
#: 3 grey levels too, have exactly 0 in most moments.
LEAST_SPEED = 1.0
#: Where a codec sharpens a frame afterwards, a still seems to move, by up to 4 percent a second and
#: in up to a third of the moments (24 stills at CRF 34; at 38 even more).
CODEC_SPEED, CODEC_SHARE = 5.0, 0.35
#: What is left of a camera's flow is its error up to this share of its speed: over pans, zooms and
#: rolls across 21 pictures 95, 75 and 73 % stay below it, of 254 clips in which things move 9.
CAMERA_ERROR = 0.3
#: The moment in the middle is slower where nothing moves: 0 in those stills, while what creeps,
#: such as a tail that swings once in two seconds, has 0.6 in every moment.
SLOW_MOTION = 0.25
#: What lights up or blooms moves nothing that flow could follow, and is no still. Grey levels that
#: a hundredth of a tiny picture spans within a scene: lamps, flowers and candles drawn at 64 pixels
#: 65 or more; stills of that size, with that noise, at CRF 38 up to 19, of 320 pixels up to 10.
LEAST_CHANGE = 40
#: Shares of the moments looked at: up to the first a speed is chance, from the second on it rules.
MIN_SHARE, MAJORITY = 0.05, 0.5
#: The fastest so much of the picture says how fast: a thing on one percent of it is seen.
_FASTEST = 99.0
_HIGH = 95.0  # percentile of the speeds in the table of clips
_SMOOTH = 1.5  # standard deviation in tiny pixels: finer is noise


@dataclass(frozen=True)
class Motion:
    """Mean speeds (%/s) of what moves itself and of the camera, and what follows from them.

    flow_mean, flow_p95: mean and 95th percentile over pixels of the whole motion, and own_mean,
        own_p95 of what the camera does not explain; each the mean over the moments.
    """

    own: float
    camera: float
    still: bool
    camera_only: bool
    flow_mean: float
    flow_p95: float
    own_mean: float
    own_p95: float


def measure_motion(pairs: Sequence[Pair], cuts: Sequence[int]) -> Motion | None:
    """Measure pairs of frames between which there is no cut; None where there is no such pair."""
    speeds = [_speeds(pair) for pair in pairs if not _across_cut(pair, cuts)]
    if not speeds:
        return None
    own, camera, *over_pixels = np.array(speeds).T
    moves = own > np.maximum(LEAST_SPEED, CAMERA_ERROR * camera)
    by_camera = camera > LEAST_SPEED
    still = _is_static(own) and _is_static(camera)
    camera_only = by_camera.mean() >= MAJORITY and moves.mean() < MAJORITY and not still
    return Motion(float(own.mean()), float(camera.mean()), still, bool(camera_only),
                  *(float(values.mean()) for values in over_pixels))


def _is_static(speeds: NDArray[np.float64]) -> bool:
    """Tell whether what little motion there is comes from the codec."""
    slow = (speeds > LEAST_SPEED).mean() <= CODEC_SHARE
    few = (speeds > CODEC_SPEED).mean() <= MIN_SHARE
    return bool(slow and few and np.median(speeds) <= SLOW_MOTION)


def changes(frames: Frames, cuts: Sequence[int]) -> bool:
    """Tell whether tiny frames (F, H, W, 3) change within a scene, even without motion."""
    edges = [0, *cuts, len(frames)]
    return any(_span(frames[start:end]) >= LEAST_CHANGE for start, end in pairwise(edges))


def _span(frames: Frames) -> float:
    """Return the range of a pixel's values, in the hundredth of pixels where it is largest."""
    low = high = cv2.GaussianBlur(frames[0], (0, 0), _SMOOTH)
    for frame in frames[1:]:
        smooth = cv2.GaussianBlur(frame, (0, 0), _SMOOTH)
        low, high = np.minimum(low, smooth), np.maximum(high, smooth)
    return float(np.percentile((high - low).max(axis=-1), _FASTEST))


def _across_cut(pair: Pair, cuts: Sequence[int]) -> bool:
    before, after = pair.indices
    return any(before < cut <= after for cut in cuts)


def _speeds(pair: Pair) -> tuple[float, ...]:
    """Return the speeds (own, camera) in percent of the shorter side a second.

    Then mean and 95th percentile over pixels of all motion, and those of what moves by itself.
    """
    flow = estimate_flow(pair.frames, workers=1)
    left, evidence = own_motion(pair.frames, flow, NOISE)
    by_itself = np.where(evidence[0], np.hypot(*left[0]), 0)
    by_camera = np.hypot(*(flow - left)[0])
    percent = 100 / (min(pair.frames.shape[1:3]) * pair.seconds)
    fastest, high = np.percentile(by_itself, [_FASTEST, _HIGH])
    whole = np.hypot(*flow[0])
    speeds = (fastest, by_camera.mean(), whole.mean(), np.percentile(whole, _HIGH),
              by_itself.mean(), high)
    return tuple(float(speed) * percent for speed in speeds)


def cuts_within(cuts: Sequence[int], indices: Sequence[int]) -> list[int]:
    """List the cuts that lie between two consecutive frames of a sample."""
    return [cut for cut in cuts if any(a < cut <= b for a, b in pairwise(indices))]
