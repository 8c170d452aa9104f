"""Cameras whose motion is known, and clips that they film."""

from __future__ import annotations

import cv2
import numpy as np
from sliding_clips import texture

from motifocal.motion.camera import camera_flow

REST = np.eye(3)
SIZE = 96
CAMERAS = {
    "pan": (3.0, -1.5, 1.0, 0.0),
    "slow pan": (0.2, 0.1, 1.0, 0.0),
    "long pan": (-14.0, 0.0, 1.0, 0.0),
    "zoom in": (0.0, 0.0, 1.03, 0.0),
    "zoom out": (0.0, 0.0, 0.98, 0.0),
    "roll": (0.0, 0.0, 1.0, 0.02),
    "all of them": (2.0, 1.0, 1.02, -0.01),
}
TILTED = np.array([[1.01, 0.03, 1.0], [-0.02, 1.02, -2.0], [4e-4, -3e-4, 1.0]])
SHEARED = np.array([[1.03, 0.05, 1.0], [-0.01, 0.98, -2.0], [0.0, 0.0, 1.0]])


def camera_matrix(
    x: float, y: float, zoom: float, roll: float, height: int = SIZE, width: int = SIZE
) -> np.ndarray:
    """Zoom and roll about the picture's centre, then a shift: (3, 3)."""
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -np.degrees(roll), zoom)
    return np.vstack([turn + np.array([[0, 0, x], [0, 0, y]]), [0, 0, 1]])


def filmed(picture: np.ndarray, step: np.ndarray, frames: int, size: int) -> np.ndarray:
    """The middle of a larger picture, `size` pixels wide, seen by a camera that moves by `step`."""
    margin = (picture.shape[0] - size) / 2
    whole = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    clip = []
    for _ in range(frames):
        clip.append(cv2.warpPerspective(picture, whole, (size, size), flags=cv2.INTER_CUBIC))
        whole = step @ whole
    return np.array(clip, np.uint8)


def with_object(frames: np.ndarray, side: int, start: int, step: int) -> np.ndarray:
    """A textured square that slides right and down over the clip."""
    clip = frames.copy()
    for index, frame in enumerate(clip):
        at = start + step * index
        frame[at : at + side, at : at + side] = texture(side, side, seed=9)
    return clip


def panned(seed: int, step: np.ndarray = TILTED) -> np.ndarray:
    """Four frames of a resting texture, (4, SIZE, SIZE, 3), under a camera that moves by `step`."""
    return filmed(texture(2 * SIZE, 2 * SIZE, seed), step, 4, SIZE)


def camera_error(cameras: np.ndarray, truth: np.ndarray, size: int = SIZE) -> float:
    """Mean distance in pixels between what the cameras and the true one do to the picture."""
    field = camera_flow(cameras, size, size) - camera_flow(truth[None], size, size)
    return float(np.hypot(field[:, 0], field[:, 1]).mean())
