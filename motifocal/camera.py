"""Optical flow becomes the camera's own motion, a robust fit per pair of frames, and what is left.

F frames, H W pixels, P = F - 1 pairs, N points of a grid. Flow is `(F-1, 2, H, W)` float32 in
pixels; a camera is `(F-1, 2, 3)` float64: (x, y, 1) of frame l to (x, y) in frame l + 1, in pixels.

Not in the paper; all of it is our reading. The camera is a similarity: pan, zoom and roll. The two
more numbers of an affine map fit objects rather than cameras: on crops that move over 42 real
pictures, an object on a third of them, it is off by more than half a pixel in 3.9 % of the pairs,
the similarity in 1.2 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.flow import Flow, Frames, check_frames

Cameras = NDArray[np.float64]
Floats = NDArray[np.float64]

#: Camera motion below this is none: the mean over the picture, in pixels a frame.
LEAST_MOTION = 0.05
# Points along the shorter side, and cells along each side. Every cell has one vote, however much
# texture it holds, and a cell at the rim has two: a camera moves the rim, an object seldom does.
_POINTS, _CELLS, _RIM = 32, 8, 2
# A camera has to carry more than this share of all votes that could be cast; a plain cell casts
# none. Three balloons that rise on a plain sky, all together, reach 0.46.
_MAJORITY = 0.5
# How far flow may be from the camera's and still agree: pixels, and a share of its length.
_AGREES, _AGREES_SHARE = 0.3, 0.2
# The fit forgives less and less (graduated non-convexity) until what an estimator errs by, pixels.
_ROUNDS, _SHRINK, _EXACT = 15, 0.6, 0.15
# Texture: least mean squared slope, grey levels a pixel, along the weaker direction.
_LEAST_TEXTURE = 0.03


def textured(frames: Frames) -> NDArray[np.bool_]:
    """Where a frame has texture to follow, for each frame but the last: (F-1, H, W) bool.

    On a plain area flow is a guess, mostly that of the nearest motion, and should not vote on the
    camera. Texture is where the smoothed grey picture slopes in two directions within 9 pixels
    (smallest eigenvalue of the structure tensor; Shi and Tomasi 1994); noise of +-2 is none.
    """
    check_frames(frames)
    found = np.empty((len(frames) - 1, *frames.shape[1:3]), np.bool_)
    for here, frame in zip(found, frames[:-1], strict=True):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        # OpenCV's value is 4 times the mean square: a sum over 9 x 9 of (8 slope / (4 * 9)) ** 2.
        smallest = cv2.cornerMinEigenVal(cv2.GaussianBlur(grey, (0, 0), 1.5), 9, ksize=3)
        here[:] = np.asarray(smallest) > 4 * _LEAST_TEXTURE
    return found


def fit_camera(flow: Flow, valid: NDArray[np.bool_] | None = None) -> Cameras:
    """The camera's motion between consecutive frames, and exactly the identity where it rests.

    Iteratively reweighted least squares on a grid of points, every cell of the picture with an
    equal say. The camera moves only where more than half of the picture agrees on it, plain areas
    counted against it, and by ``LEAST_MOTION`` or more. So an object that moves before a plain
    wall moves by itself. What cannot be seen: a pan over a picture that is mostly plain, a camera
    that moves in depth, and one that rests while what fills most of the picture moves as one.

    Args:
        flow: (F-1, 2, H, W) pixels a frame.
        valid: (F-1, H, W) bool, where flow can be believed (``textured``); None is everywhere.

    Returns:
        (F-1, 2, 3) float64, the matrices that ``cv2.warpAffine`` takes.

    Raises:
        ValueError: on wrong shapes, or nan or infinity in the flow.
    """
    _check_flow(flow)
    count, _, height, width = flow.shape
    if valid is None:
        valid = np.ones((count, height, width), np.bool_)
    if valid.shape != (count, height, width) or valid.dtype != np.bool_:
        expected = f"({count}, {height}, {width}) bool"
        raise ValueError(f"valid should be {expected}, got {valid.shape} {valid.dtype}")
    if not count:
        return np.empty((0, 2, 3))
    grid = _Grid(height, width)
    found, votes = grid.pick(flow), grid.votes(valid)
    numbers = _robust_fit(grid, found, votes)
    numbers[~_moves(grid, found, votes, grid.field(numbers))] = 0
    return grid.matrices(numbers)


def camera_flow(cameras: Cameras, height: int, width: int) -> Flow:
    """The flow that a resting world has under these cameras: (F-1, 2, H, W) float32, pixels."""
    if cameras.ndim != 3 or cameras.shape[1:] != (2, 3):
        raise ValueError(f"cameras should be (F-1, 2, 3), got {cameras.shape}")
    step = (cameras - np.eye(2, 3)).astype(np.float32)[..., None, None]
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    field: Flow = step[:, :, 0] * x + step[:, :, 1] * y + step[:, :, 2]
    return field


def remove_camera(flow: Flow, cameras: Cameras) -> Flow:
    """Flow (F-1, 2, H, W) less that of the cameras (F-1, 2, 3): what moves by itself.

    A resting camera leaves every bit as it was. Raises ValueError for shapes that do not fit.
    """
    _check_flow(flow)
    if cameras.shape != (len(flow), 2, 3):
        raise ValueError(f"cameras should be ({len(flow)}, 2, 3), got {cameras.shape}")
    return flow - camera_flow(cameras, *flow.shape[2:])


def _check_flow(flow: Flow) -> None:
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    if not np.isfinite(flow).all():
        raise ValueError(f"flow should be finite, got {np.count_nonzero(~np.isfinite(flow))} not")


@dataclass
class _Grid:
    """The N points that are looked at, and what a similarity does to them.

    A similarity is four numbers: the flow of the picture's centre (x, y), growth and turn. Places
    are measured from the centre in half of the longer side, so all four are pixels.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        step = max(1, round(min(self.height, self.width) / _POINTS))
        self.rows = np.arange((step - 1) // 2, self.height, step)
        self.columns = np.arange((step - 1) // 2, self.width, step)
        self.centre = np.array([self.width - 1, self.height - 1]) / 2
        self.unit = max(self.height, self.width) / 2
        y, x = np.meshgrid(
            (self.rows - self.centre[1]) / self.unit,
            (self.columns - self.centre[0]) / self.unit,
            indexing="ij",
        )
        x, y, one, none = x.ravel(), y.ravel(), np.ones(x.size), np.zeros(x.size)
        self.design = np.array([[one, none, x, -y], [none, one, y, x]])  # (2, 4, N)

    def pick(self, flow: Flow) -> Floats:
        """(P, 2, H, W) at the points: (P, 2, N)."""
        picked = flow[:, :, self.rows[:, None], self.columns].astype(np.float64)
        return picked.reshape(len(flow), 2, -1)

    def votes(self, valid: NDArray[np.bool_]) -> Floats:
        """(P, H, W) becomes the weight of each point, (P, N): a cell's votes shared in it.

        They are shares of all that could be cast: in a picture full of texture they sum to 1.
        """
        cells = self.rows[:, None] * _CELLS // self.height * _CELLS
        cell = (cells + self.columns * _CELLS // self.width).ravel()
        worth = np.full((_CELLS, _CELLS), float(_RIM))
        worth[1:-1, 1:-1] = 1
        cast = valid[:, self.rows[:, None], self.columns].reshape(len(valid), -1)
        sizes = np.array([np.bincount(cell[points], minlength=_CELLS**2) for points in cast])
        shares = (worth.ravel() / worth.sum() / np.maximum(sizes.reshape(-1, _CELLS**2), 1))
        return cast * shares[:, cell]

    def field(self, numbers: Floats) -> Floats:
        """The flow that cameras (P, 4) have at the points: (P, 2, N)."""
        flow: Floats = numbers @ self.design.transpose(1, 0, 2).reshape(4, -1)
        return flow.reshape(len(numbers), 2, -1)

    def solve(self, found: Floats, weights: Floats) -> Floats:
        """The cameras (P, 4) that come nearest to flow (P, 2, N), by weighted least squares."""
        left = weights @ np.einsum("cin,cjn->nij", self.design, self.design).reshape(-1, 16)
        right = (found * weights[:, None]).reshape(len(found), -1) @ self.design.transpose(
            0, 2, 1
        ).reshape(-1, 4)
        # The ridge decides where there are no points, or too few: the identity.
        left = left.reshape(-1, 4, 4) + 1e-9 * np.eye(4)
        numbers: Floats = np.linalg.solve(left, right[..., None])[..., 0]
        return numbers

    def matrices(self, numbers: Floats) -> Cameras:
        """(P, 4) as (P, 2, 3); zeros become the identity, to the last bit."""
        x, y, growth, turn = numbers.T / np.array([[1], [1], [self.unit], [self.unit]])
        linear = np.array([[growth, -turn], [turn, growth]]).transpose(2, 0, 1)
        shift = np.stack([x, y], axis=1) - linear @ self.centre
        return np.concatenate([linear, shift[..., None]], axis=2) + np.eye(2, 3)


def _robust_fit(grid: _Grid, found: Floats, votes: Floats) -> Floats:
    """Four numbers for each pair, (P, 4), from flow at the points (P, 2, N) and votes (P, N).

    The weights are Geman and McClure's. At first the scale is the largest residual, which is plain
    least squares; it shrinks until what disagrees with most has lost its say.
    """
    weights, scale = votes, np.zeros(len(votes))
    for number in range(_ROUNDS):
        numbers = grid.solve(found, weights)
        squares = np.square(found - grid.field(numbers)).sum(axis=1)
        largest = np.sqrt(np.max(squares, axis=1, initial=0, where=votes > 0))
        scale = np.maximum(scale * _SHRINK if number else largest, _EXACT)
        weights = votes / np.square(1 + squares / np.square(scale[:, None]))
    return numbers


def _moves(grid: _Grid, found: Floats, votes: Floats, field: Floats) -> NDArray[np.bool_]:
    """For each pair, whether the votes (P, N) carry the camera's flow (P, 2, N) against rest."""
    length = np.hypot(field[:, 0], field[:, 1])
    residual = np.hypot(*(found - field).transpose(1, 0, 2))
    agrees = residual < _AGREES + _AGREES_SHARE * length
    # Slow motion agrees with rest too; what counts is which of the two is nearer.
    agrees &= residual < np.hypot(found[:, 0], found[:, 1])
    carried = np.sum(votes * agrees, axis=1)
    moves: NDArray[np.bool_] = (length.mean(axis=1) >= LEAST_MOTION) & (carried > _MAJORITY)
    return moves
