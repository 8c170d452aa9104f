"""Find what moves between frames as regions of similar colour, judged by the edges around them.

F frames, H W pixels, h w pixels of the reduced frames. Frames are `(F, H, W, 3)` uint8 RGB, flow is
`(F-1, 2, H, W)` float32 in pixels.

Not in the paper; our reading. The inside of a plain thing does not change while it moves, its edges
do. An edge that moves differs from what is at its place before and after; what is merely covered or
uncovered equals one of the two; what sets off has nothing beside it that moved before. So each edge
votes, and a region goes with most of the votes in and around it, so that plain insides are filled
and what is uncovered is left out (docs/heatmap.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.camera import Cameras, scaled_cameras
from motifocal.motion.flow import Flow, lengths, reduced_frames, resized_flow

# Grey levels, uint8, and votes and slopes, float32: (h, w). OpenCV's stubs name no exact type.
Levels = NDArray[Any]
Votes = NDArray[Any]

#: Frames are compared at a shorter side of at most this, pixels; outlines are enlarged from it.
_SIZE = 320
# Smoothing before frames are compared, and the steepness of an edge, grey levels a pixel.
_SIGMA, _EDGE = 1.0, 3.0
# Each frame is compared with those so many before and after it: slow edges need the longer step.
_STEPS = (1, 2)
# A still edge counts as one that was given the chance to move by this many pixels.
_CHANCE = 2.0
# Flow is believed to this share of its length.
_ERROR = 0.15
# Votes for rest: of each pixel at the picture's border, and of each plain pixel that stays equal.
_BORDER, _PLAIN = 3.0, 0.05
# Edges vote on both of their sides, so many pixels away, with half a vote.
_ACROSS = 3
# Farther than this from anything plain, pixels vote among their 5 x 5 neighbours alone.
_TEXTURE = 4
# What moves fills holes in it of up to this share of the picture.
_HOLE = 0.03
# A change begins if so little of it is two-sided; so many pixels are one cell while that is told,
# and one that covers less than this share of the picture is noise.
_BEGINS, _CELL, _LEAST = 0.05, 4, 0.001
# Where a camera is undone: the error that edges are allowed, pixels.
_MISALIGNED = 0.25


def moving_regions(
    frames: Frames, flow: Flow, noise: float, cameras: Cameras | None = None
) -> NDArray[np.bool_]:
    """Tell which regions of frame l move against the background until l + 1: (F-1, H, W) bool.

    Args:
        flow: (F-1, 2, H, W) without the camera's motion; says which edges should have changed.
        noise: grey levels, as in ``change.motion_evidence``.
        cameras: (F-1, 3, 3), undone before frames are compared; None is a static camera.
    """
    check_frames(frames)
    height, width = frames.shape[1:3]
    small = reduced_frames(frames, _SIZE)
    h, w = small.shape[1:3]
    if cameras is not None:
        cameras = scaled_cameras(cameras, w / width, h / height)
    comparison = _Comparison(small, cameras)
    # Smoothing over s pixels divides the deviation of independent noise by about 3.5 s, and
    # ``noise`` is meant for 1.5.
    limit = noise * 1.5 / _SIGMA
    moving = np.empty((len(frames) - 1, height, width), np.bool_)
    for pair, vectors in enumerate(resized_flow(flow, h, w)):
        here = _regions_of(comparison, pair, vectors, limit)
        if (h, w) != (height, width):
            here = np.asarray(cv2.resize(here, (width, height), interpolation=cv2.INTER_LINEAR))
        moving[pair] = here > 127
    return moving


class _Comparison:
    """Smoothed frames, and how far they differ, in any channel, once cameras are undone."""

    def __init__(self, frames: Frames, cameras: Cameras | None) -> None:
        self.smooth = [cv2.GaussianBlur(frame, (0, 0), _SIGMA) for frame in frames]
        still = cameras is None or not (cameras - np.eye(3)).any()
        self.cameras = None if still else cameras
        self._pairs: dict[tuple[int, int], Levels] = {}
        self._chains: dict[tuple[int, int], NDArray[np.float64] | None] = {}

    def allowed(self, frame: int) -> float:
        """Return the error of edges, pixels, where cameras are undone around a frame, else 0."""
        far = max(_STEPS)
        near = self._camera(max(frame - far, 0), frame + far)
        return 0.0 if near is None else _MISALIGNED

    def sides(self, frame: int, step: int) -> list[Levels]:
        """Return how far a frame differs from that so many before, and after, as far as there."""
        self._pairs = {key: value for key, value in self._pairs.items()
                       if key[0] >= frame - max(_STEPS)}  # fmt: skip
        return [self._between(frame, other) for other in (frame - step, frame + step)
                if 0 <= other < len(self.smooth)]  # fmt: skip

    def _between(self, frame: int, other: int) -> Levels:
        first, last = sorted((frame, other))
        if (first, last) not in self._pairs:
            self._pairs[first, last] = self._pair(first, last)
        levels = self._pairs[first, last]
        camera = self._camera(first, last)
        if frame == first or camera is None:
            return levels
        return warped(levels, np.linalg.inv(camera).astype(np.float64, copy=False))

    def _pair(self, first: int, last: int) -> Levels:
        camera, before, after = self._camera(first, last), self.smooth[first], self.smooth[last]
        if camera is not None:
            # What the camera left behind stays that of the frame before: no difference.
            after = warped(after, camera, around=before)
        return _most(cv2.split(cv2.absdiff(before, after)))

    def _camera(self, first: int, last: int) -> NDArray[np.float64] | None:
        """Return the camera's motion from one frame to a later one; None where it rests."""
        if self.cameras is None:
            return None
        if (first, last) not in self._chains:
            steps = self.cameras[first:last]
            self._chains[first, last] = chained(steps) if (steps - np.eye(3)).any() else None
        return self._chains[first, last]


