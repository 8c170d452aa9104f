"""Fit the camera's motion to optical flow, robustly per pair of frames, and remove it.

F frames, H W pixels, P = F - 1 pairs, N points of a grid. Flow is `(F-1, 2, H, W)` float32 in
pixels; a camera is `(F-1, 3, 3)` float64: (x, y, 1) of frame l to (x, y, 1) of frame l + 1, in
pixels, up to a factor.

Not in the paper; all of it is our reading. The camera is the simplest that will do: a similarity
(pan, zoom, roll), an affine map or a homography where that carries clearly more of the picture.
The numbers that a richer map has beside a similarity's fit objects as well as cameras, so a richer
model is used only if its inlier share is higher by 0.1; `scripts/camera_study.py` measures both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.camera_models import (
    AFFINE,
    HOMOGRAPHY,
    SIMILARITY,
    Floats,
    Grid,
    Model,
    robust_fit,
)
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import Flow, grey_of, lengths

Cameras = NDArray[np.float64]

#: Camera motion below this is none: the mean over the picture, in pixels a frame.
LEAST_MOTION = 0.05
# A camera has to fit more than this share of all inlier weights there could be; a plain cell has
# none. Three balloons that rise on a plain sky, all together, reach 0.46.
_MAJORITY = 0.5
# A richer model is used only if the weights that agree exactly with it are higher by this.
_MIN_GAIN = 0.1
# ... and, where a small share may decide, if that of the simpler one is below this.
_ROUGH = 0.6
# How far flow may be from the camera's and still agree: pixels, and a share of its length.
_AGREES, _AGREES_SHARE = 0.3, 0.2
# What the flow has beside a camera's and is no more than this share of it is its error.
_ERROR_SHARE = 0.1
# Pairs of frames that are fitted at once: more only take more memory.
_PAIRS = 16
# Texture: least mean squared slope, grey levels a pixel, along the weaker direction.
_LEAST_TEXTURE = 0.03


def textured(frames: Frames) -> NDArray[np.bool_]:
    """Tell where a frame has texture to follow, for each frame but the last: (F-1, H, W) bool.

    On a plain area flow is a guess, mostly that of the nearest motion, and should not count for the
    camera. Texture is where the smoothed grey picture slopes in two directions within 9 pixels
    (smallest eigenvalue of the structure tensor; Shi and Tomasi 1994); noise of +-2 is none.
    """
    check_frames(frames, or_grey=True)
    masks = np.empty((len(frames) - 1, *frames.shape[1:3]), np.bool_)
    for mask, grey in zip(masks, grey_of(frames[:-1]), strict=True):
        # OpenCV's value is 4 times the mean square: a sum over 9 x 9 of (8 slope / (4 * 9)) ** 2.
        smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.5)
        smallest = cv2.cornerMinEigenVal(smooth, 9, ksize=3)
        mask[:] = np.asarray(smallest) > 4 * _LEAST_TEXTURE
    return masks


def fit_camera(
    flow: Flow, valid: NDArray[np.bool_] | None = None,
    models: Sequence[Model] = (SIMILARITY, AFFINE, HOMOGRAPHY), *,
    texture_share: float | None = None,
) -> Cameras:
    """Fit the camera's motion between consecutive frames: exactly the identity where it rests.

    Iteratively reweighted least squares on a grid of points, every cell of the image with an
    equal weight. The camera moves only where more than half of the image agrees on it, plain areas
    counted against it, and by ``LEAST_MOTION`` or more. So an object that moves before a plain
    wall moves by itself. What cannot be seen: a pan over a picture that is mostly plain, a camera
    that moves past things near and far, and one that rests while what fills most of the picture
    moves as one.

    Args:
        flow: (F-1, 2, H, W) pixels a frame.
        valid: (F-1, H, W) bool, where flow can be believed (``textured``); None is everywhere.
        models: from the simplest to the richest; a later one needs an inlier share higher by 0.1.
        texture_share: take the camera on which more than this share of ``valid`` agrees, plain
            areas left out of account; somebody else has to judge it. None: more than half of all.

    Returns:
        (F-1, 3, 3) float64, the matrices that ``cv2.warpPerspective`` takes.

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
    grid, steps = Grid(height, width), np.empty((count, 3, 3))
    for first in range(0, count, _PAIRS):
        some = slice(first, first + _PAIRS)
        weights, share = grid.weights(valid[some]), _MAJORITY
        if texture_share is not None:
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
            share = texture_share
        steps[some] = _select_models(grid, grid.pick(flow[some]), weights, models, share)
    return grid.cameras(steps)


