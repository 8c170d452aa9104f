"""Consecutive frames become optical flow in pixels, and maps of where and how far they changed.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, flow is `(F-1, 2, H, W)` float32.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Flow = NDArray[np.float32]

# Quality against time of OpenCV's Dense Inverse Search (Kroeger et al., 2016).
DIS_PRESETS: dict[str, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

# Standard deviation in pixels of the smoothing that averages noise away before frames are compared,
# and of the slighter one that keeps to the outline of what moved.
_EVIDENCE_SIGMA, _OUTLINE_SIGMA = 1.5, 0.7


def estimate_flow(
    frames: Frames, method: str = "dis", *, preset: str = "medium", workers: int | None = None
) -> Flow:
    """Optical flow between consecutive frames: (F-1, 2, H, W) float32, pixels a frame, (x, y).

    What is at (x, y) in frame l is at (x, y) + flow[l, :, y, x] in frame l + 1; x points right, y
    down. One frame gives (0, 2, H, W). The result does not depend on ``workers``.

    Args:
        frames: (F, H, W, 3) uint8 RGB, of any size from 1x1 up.
        method: a key of ``ESTIMATORS``.
        preset: the estimator's own; for "dis" a key of ``DIS_PRESETS``.
        workers: threads over pairs of frames; None takes one for each core of this process.

    Raises:
        ValueError: wrong shape or type, unknown method or preset, workers below 1.
    """
    check_frames(frames)
    if method not in ESTIMATORS:
        raise ValueError(f"method should be one of {sorted(ESTIMATORS)}, got {method!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers should be at least 1, got {workers}")
    return ESTIMATORS[method](frames, preset, workers or usable_cores())


def motion_evidence(frames: Frames, noise: float, *, sharp: bool = True) -> NDArray[np.bool_]:
    """Where anything tells motion from rest between consecutive frames: (F-1, H, W) bool.

    An estimator has to fill in a flat area, and one that flickers with noise, from somewhere; it
    spreads the nearest motion over half of a plain background. Evidence is where two frames,
    smoothed over a few pixels, differ by more than ``noise`` grey levels (2.5 covers independent
    noise of +-2), and what has evidence in three of the four directions along its row and column:
    the flat inside of a moving thing, whose rim alone changes.

    Smoothing carries the difference past the outline of what moved. ``sharp`` keeps only what
    differs in less smoothed frames as well, beyond what the same noise reaches there, and what
    lies between such places. Without it the evidence is wider by some 4 pixels all around, which
    on small frames doubles the area. (Our reading throughout; docs/heatmap.md has measurements.)
    """
    check_frames(frames)
    if not noise >= 0:
        raise ValueError(f"noise should be at least 0, got {noise}")
    grey = _grey(frames)
    changed = _changed(grey, noise, _EVIDENCE_SIGMA)
    evidence = np.array([_filled(found) for found in changed], np.bool_).reshape(changed.shape)
    if sharp:
        # Smoothing over s pixels divides the deviation of independent noise by about 3.5 s.
        fine = noise * _EVIDENCE_SIGMA / _OUTLINE_SIGMA
        outlines = changed & _changed(grey, fine, _OUTLINE_SIGMA)
        for found, outline in zip(evidence, outlines, strict=True):
            up, down, left, right = _directions(outline)
            inside = outline | (up & down) | (left & right)
            # Single rows and columns reach too far or not at all: the neighbours outvote them.
            found &= outline | cv2.medianBlur(inside.astype(np.uint8), 5).astype(np.bool_)
    return evidence


def colour_change(frames: Frames, flow: Flow) -> NDArray[np.float32]:
    """How far colours change that the flow does not explain: (F-1, H, W) float32, grey levels.

    Flow says where a point of frame l is in frame l + 1. A lamp that lights up stays where it is
    and is still not the same: the colour there differs, by this much in the channel that differs
    most, smoothed over a few pixels. What the next frame hides differs as well: a strip in front
    of a moving thing. Where the flow leaves the picture nothing is known, which counts as 0.
    """
    check_frames(frames)
    if flow.shape != (expected := (len(frames) - 1, 2, *frames.shape[1:3])):
        raise ValueError(f"flow should be {expected}, got {flow.shape}")
    height, width = frames.shape[1:3]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    change = np.zeros((len(flow), height, width), np.float32)
    for pair, (dx, dy) in enumerate(flow):
        to_x, to_y = x + dx, y + dy
        followed = cv2.remap(
            frames[pair + 1], to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        differs = np.where(inside[..., None], followed.astype(np.float32) - frames[pair], 0)
        smooth = np.abs(cv2.GaussianBlur(differs, (0, 0), _EVIDENCE_SIGMA)).max(axis=-1)
        change[pair] = np.where(inside, smooth, 0)
    return change


def check_frames(frames: Frames) -> None:
    """Raise ValueError unless these are (F, H, W, 3) uint8 with at least one pixel."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"frames should be (F, H, W, 3) uint8, got {frames.shape} {frames.dtype}")


