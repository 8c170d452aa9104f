"""Clips of a square whose motion the motion vectors of their files should give."""

from __future__ import annotations

import cv2
import numpy as np

from motifocal.motion.heatmap import HeatmapSettings

VECTORS = HeatmapSettings(source="vectors")
# FFmpeg does not say to which of several frames a vector refers: H.264 that has one to refer to.
ONE_BEFORE = {"bf": "0", "refs": "1"}
STEP = (6, -2)  # of the square, pixels a frame, right and up


def moving_square(frames: int = 9, side: int = 128, step: tuple[int, int] = STEP) -> np.ndarray:
    """A textured square of 48 pixels before a textured wall; it starts at (24, 56)."""
    random = np.random.default_rng(0)
    wall, square = (cv2.resize(random.integers(0, 256, (size // 8, size // 8, 3), np.uint8),
                               (size, size), interpolation=cv2.INTER_CUBIC) for size in (side, 48))
    clip = np.stack([wall] * frames)
    for frame, (y, x) in zip(clip, corners(frames, step), strict=True):
        frame[y : y + 48, x : x + 48] = square
    return clip


def corners(frames: int, step: tuple[int, int] = STEP) -> list[tuple[int, int]]:
    """The square's upper left corner in each frame, (y, x)."""
    return [(56 + step[1] * index, 24 + step[0] * index) for index in range(frames)]
