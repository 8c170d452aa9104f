"""Overlay motion heatmaps on their frames, to see at a glance what moves.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, a heatmap `(F, H, W)` float in [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, check_frames
from motifocal.media.sheet import evenly_spaced, in_row
from motifocal.motion.heatmap import MOVING, Heatmap

_TINT = 0.55  # opacity of full heat: what is under it has to stay recognisable
_GREY, _DARK = 0.65, 0.7  # the picture steps back behind the tint
_OUTLINE = (90, 255, 255)  # in no part of the colour map
_GAP, _WHITE = 4, (255, 255, 255)  # pixels between the images of a strip, and their colour


def heatmap_overlay(frames: Frames, heatmap: Heatmap) -> Frames:
    """Lay a heatmap (F, H, W) in [0, 1] over (F, H, W, 3) uint8: images (F, H, W, 3) uint8.

    The picture is greyed and darkened, heat lies on it from black over red to yellow, a light
    outline runs around what moves (above 0.5), and the bar on the bottom edge is as long as the
    moving fraction of the frame.

    Raises:
        ValueError: shapes that do not fit, a heatmap outside [0, 1] or with nan.
    """
    check_frames(frames)
    if heatmap.shape != frames.shape[:3]:
        raise ValueError(f"heatmap should be {frames.shape[:3]}, got {heatmap.shape}")
    if not ((heatmap >= 0) & (heatmap <= 1)).all():
        raise ValueError(
            f"heatmap should be in [0, 1], got values from {heatmap.min()} to {heatmap.max()}"
        )
    return np.stack([_overlay(*pair) for pair in zip(frames, heatmap, strict=True)])


def filmstrip(frames: Frames, heatmap: Heatmap, columns: int = 6) -> NDArray[np.uint8]:
    """Draw (H', W', 3) uint8: frames spread over the clip, and below each its overlay.

    Takes ``columns`` frames from the first to the last, or all where there are fewer.
    """
    if columns < 1:
        raise ValueError(f"columns should be at least 1, got {columns}")
    check_frames(frames)
    chosen = evenly_spaced(len(frames), columns)
    above, below = (in_row(images[chosen], _GAP, _WHITE)
                    for images in (frames, heatmap_overlay(frames, heatmap)))
    return np.concatenate([above, np.full((_GAP, *above.shape[1:]), 255, np.uint8), below])


def _overlay(frame: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay the heatmap (H, W) over one frame (H, W, 3)."""
    picture = frame.astype(np.float32)
    grey = picture.mean(-1, keepdims=True)
    picture = _DARK * (_GREY * grey + (1 - _GREY) * picture)

    # The upper three quarters of inferno: its start is black, its end as pale as a bright picture.
    level = np.rint(heat * 200).astype(np.uint8)
    colour = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = _TINT * heat[..., None]
    mixed: NDArray[np.uint8] = np.rint((1 - opacity) * picture + opacity * colour).astype(np.uint8)

    moving = (heat > MOVING).astype(np.uint8)
    outlines, _ = cv2.findContours(moving, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mixed, outlines, -1, _OUTLINE, max(1, min(heat.shape) // 240))
    _draw_share(mixed, float(moving.mean()))
    return mixed


def _draw_share(picture: NDArray[np.uint8], share: float) -> None:
    """Draw a bar over the bottom edge: its light part is ``share`` of the width."""
    height, width, _ = picture.shape
    bar = max(2, height // 40)
    picture[-bar:] = 24
    picture[-bar:, : round(share * width)] = _OUTLINE
