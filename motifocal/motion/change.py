"""Find where anything moved between consecutive frames, and what flow leaves unexplained.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, flow is `(F-1, 2, H, W)` float32.
"""

from __future__ import annotations

import math
from functools import reduce
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.flow import Flow, grey_of, reduced_frames, resized_flow

# Standard deviation in pixels of the smoothing that averages noise away before frames are compared,
# and of the slighter one that keeps to the outline of what moved.
_EVIDENCE_SIGMA, _OUTLINE_SIGMA = 1.5, 0.7


def motion_evidence(frames: Frames, noise: float, *, sharp: bool = True) -> NDArray[np.bool_]:
    """Tell where anything shows motion between consecutive frames: (F-1, H, W) bool.

    An estimator has to fill in a flat area, and one that flickers with noise, from somewhere; it
    spreads the nearest motion over half of a plain background. Evidence is where two frames,
    smoothed over a few pixels, differ by more than ``noise`` grey levels (2.5 covers independent
    noise of +-2), and what has evidence in three of the four directions along its row and column:
    the flat inside of a moving thing, whose rim alone changes.

    Smoothing carries the difference past the outline of what moved. ``sharp`` keeps only what
    differs in less smoothed frames as well, beyond what the same noise reaches there, and what
    lies between such places. Without it the evidence is wider by some 4 pixels all around, which
    on small frames doubles the area. (Our reading throughout; docs/heatmap.md has measurements.)

    Frames may be grey, (F, H, W).
    """
    check_frames(frames, or_grey=True)
    if not noise >= 0:
        raise ValueError(f"noise should be at least 0, got {noise}")
    grey = grey_of(frames)
    changed = _changed(grey, noise, _EVIDENCE_SIGMA)
    evidence = np.empty_like(changed)
    for mask, filled in zip(changed, evidence, strict=True):
        filled[:] = _filled(mask)
    if sharp:
        # Smoothing over s pixels divides the deviation of independent noise by about 3.5 s.
        fine = noise * _EVIDENCE_SIGMA / _OUTLINE_SIGMA
        outlines = changed & _changed(grey, fine, _OUTLINE_SIGMA)
        for mask, outline in zip(evidence, outlines, strict=True):
            vertical, horizontal = _between(outline)
            inside = vertical | horizontal
            # Single rows and columns reach too far or not at all: the neighbours outvote them.
            mask &= outline | _majority(inside)
    return evidence


def colour_change(
    frames: Frames, flow: Flow, size: int = 0, where: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Measure colour change that the flow does not explain: (F-1, H, W) float32, grey levels.

    Flow says where a point of frame l is in frame l + 1. What changes its appearance without motion
    stays where it is: the colour there differs, by this much in the channel that differs most,
    smoothed over a few pixels. What the next frame hides differs as well: a strip in front of a
    moving thing. Where the flow leaves the picture nothing is known, which counts as 0.

    Args:
        size: measure on frames whose shorter side is at most this, and enlarge; 0 is full size.
        where: (F-1, H, W), the only places that are asked for; 0 elsewhere.
    """
    check_frames(frames)
    if flow.shape != (expected := (len(frames) - 1, 2, *frames.shape[1:3])):
        raise ValueError(f"flow should be {expected}, got {flow.shape}")
    whole = frames.shape[1:3]
    small = reduced_frames(frames, size)
    small_flow = resized_flow(flow, *small.shape[1:3])
    change = np.zeros((len(flow), *whole), np.float32)
    for pair, levels in enumerate(change):
        box = np.s_[:, :] if where is None else _box(where[pair], small.shape[1:3])
        if box is None:
            continue
        found = np.zeros(small.shape[1:3], np.float32)
        found[box] = _unexplained(small[pair], small[pair + 1], small_flow[pair], box)
        levels[:] = cv2.resize(found, whole[::-1]) if found.shape != whole else found
        if where is not None:
            levels *= where[pair]
    return change


def _unexplained(
    frame: NDArray[np.uint8], after: NDArray[np.uint8], flow: Flow, box: tuple[slice, slice]
) -> NDArray[np.float32]:
    """Return the change in a box of a frame that its flow (2, h, w) does not explain."""
    height, width = frame.shape[:2]
    rows, columns = box
    to_x = np.arange(width, dtype=np.float32)[columns] + flow[0][box]
    to_y = np.arange(height, dtype=np.float32)[rows, None] + flow[1][box]
    followed = cv2.remap(after, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    differs = np.where(inside[..., None], followed.astype(np.float32) - frame[box], 0)
    blurred = cv2.split(np.abs(cv2.GaussianBlur(differs, (0, 0), _EVIDENCE_SIGMA)))
    levels: NDArray[np.float32] = np.where(inside, reduce(cv2.max, blurred), np.float32(0))
    return levels


def _box(mask: NDArray[np.bool_], size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return the box of a mask (H, W) and a rim for smoothing, at another size; None of nothing."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    rim = math.ceil(3 * _EVIDENCE_SIGMA)
    spans = ((y, y + height, mask.shape[0], size[0]), (x, x + width, mask.shape[1], size[1]))
    rows, columns = (
        slice(max(0, start * to // of - rim), -(-stop * to // of) + rim)
        for start, stop, of, to in spans
    )
    return rows, columns


def _changed(grey: list[NDArray[np.uint8]], limit: float, sigma: float) -> NDArray[np.bool_]:
    """Tell where consecutive images, smoothed, differ by more than ``limit``: (F-1, H, W)."""
    changed = np.empty((len(grey) - 1, *grey[0].shape), np.bool_)
    smooth = (cv2.GaussianBlur(g.astype(np.float32), (0, 0), sigma) for g in grey)
    for here, (before, after) in zip(changed, pairwise(smooth), strict=True):
        np.greater(cv2.absdiff(after, before), limit, out=here)
    return changed


def _filled(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grow ``changed`` (H, W) by 2 pixels, and by all that it surrounds on three of four sides."""
    grown = np.asarray(cv2.dilate(changed.view(np.uint8), np.ones((5, 5), np.uint8))) > 0
    vertical, horizontal = _between(grown)
    # In a row with any, a pixel that has none on one side has some on the other.
    filled: NDArray[np.bool_] = vertical & np.any(grown, axis=1, keepdims=True)
    filled |= horizontal & np.any(grown, axis=0)
    return filled


def _majority(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the median over 5 x 5 pixels; cv2.medianBlur takes seven times as long."""
    count = cv2.boxFilter(mask.view(np.uint8), cv2.CV_8U, (5, 5), normalize=False,
                          borderType=cv2.BORDER_REPLICATE)  # fmt: skip
    return np.asarray(count) > 12


def _between(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell where a pixel is in the mask or between others that are, of its column, of its row.

    Told from the first and last of every row and column: accumulating along them takes several
    times as long.
    """
    height, width = mask.shape
    kind = np.int16 if max(mask.shape) < 2**15 else np.int32  # compared faster than int64
    y, x = np.arange(height, dtype=kind)[:, None], np.arange(width, dtype=kind)
    columns, rows = mask.any(axis=0), mask.any(axis=1)
    top = np.where(columns, mask.argmax(axis=0), height).astype(kind)
    bottom = (height - 1 - mask[::-1].argmax(axis=0)).astype(kind)
    first = np.where(rows, mask.argmax(axis=1), width).astype(kind)[:, None]
    last = (width - 1 - mask[:, ::-1].argmax(axis=1)).astype(kind)[:, None]
    return (y >= top) & (y <= bottom), (x >= first) & (x <= last)
