"""A clip whose motion is known: a bright square that moves right."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from motifocal.media.video import write_video

SIDE, SQUARE, STEP = 128, 32, 4
FRAMES, STARTS, STOPS = 25, 8, 14  # frames; the square moves from frame 8 on and rests from 14 on


def drawn_clip(path: Path, count: int = 24, fps: float = 24.0) -> None:
    """A bright square that moves right over a textured ground, 128 x 96."""
    ground = np.random.default_rng(5).integers(40, 90, (96, 128, 3)).astype(np.uint8)
    frames = np.stack([cv2.GaussianBlur(ground, (0, 0), 2)] * count)
    for index in range(count):
        frames[index, 30:60, 10 + 3 * index : 40 + 3 * index] = (230, 200, 40)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps, crf=12)


def left_edge(frame: float) -> int:
    """Where the square is: at rest, then moving right, then at rest."""
    return round(8 + STEP * min(max(frame - STARTS, 0), STOPS - STARTS))


def square_clip(frames: int = FRAMES, slower: int = 1, side: int = SIDE) -> np.ndarray:
    """(frames, side, side, 3) uint8: a textured square on plain grey, `slower` times as slow."""
    texture = np.random.default_rng(0).integers(120, 255, (SQUARE, SQUARE, 3), dtype=np.uint8)
    clip = np.full((frames, side, side, 3), 60, np.uint8)
    for frame in range(frames):
        x = left_edge(frame / slower)
        clip[frame, SQUARE : 2 * SQUARE, x : x + SQUARE] = texture
    return clip


def write_square_clip(path: Path, clip: np.ndarray | None = None, fps: float = 16) -> Path:
    """Write the square clip, or `clip`, almost without loss; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, square_clip() if clip is None else clip, fps, crf=4)
    return path