def _select_models(
    grid: Grid, observed: Floats, weights: Floats, models: Sequence[Model], share: float
) -> Floats:
    """Fit the simplest model that will do to each pair: steps (P, 3, 3), 0 where it rests."""
    steps, exact = np.zeros((len(observed), 3, 3)), np.zeros(len(observed))
    lengths = np.hypot(observed[:, 0], observed[:, 1])
    least = LEAST_MOTION if share >= _MAJORITY else 2 * LEAST_MOTION
    moving = np.sum(weights * (lengths > least), axis=1) > share
    for number, model in enumerate(models):
        # Nothing richer is tried where it could not earn its place: most rests, or most agrees.
        # Where a small share decides, only what is found roughly is tried to be found exactly.
        tried = np.flatnonzero(moving & (exact + _MIN_GAIN * (number > 0) < 1)
                               & ((number == 0) | (share >= _MAJORITY)
                                  | ((exact > 0) & (exact < _ROUGH))))  # fmt: skip
        if not tried.size:
            break
        step = robust_fit(model, grid, observed[tried], weights[tried])
        moves, agree = _judged(observed[tried], weights[tried], grid.field(step)[0], share)
        better = moves & grid.unfolded(step) & (agree > exact[tried] + _MIN_GAIN * (number > 0))
        steps[tried[better]], exact[tried[better]] = step[better], agree[better]
    return steps


def camera_flow(cameras: Cameras, height: int, width: int) -> Flow:
    """Return the flow of a static world under these cameras: (F-1, 2, H, W) float32, pixels."""
    if cameras.ndim != 3 or cameras.shape[1:] != (3, 3):
        raise ValueError(f"cameras should be (F-1, 3, 3), got {cameras.shape}")
    field = np.empty((len(cameras), 2, height, width), np.float32)
    for flow, by_camera in zip(field, _fields(cameras, height, width), strict=True):
        flow[:] = by_camera
    return field


def _fields(cameras: Cameras, height: int, width: int) -> Iterator[Flow]:
    """Yield the flow of one camera after the other: (2, H, W)."""
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    rest = np.zeros((2, height, width), np.float32)
    for camera in cameras / cameras[:, 2:, 2:]:
        step = (camera - np.eye(3)).astype(np.float32)
        if not step.any():
            yield rest
            continue
        field = np.array([(row[0] * x + row[2]) + row[1] * y for row in step[:2]], np.float32)
        if step[2].any():  # see ``camera_models.moved``
            away = step[2, 0] * x + step[2, 1] * y
            for part, place in zip(field, (x, y), strict=True):
                part -= place * away
            field /= 1 + away
        yield field


def scaled_cameras(cameras: Cameras, x: float, y: float) -> Cameras:
    """Convert cameras to pixels of an image that is x and y times as wide and high."""
    # Pixel 0 covers 0 to 1, so its centre lies at half of either size's pixel.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    to = np.linalg.inv(half) @ np.diag([x, y, 1.0]) @ half
    scaled = to @ cameras @ np.linalg.inv(to)
    # Rest is exact.
    scaled[~(cameras - np.eye(3)).any(axis=(1, 2))] = np.eye(3)
    return scaled


