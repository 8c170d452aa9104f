"""Draw a clip's thumbnail: four frames, and the same with their heatmap.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, heat `(F, H, W)` in [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np

from motifocal.media.arrays import Frames, Image
from motifocal.motion.heatmap import Heatmap
from motifocal.motion.overlay import heatmap_overlay

#: Cells of a row, and the box in pixels that a cell has to fit in.
COLUMNS, BOX = 4, 160


def spread(count: int) -> list[int]:
    """Choose which of `count` frames are shown, from first to last, repeated in short clips."""
    return [int(place) for place in np.rint(np.linspace(0, count - 1, COLUMNS))]


def sprite(frames: Frames, heat: Heatmap) -> Image:
    """Lay frames (4, H, W, 3) over the same with heatmaps (4, H, W): (2 h, 4 w, 3), cells h x w."""
    height, width = frames.shape[1:3]
    scale = min(BOX / height, BOX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = [cv2.resize(frame, size, interpolation=method) for frame in frames]
    maps = [cv2.resize(map_, size, interpolation=cv2.INTER_AREA) for map_ in heat]
    plain = np.stack(small).astype(np.uint8)
    over = heatmap_overlay(plain, np.clip(np.stack(maps), 0, 1).astype(np.float32))
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (plain, over)])