def chained(cameras: Cameras) -> NDArray[np.float64]:
    """Return the motion of cameras (N, 3, 3) one after the other: (3, 3)."""
    whole: NDArray[np.float64] = reduce(lambda so_far, step: step @ so_far, cameras)
    return whole


def warped(image: Levels, camera: NDArray[np.float64], around: Levels | None = None) -> Levels:
    """Return an image as it was before the camera (3, 3) moved; 0, or ``around``, where not known.
    """
    size = image.shape[1], image.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT if around is None else cv2.BORDER_TRANSPARENT
    into = np.empty_like(image) if around is None else around.copy()
    if not camera[2, :2].any():  # several times as fast
        affine = camera[:2] / camera[2, 2]
        cv2.warpAffine(image, affine, size, into, flags, border)
    else:
        cv2.warpPerspective(image, camera, size, into, flags, border)
    return into


def _regions_of(comparison: _Comparison, frame: int, vectors: Votes, limit: float) -> Levels:
    """Return 255 in the regions of a frame that move, else 0: (h, w)."""
    change, following, reach = _two_sided(comparison, frame)
    change = _with_beginnings(change, following, limit)
    slope, expected = _edges(cv2.split(comparison.smooth[frame]), vectors * np.float32(reach))
    allowed = comparison.allowed(frame)
    changed = change > (limit + allowed * slope if allowed else limit)
    edge = slope > _EDGE
    moves = edge & changed
    rests = edge & ~changed & (expected > limit)
    votes = np.subtract(moves.view(np.int8), rests.view(np.int8)).astype(np.float32)
    votes -= (~edge & (following < limit)) * np.float32(_PLAIN)
    votes[[0, -1]] -= _BORDER
    votes[:, [0, -1]] -= _BORDER
    # Edges go with the nearest plain region.
    distance, nearest = cv2.distanceTransformWithLabels(
        edge.view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_CCOMP
    )
    region = nearest.astype(np.int32, copy=False)
    totals = _totals(region, votes, moves | rests)
    moving = np.take((totals > 0).astype(np.uint8) * np.uint8(255), region)
    near = cv2.boxFilter(votes, -1, (5, 5), normalize=False)
    np.copyto(moving, (near > 0).view(np.uint8) * np.uint8(255), where=distance > _TEXTURE)
    return _filled(cv2.medianBlur(moving, 5))


