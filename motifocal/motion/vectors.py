"""Make a heatmap from the motion vectors of a video's codec: `source="vectors"`.

F frames, H W pixels, h w pixels of reduced frames. A heatmap is `(F, H, W)` float32 in [0, 1].

They take the place of optical flow; all else is as for other sources, but on frames that are
reduced while they are converted, since at full size that takes longer than decoding.
docs/heatmap.md says what this costs and what it loses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from motifocal.media.arrays import Frames
from motifocal.media.block_motion import BlockMotion
from motifocal.media.video import DEFAULT_FPS, read_frames, read_video, stored
from motifocal.motion.flow import Flow
from motifocal.motion.heatmap import Heatmap, flow_heatmap
from motifocal.motion.settings import HeatmapSettings

# Shorter side at which heatmaps are made, pixels: IoU 0.54, 0.53 at 120 (regions: 0.68, 0.64).
_SIZE = 160


class Crop(NamedTuple):
    """Frames are scaled to `height` x `width` and cropped: `rows` x `columns` from `top`, `left`.
    """

    height: int
    width: int
    top: int
    left: int
    rows: int
    columns: int

    def scaled(self, factor: float) -> Crop:
        """Return the same of smaller frames, of one pixel or more."""
        height, width, top, left, rows, columns = (round(factor * side) for side in self)
        rows, columns = max(1, rows), max(1, columns)
        return Crop(max(height, top + rows), max(width, left + columns), top, left, rows, columns)

    def reduced(self) -> Crop:
        """Return the crop at which heatmaps are made."""
        shorter = min(self.rows, self.columns)
        return self.scaled(_SIZE / shorter) if shorter > _SIZE else self


#: (H, W) of the frames of a video -> what of them is looked at, and at which size.
Cropped: TypeAlias = Callable[[int, int], Crop]


class VectorMotion(NamedTuple):
    """Reduced frames (F, h, w, 3) uint8, or grey, and their flow (F-1, 2, h, w) in their pixels.

    `size` is the (H, W) that is asked for, `fps` that of the frames, or 0 where they were given.
    """

    frames: Frames
    flow: Flow
    size: tuple[int, int]
    fps: float

    def heatmap(self, settings: HeatmapSettings) -> Heatmap:
        """Return the motion heatmap of the frames at their size, (F, H, W)."""
        height, width = self.size
        factor = self.flow.shape[-1] / width
        small = flow_heatmap(self.frames, self.flow, _reduced(settings, factor))
        if small.shape[1:] == self.size:
            return small
        large = np.empty((len(small), height, width), np.float32)
        for map_, enlarged in zip(small, large, strict=True):
            cv2.resize(map_, (width, height), dst=enlarged)
        return large


def whole(height: int, width: int) -> Crop:
    """Take frames as they are."""
    return Crop(height, width, 0, 0, height, width)


def read_vector_motion(
    path: str | Path, *, fps: float | None = None, indices: Sequence[int] | None = None,
    crop: Cropped = whole, grey: bool = False,
) -> VectorMotion:
    """Read motion between frames from the motion vectors of a video file, decoded once.

    Where frames between two that are asked for are left out, the way over all of them is summed up.

    Args:
        fps: as in ``video.read_video``.
        indices: instead, the frames with these numbers, none before the one in front of it.
        crop: what part of the frames is looked at, at which size.
        grey: read frames as luma, for settings that see no colour.

    Raises:
        VideoError: what cannot be read, and a video without motion vectors.
    """
    crops: dict[tuple[int, int], tuple[Crop, Crop]] = {}  # those asked for, and reduced

    def shape(height: int, width: int) -> tuple[int, int]:
        if (height, width) not in crops:
            full = crop(height, width)
            crops[height, width] = full, full.reduced()
        return crops[height, width][1][:2]

    motion = BlockMotion(Path(path), shape, grey=grey)
    if indices is None:
        clip = read_video(path, fps=fps, motion=motion)
        frames, rate, flow = clip.frames, clip.fps, motion.flow()
    else:
        frames, rate = read_frames(path, indices, motion), 0.0
        flow = _repeated(motion.flow(), indices)
    # Videos whose size changes have been refused.
    full, small = next(iter(crops.values()))
    rows = slice(small.top, small.top + small.rows)
    columns = slice(small.left, small.left + small.columns)
    return VectorMotion(np.ascontiguousarray(frames[:, rows, columns]),
                        np.ascontiguousarray(flow[..., rows, columns]),
                        (full.rows, full.columns), rate)  # fmt: skip


def check_vectors(path: Path, frames: int) -> None:
    """Raise VideoError where none of a video's first frames has motion vectors, or it is none."""
    motion = BlockMotion(path, lambda height, width: whole(height, width).reduced()[:2])
    with stored(path, DEFAULT_FPS, motion) as source:
        for shot in islice(source.shots, frames):
            if motion.seen:
                return
            motion.take(shot.number)
    motion.flow()


def _repeated(flow: Flow, indices: Sequence[int]) -> Flow:
    """Put rest between frames that are repeated; `flow` is that between the others."""
    steps = np.diff(indices)
    if (steps < 0).any():
        raise ValueError(f"indices should be in the order shown, got {list(indices)}")
    whole_flow = np.zeros((len(steps), *flow.shape[1:]), np.float32)
    whole_flow[steps > 0] = flow
    return whole_flow


def _reduced(settings: HeatmapSettings, factor: float) -> HeatmapSettings:
    """Return what settings that count pixels are for frames reduced by this factor."""
    settings = replace(settings, floor=settings.floor * factor)
    if settings.unit == "pixels":
        return replace(settings, threshold=settings.threshold * factor,
                       slope=settings.slope / factor)  # fmt: skip
    return settings
