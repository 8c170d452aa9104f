"""A square that moves over grass, a wall or plain grey, and where it is."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = 160
COLD = 0.01  # sigma(0) is 0.0067 with the paper's slope and threshold
BAND = 8  # pixels around a moving thing that may be hot too: flow is smooth, evidence dilated


def background(kind: str, seed: int = 0) -> np.ndarray:
    """(SIZE, SIZE) grey values: plain, or texture of the contrast of grass or of a wall."""
    if kind == "plain":
        return np.full((SIZE, SIZE), 110, np.float32)
    noise = np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0 if kind == "grass" else 6.0)
    return smooth / smooth.std() * (30 if kind == "grass" else 4) + 110


def square_over(
    kind: str, step: int = 4, frames: int = 6, noise: int = 0, size: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """A square moves right by ``step`` a frame: clip (F, H, W, 3) and where it is (F, H, W)."""
    rng = np.random.default_rng(7)
    square = background("grass", seed=1)[:size, :size] + 60
    scene, where = background(kind), np.zeros((frames, SIZE, SIZE), bool)
    clip = np.repeat(scene[None], frames, axis=0)
    for frame in range(frames):
        place = (slice(60, 60 + size), slice(30 + step * frame, 30 + step * frame + size))
        clip[frame][place] = square
        where[frame][place] = True
    clip += rng.integers(-noise, noise + 1, clip.shape)
    grey = np.clip(np.rint(clip), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), where
