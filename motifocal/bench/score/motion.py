"""Measure the motion in a clip: total, of objects, and of the camera.

F frames, H W pixels, h w pixels of the reduced clip. Frames are (F, H, W, 3) uint8 RGB, flow is
(F-1, 2, H, W) float32 in pixels.

Lengths are percent of the image's shorter side per second, so that clips of any size and rate
compare: 5 is a twentieth of the image each second. They are means over all pixels and pairs.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.motion.camera import beside_camera, camera_flow, fit_camera, textured
from motifocal.motion.camera_models import SIMILARITY
from motifocal.motion.flow import Flow
from motifocal.motion.settings import NOISE

#: What moves faster than this has moved: percent of the shorter side per second.
MOVES = 1.0
#: Clips are looked at with a shorter side of 160 to 319 pixels, as far as they are that large.
SIDE = 160
#: Motion beside the camera's that counts as none: reduced pixels, and a share of the camera's.
FLOOR, FLOOR_SHARE = 0.05, 0.1


def motion(frames: Frames, flow: Flow, fps: float) -> dict[str, float]:
    """Measure motion in all, of objects and of the camera, and the share of pixels that moves.

    ``camera_motion`` is the flow of the camera that ``camera.fit_camera`` finds. Where the frames
    still differ when the next one is moved back by it (``change.motion_evidence``), what the flow
    has beside the camera's is an object's: ``object_motion``. Elsewhere things go with the camera,
    whatever the flow says of a plain area. ``motion_amount`` is the two together, as vectors;
    ``moving_share`` the percent of pixels whose own motion is above ``MOVES``.

    All of it on a clip reduced to some 160 pixels, which does not change it: that averages codec
    noise away before frames are compared, and costs a quarter.
    """
    frames, flow = _reduced(frames, flow)
    height, width = frames.shape[1:3]
    per_second = 100 * fps / min(height, width)
    # Pan, zoom and roll alone: a score should not depend on which richer map happens to fit.
    cameras = fit_camera(flow, textured(frames), (SIMILARITY,))
    by_camera = camera_flow(cameras, height, width)
    own = flow - by_camera
    lengths, camera_lengths = _lengths(own), _lengths(by_camera)
    moves = beside_camera(frames, cameras, NOISE) & (lengths > FLOOR + FLOOR_SHARE * camera_lengths)
    total = by_camera + own * moves[:, None]
    return {
        "motion_amount": float(_lengths(total).mean()) * per_second,
        "object_motion": float((lengths * moves).mean()) * per_second,
        "camera_motion": float(camera_lengths.mean()) * per_second,
        "moving_share": float((moves & (lengths > MOVES / per_second)).mean()) * 100,
    }


def _lengths(flow: Flow) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.sqrt(np.square(flow[:, 0]) + np.square(flow[:, 1]))
    return lengths


def _reduced(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Reduce a clip; return frames (F, h, w, 3) and flow (F-1, 2, h, w) in their pixels."""
    height, width = frames.shape[1:3]
    times = min(height, width) // SIDE
    if times < 2:
        return frames, flow
    size = width // times, height // times
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    scale = size[0] / width, size[1] / height
    parts = [[cv2.resize(part, size, interpolation=cv2.INTER_AREA) * factor
              for part, factor in zip(pair, scale, strict=True)] for pair in flow]
    return np.array(small, np.uint8), np.array(parts, np.float32)