def _dis(frames: Frames, preset: str, workers: int) -> Flow:
    """Dense Inverse Search, pairs of frames in parallel."""
    if preset not in DIS_PRESETS:
        raise ValueError(f"preset should be one of {sorted(DIS_PRESETS)}, got {preset!r}")
    count, height, width, _ = frames.shape
    grey = [_pad(image) for image in _grey(frames)]
    flow = np.empty((count - 1, 2, height, width), np.float32)
    own = threading.local()  # one estimator a thread: it holds buffers and is not thread safe

    def pair(first: int) -> None:
        if not hasattr(own, "dis"):
            own.dis = cv2.DISOpticalFlow.create(DIS_PRESETS[preset])
        vectors: NDArray[Any] = own.dis.calc(grey[first], grey[first + 1], None)
        flow[first] = vectors[:height, :width].transpose(2, 0, 1)

    if count > 1:
        # OpenCV lets go of the interpreter lock in calc, so threads do run side by side.
        with ThreadPoolExecutor(min(workers, count - 1)) as pool:
            list(pool.map(pair, range(count - 1)))
    return flow


Estimator = Callable[[Frames, str, int], Flow]
ESTIMATORS: dict[str, Estimator] = {"dis": _dis}


def _grey(frames: Frames) -> list[NDArray[np.uint8]]:
    return [
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False) for frame in frames
    ]


def _pad(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeats the last row and column until OpenCV's DIS can work on the picture.

    It takes the number of pyramid levels from the width alone; where the height shrinks below a
    patch on the coarsest level it reads outside the picture (seen at 8x64 and 16x256: the process
    dies). A height of half the width leaves a whole patch there.
    """
    height, width = grey.shape
    wide = max(width, 16)
    down, right = max(16, (wide + 1) // 2, height) - height, wide - width
    if not (down or right):
        return grey
    return cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8)


def _changed(grey: list[NDArray[np.uint8]], limit: float, sigma: float) -> NDArray[np.bool_]:
    """Where consecutive pictures, smoothed, differ by more than ``limit``: (F-1, H, W)."""
    smooth = [cv2.GaussianBlur(g.astype(np.float32), (0, 0), sigma) for g in grey]
    changed = [cv2.absdiff(after, before) > limit for before, after in pairwise(smooth)]
    return np.array(changed, np.bool_).reshape(-1, *grey[0].shape)


def _filled(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``changed`` (H, W), grown by 2 pixels, and all that it surrounds on three of four sides."""
    found = cv2.dilate(changed.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
    up, down, left, right = _directions(found)
    around: NDArray[np.bool_] = (up & down & (left | right)) | (left & right & (up | down))
    return found | around


def _directions(found: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Where something is found at or above, below, left and right of a pixel: four (H, W).

    Told from the first and last find of every row and column: accumulating along them takes
    several times as long.
    """
    height, width = found.shape
    y, x = np.arange(height)[:, None], np.arange(width)
    columns, rows = found.any(axis=0), found.any(axis=1)
    top = np.where(columns, found.argmax(axis=0), height)
    bottom = np.where(columns, height - 1 - found[::-1].argmax(axis=0), -1)
    first = np.where(rows, found.argmax(axis=1), width)[:, None]
    last = np.where(rows, width - 1 - found[:, ::-1].argmax(axis=1), -1)[:, None]
    return [y >= top, y <= bottom, x >= first, x <= last]


def usable_cores() -> int:
    """Cores that this process may use (containers often allow fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