def own_motion(
    frames: Frames, flow: Flow, noise: float, *, sharp: bool = True
) -> tuple[Flow, NDArray[np.bool_]]:
    """Return the flow (F-1, 2, H, W) without the camera's, and where anything shows it (F-1, H, W).

    The camera is found (``fit_camera``) and removed, from the flow and from the frames before they
    are compared (``beside_camera``). What is then left of the flow and small beside the camera's
    own is the estimator's error and counts as nothing. Where the camera rests, flow and evidence
    are those of ``evidence.motion_evidence``, bit for bit.
    """
    cameras = fit_camera(flow, textured(frames))
    evidence = beside_camera(frames, cameras, noise, sharp=sharp)
    left, beyond = own_flow(flow, cameras)
    return left, evidence & beyond


def own_flow(flow: Flow, cameras: Cameras) -> tuple[Flow, NDArray[np.bool_]]:
    """Return flow (F-1, 2, H, W) without the cameras', and where it is more than error (F-1, H, W).
    """
    left = flow.astype(np.float32)
    beyond = np.ones((len(flow), *flow.shape[2:]), np.bool_)
    # A pair at a time: of a long clip, whole fields of float32 add up.
    for by_camera, own, here in zip(_fields(cameras, *flow.shape[2:]), left, beyond, strict=True):
        if by_camera.any():
            own -= by_camera
            error = lengths(*by_camera) * _ERROR_SHARE
            here[:] = (error == 0) | (lengths(*own) > error)
    return left, beyond


def beside_camera(
    frames: Frames, cameras: Cameras, noise: float, *, sharp: bool = True
) -> NDArray[np.bool_]:
    """Return ``change.motion_evidence`` once the cameras' motion is undone: (F-1, H, W) bool.

    Nothing is known of what the camera leaves behind, the rim: no evidence there. With ``noise`` 0
    frames are not compared, and there is evidence everywhere else.
    """
    height, width = frames.shape[1:3]
    inside = np.ones((height, width), np.uint8)
    evidence = np.empty((len(cameras), height, width), np.bool_)
    for pair, camera in enumerate(cameras):
        before, after = frames[pair : pair + 2]
        seen = inside
        if not np.array_equal(camera, np.eye(3)):
            # Cubic: a linear filter blurs between pixels, which at fine texture looks like change.
            after = _undone(after, camera, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
            seen = _undone(inside, camera, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        evidence[pair] = seen.astype(np.bool_)
        if noise:
            both = np.array([before, after], np.uint8)
            evidence[pair] &= motion_evidence(both, noise, sharp=sharp)[0]
    return evidence


def _undone(
    picture: NDArray[np.uint8], camera: Floats, method: int, border: int
) -> NDArray[np.uint8]:
    """Return the image as it was before the camera (3, 3) moved."""
    size = picture.shape[1], picture.shape[0]
    flags = method | cv2.WARP_INVERSE_MAP
    moved_back = cv2.warpPerspective(picture, camera, size, flags=flags, borderMode=border)
    return moved_back.astype(np.uint8, copy=False)


def _check_flow(flow: Flow) -> None:
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    if not np.isfinite(flow).all():
        raise ValueError(f"flow should be finite, got {np.count_nonzero(~np.isfinite(flow))} not")


def _judged(
    observed: Floats, weights: Floats, field: Floats, share: float
) -> tuple[NDArray[np.bool_], Floats]:
    """Tell for each pair whether weights (P, N) favour the camera over rest, and how exactly.

    Slow motion agrees with rest too; what counts is which of the two is nearer.
    """
    length = np.hypot(field[:, 0], field[:, 1])
    residual = np.hypot(*(observed - field).transpose(1, 0, 2))
    nearer = residual < np.hypot(observed[:, 0], observed[:, 1])
    carried = np.sum(weights * (nearer & (residual < _AGREES + _AGREES_SHARE * length)), axis=1)
    exact: Floats = np.sum(weights * (nearer & (residual < _AGREES)), axis=1)
    return (length.mean(axis=1) >= LEAST_MOTION) & (carried > share), exact
