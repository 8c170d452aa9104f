"""Estimate optical flow in pixels: DIS and Farneback by OpenCV, RAFT by torch.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, flow is `(F-1, 2, H, W)` float32.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, check_frames
from motifocal.motion.raft import DEFAULT_RAFT, RaftOptions, raft_flow

Flow = NDArray[np.float32]
Part = NDArray[np.float32]  # of flow: across, or down
Grey = NDArray[np.uint8]

# Quality against time of OpenCV's Dense Inverse Search (Kroeger et al., 2016).
DIS_PRESETS: dict[str, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

@dataclass(frozen=True)
class FlowOptions:
    """What estimators go by: DIS ``preset``, RAFT ``raft``, those on the CPU ``workers``."""

    preset: str = "medium"
    raft: RaftOptions = DEFAULT_RAFT
    workers: int = 1


def estimate_flow(
    frames: Frames, method: str = "dis", *, preset: str = "medium", size: int = 0,
    raft: RaftOptions = DEFAULT_RAFT, workers: int | None = None,
) -> Flow:
    """Estimate flow between consecutive frames: (F-1, 2, H, W) float32, pixels a frame, (x, y).

    What is at (x, y) in frame l is at (x, y) + flow[l, :, y, x] in frame l + 1; x points right, y
    down. One frame gives (0, 2, H, W). The result does not depend on ``workers``.

    Args:
        frames: (F, H, W, 3) uint8 RGB, of any size from 1x1 up.
        method: a key of ``ESTIMATORS``.
        preset: for "dis" a key of ``DIS_PRESETS``.
        size: frames whose shorter side is longer than this are reduced to it first; their flow is
            brought back to H x W and to pixels of the given frames. 0 estimates at full size.
        raft: for "raft-small" and "raft-large".
        workers: threads over pairs of frames; None takes one for each core of this process.

    Raises:
        ValueError: wrong shape or type, unknown method or preset, size below 0, workers below 1.
    """
    check_frames(frames)
    if method not in ESTIMATORS:
        raise ValueError(f"method should be one of {sorted(ESTIMATORS)}, got {method!r}")
    if size < 0:
        raise ValueError(f"size should be at least 0, got {size}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers should be at least 1, got {workers}")
    options = FlowOptions(preset, raft, workers or usable_cores())
    flow = ESTIMATORS[method](reduced_frames(frames, size), options)
    return resized_flow(flow, *frames.shape[1:3])


def reduced_frames(frames: Frames, size: int) -> Frames:
    """Reduce frames to a shorter side of at most ``size`` pixels, averaging over the area."""
    height, width = frames.shape[1:3]
    shorter = min(height, width)
    if not size or shorter <= size:
        return frames
    to = (round(width * size / shorter), round(height * size / shorter))
    small = [cv2.resize(frame, to, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.array(small, np.uint8)


def resized_flow(flow: Flow, height: int, width: int) -> Flow:
    """Bring flow to another size and to that size's pixels: (F-1, 2, height, width)."""
    if flow.shape[2:] == (height, width):
        return flow
    # Flow is smooth: where it is reduced, samples of it will do.
    method = cv2.INTER_LINEAR if width > flow.shape[3] else cv2.INTER_NEAREST
    scale = np.array([width / flow.shape[3], height / flow.shape[2]], np.float32)
    large = np.empty((len(flow), 2, height, width), np.float32)
    for vectors, here in zip(flow, large, strict=True):
        for part, large_part, factor in zip(vectors, here, scale, strict=True):
            cv2.resize(part, (width, height), dst=large_part, interpolation=method)
            large_part *= factor
    return large


def lengths(x: Part, y: Part, out: Part | None = None) -> Part:
    """Return sqrt(x² + y²), float32: the same bits wherever the arrays lie in memory.

    ``cv2.magnitude`` rounds by the address of an array, and ``np.hypot`` takes four times as long.
    """
    squares = np.multiply(x, x, out=out)
    squares += y * y
    return np.sqrt(squares, out=squares)


def _dis(frames: Frames, options: FlowOptions) -> Flow:
    """Estimate flow by Dense Inverse Search."""
    if options.preset not in DIS_PRESETS:
        raise ValueError(f"preset should be one of {sorted(DIS_PRESETS)}, got {options.preset!r}")
    own = threading.local()  # one estimator a thread: it holds buffers and is not thread safe

    def pair(before: Grey, after: Grey) -> NDArray[Any]:
        if not hasattr(own, "dis"):
            own.dis = _dis_estimator(options.preset, *before.shape)
        vectors: NDArray[Any] = own.dis.calc(before, after, None)
        return vectors

    return _of_pairs(frames, pair, options.workers)


def _dis_estimator(preset: str, height: int, width: int) -> cv2.DISOpticalFlow:
    """Make an estimator for pictures of one size, whose flow is that of the pair alone.

    Where a picture has fewer levels than the preset leaves out, OpenCV chooses others in the first
    call, and again in the second from what the first has left.
    """
    dis = cv2.DISOpticalFlow.create(DIS_PRESETS[preset])
    patch = dis.getPatchSize()
    coarsest = min(int(math.log2(max(height, width) / (4 * patch)) + 0.5),
                   int(math.log2(min(height, width) / patch)))  # fmt: skip
    if coarsest < dis.getFinestScale():
        dis.setFinestScale(max(coarsest - 2, 0))
    return dis


def _farneback(frames: Frames, options: FlowOptions) -> Flow:
    """Estimate flow by polynomial expansion (Farneback, 2003): 15-pixel windows, five levels."""

    def pair(before: Grey, after: Grey) -> NDArray[Any]:
        vectors: NDArray[Any] = cv2.calcOpticalFlowFarneback(
            before, after, np.empty((*before.shape, 2), np.float32), pyr_scale=0.5, levels=5,
            winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0,
        )  # fmt: skip
        return vectors

    return _of_pairs(frames, pair, options.workers)


def _of_pairs(frames: Frames, pair: Callable[[Grey, Grey], NDArray[Any]], workers: int) -> Flow:
    """Estimate (F-1, 2, H, W) by a function of two grey images to (H, W, 2), pairs in parallel."""
    count, height, width, _ = frames.shape
    grey = [pad_for_dis(image) for image in grey_of(frames)]
    flow = np.empty((count - 1, 2, height, width), np.float32)

    def fill(first: int) -> None:
        vectors = pair(grey[first], grey[first + 1])
        flow[first] = vectors[:height, :width].transpose(2, 0, 1)

    if count > 1:
        # OpenCV lets go of the interpreter lock, so threads do run side by side.
        with ThreadPoolExecutor(min(workers, count - 1)) as pool:
            list(pool.map(fill, range(count - 1)))
    return flow


def _raft(network: str) -> Estimator:
    return lambda frames, options: raft_flow(frames, network, options.raft)


Estimator = Callable[[Frames, FlowOptions], Flow]
ESTIMATORS: dict[str, Estimator] = {
    "dis": _dis,
    "farneback": _farneback,
    "raft-small": _raft("raft-small"),
    "raft-large": _raft("raft-large"),
}


def grey_of(frames: Frames) -> list[Grey]:
    """Return the luma of frames (F, H, W, 3), or of grey ones (F, H, W): (H, W) uint8 each."""
    return list(frames) if frames.ndim == 3 else [
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False) for frame in frames
    ]


def pad_for_dis(grey: Grey) -> Grey:
    """Repeat the last row and column of (H, W) until OpenCV's DIS can work on the picture.

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


def usable_cores() -> int:
    """Count the cores that this process may use (containers often allow fewer than there are)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to one thread inside the block; it would start one for each core."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