def _filled(moving: Levels) -> Levels:
    """Fill what moving parts enclose, up to a small share of the picture."""
    rims, tree = cv2.findContours(moving, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [rim for number, rim in enumerate(rims)
             if tree[0][number][3] >= 0 and cv2.contourArea(rim) < _HOLE * moving.size]  # fmt: skip
    return cv2.drawContours(moving, holes, -1, 255, cv2.FILLED) if holes else moving


def _two_sided(comparison: _Comparison, frame: int) -> tuple[Levels, Levels, int]:
    """Return by how much a frame differs from before and after alike, grey levels (h, w).

    Also how far it differs from the next frame, and the longest step that was compared.
    """
    sides = comparison.sides(frame, 1)
    change, following, reach = _least(sides), sides[-1], 1
    for step in _STEPS[1:]:
        sides = comparison.sides(frame, step)
        # In the midst of a clip one side alone cannot tell what is merely uncovered.
        if len(sides) == 2 or (sides and not frame):
            change, reach = _most((change, _least(sides))), step
    return change, following, reach


def _with_beginnings(change: Levels, following: Levels, limit: float) -> Levels:
    """Return the two-sided change (h, w), but all of the next one where a thing sets off.

    What rested until now equals the frame before, as what is about to be covered does. Next to the
    latter there is what covers it, which has moved before.
    """
    height, width = change.shape
    size = (max(1, width // _CELL), max(1, height // _CELL))
    told = [(levels > limit).view(np.uint8) * np.uint8(255) for levels in (change, following)]
    both, after = (cv2.resize(there, size, interpolation=cv2.INTER_AREA) for there in told)
    count, parts = cv2.connectedComponents((after > 0).view(np.uint8))
    labels = np.asarray(parts).ravel()
    whole, two_sided = (np.bincount(labels, cells.ravel(), count) for cells in (after, both))
    begins = (two_sided < _BEGINS * whole) & (whole > 255 * _LEAST * after.size)
    begins[0] = False
    if not begins.any():
        return change
    here = cv2.resize(begins[parts].astype(np.uint8), (width, height),
                      interpolation=cv2.INTER_NEAREST)  # fmt: skip
    return np.where(here, cv2.max(change, following), change)


def _edges(channels: Sequence[Levels], vectors: Votes) -> tuple[Votes, Votes]:
    """Return the slope of channels (h, w) and the change to be expected of their flow (2, h, w).

    Grey levels a pixel, and grey levels, of the channel that has most. An edge along its own
    direction of motion changes nothing, so nothing is expected of it.
    """
    slopes, expected = [], []
    for channel in channels:
        x, y = (cv2.Sobel(channel, cv2.CV_32F, *axis, ksize=3, scale=1 / 8)
                for axis in ((1, 0), (0, 1)))  # fmt: skip
        slopes.append(cv2.magnitude(x, y))  # of eighths, whose squares are exact
        expected.append(np.abs(x * vectors[0] + y * vectors[1]))
    slope = _most(slopes)
    length = lengths(*vectors)
    # What an estimator errs by, across an edge, would be taken for motion of the edge.
    sure = np.maximum(_CHANCE - length, 0) - _ERROR * length
    return slope, _most(expected) + sure * slope


def _totals(region: NDArray[np.int32], votes: Votes, informed: NDArray[np.bool_]) -> Votes:
    """Sum the votes in each region, and half of those of edges just beyond its rim."""
    pad = (_ACROSS,) * 4
    padded = np.asarray(cv2.copyMakeBorder(region, *pad, cv2.BORDER_REPLICATE))
    inside = cv2.copyMakeBorder(informed.view(np.uint8), *pad, cv2.BORDER_CONSTANT, value=(0,))
    labels, width = padded.ravel(), padded.shape[1]
    places = np.flatnonzero(inside.view(np.bool_))
    own, half = labels[places], votes[informed] / 2
    regions: list[NDArray[Any]] = [region.ravel()]
    cast = [votes.ravel()]
    for offset in (_ACROSS, _ACROSS * width, -_ACROSS, -_ACROSS * width):
        beyond = labels[places + offset]
        across = np.flatnonzero(beyond != own)
        regions.append(beyond[across])
        cast.append(half[across])
    totals: Votes = np.bincount(np.concatenate(regions), np.concatenate(cast))
    return totals


def _most(images: Iterable[Levels]) -> Levels:
    return reduce(lambda first, other: np.asarray(cv2.max(first, other)), images)


def _least(images: Iterable[Levels]) -> Levels:
    return reduce(lambda first, other: np.asarray(cv2.min(first, other)), images)
