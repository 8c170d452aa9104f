"""Masks some pixels larger or smaller."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def grown(mask: Mask, pixels: int = 1) -> Mask:
    """The mask, (..., H, W), and so many pixels around it."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    frames = mask.reshape(-1, *mask.shape[-2:]).astype(np.uint8)
    return np.stack([cv2.dilate(frame, kernel) for frame in frames]).reshape(mask.shape) > 0


def shrunk(mask: Mask) -> Mask:
    """The mask, (H, W), without its outermost pixel."""
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
