"""Refine camera motion by aligning the frames themselves, as the fit to flow is only approximate.

F frames, H W pixels, N points of a grid. A camera is `(F-1, 3, 3)` as in `camera.py`.

Not in the paper; our reading. Flow of reduced frames is off by a third of a pixel, too much to tell
what moves by itself once the camera is undone. Grey levels tell the camera's motion to a tenth,
and, unlike flow, along edges of one direction and on weak gradients, such as those of a sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.motion.camera import Cameras
from motifocal.motion.camera_models import SIMILARITY, Floats, Grid
from motifocal.motion.regions import Levels

# Points along the shorter side. What slopes by fewer grey levels a pixel is not looked at.
_POINTS, _SLOPE = 40, 0.5
# What levels may be off by, from round to round, and pixels where the slope is steep: what coding
# and sampling do to frames is 1.5 levels or 0.15 pixels.
_LEVELS, _STEEP = (10.0, 5.0, 2.5, 1.5, 1.5), 10.0
# A camera that moves less than half as far is taken if it explains so much less of the picture.
_LESS, _RIDGE = 0.02, 0.01


def aligned_cameras(smooth: Sequence[Levels], cameras: Cameras) -> Cameras:
    """Align smoothed grey frames, F of (H, W), from cameras that are nearly right: (F-1, 3, 3).

    Alignment starts from the pair's own camera or the clip's usual one, and from rest. Where a
    camera rests it stays exactly the identity.
    """
    aligned, rest = cameras.copy(), np.eye(3)
    moves = (cameras - rest).any(axis=(1, 2))
    if not moves.any():
        return aligned
    height, width = smooth[0].shape
    grid, usual = Grid(height, width, _POINTS), np.median(cameras[moves], axis=0)
    for pair in np.flatnonzero(moves).tolist():
        frames = _Pair(grid, smooth[pair], smooth[pair + 1])
        near, cost = min((frames.judged(c) for c in (cameras[pair], usual)), key=itemgetter(1))
        near, cost = min((near, cost), frames.judged(frames.refined(near)), key=itemgetter(1))
        slow, slow_cost = frames.judged(frames.refined(rest))
        # Before a sky whose colour changes from top to bottom alone, a bird looks like the camera.
        slower = slow_cost < cost + _LESS and frames.length(slow) < frames.length(near) / 2
        aligned[pair] = slow if slower else near
    return aligned


class _Pair:
    """Two frames, and how far off a camera (3, 3) between them is at the points of a grid."""

    def __init__(self, grid: Grid, before: Levels, after: Levels) -> None:
        self.grid, self.after = grid, after
        at = np.s_[grid.rows[:, None], grid.columns]
        x, y = np.broadcast_arrays(grid.columns, grid.rows[:, None])
        self.points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)]).astype(np.float32)
        self.levels = before[at].ravel().astype(np.float32)
        slope_x, slope_y = (cv2.Sobel(before, cv2.CV_32F, *axis, ksize=3, scale=1 / 8)[at].ravel()
                            for axis in ((1, 0), (0, 1)))  # fmt: skip
        steepness = np.hypot(slope_x, slope_y)
        told = np.zeros((1, grid.height, grid.width), np.bool_)
        told[0][at] = (steepness > _SLOPE).reshape(len(grid.rows), -1)
        self.given = grid.weights(told)[0].astype(np.float32)
        self.scale = 1 / np.hypot(1, steepness / _STEEP)
        moved = SIMILARITY.equations(grid.x, grid.y, np.stack([grid.x, grid.y])[None])[0]
        self.rows = (moved[0] * slope_x + moved[1] * slope_y).astype(np.float32) * grid.unit

    def _off(self, camera: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return how far the camera moves points (2, N), and the levels they differ by (N,)."""
        to = camera.astype(np.float32) @ self.points
        to = to[:2] / to[2]
        level = cv2.remap(self.after, to[0][:, None], to[1][:, None], cv2.INTER_LINEAR)[:, 0]
        last = np.array(self.after.shape[::-1])[:, None] - 1
        inside = ((to >= 0) & (to <= last)).all(axis=0)
        return to - self.points[:2], np.where(inside, level - self.levels, np.float32(0))

    def length(self, camera: Floats) -> float:
        return float(np.hypot(*self._off(camera)[0]).mean())

    def judged(self, camera: Floats) -> tuple[Floats, float]:
        """Return a camera and the share of the picture that it does not explain, from 0 to 1."""
        squares = np.square(self._off(camera)[1] * self.scale / _LEVELS[-1])
        return camera, float((squares / (1 + squares) * self.given).sum())

    def refined(self, camera: Floats) -> Floats:
        """Return the camera nearby that explains most (Gauss and Newton; inverse compositional)."""
        for levels in _LEVELS:
            _, off = self._off(camera)
            believed = self.scale / (1 + np.square(off * self.scale / levels))
            weights = self.given * np.square(believed)
            weighted = self.rows * weights
            left = weighted @ self.rows.T
            # What hardly anything tells of, such as a pan before a plain sky, does not change.
            left += (1e-9 + _RIDGE * np.diag(left).mean()) * np.eye(len(left))
            numbers = np.linalg.solve(left, weighted @ off)[None]
            camera = camera @ self.grid.cameras(SIMILARITY.step(-numbers))[0]
        return camera
