"""Find cuts: the frames of a clip at which a new scene begins.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB.

A cut is where a frame differs from the one before far more than its neighbours do, where following
the motion does not bring the picture's structure back, and where it stays away: a flash or a lamp
that lights up changes colours, not structure, and a flash ends. Dissolves and fades are not found.

The limits were measured on 254 generated clips without cuts (3810 pairs of frames) and on 290
joints of two of them. Unlike synthetic clips, these hold flashing lights and very fast motion.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames, Image
from motifocal.motion.flow import grey_of, pad_for_dis

#: Mean difference of smoothed frames, grey levels: at the joints 22.8 or more.
LEAST_CHANGE = 12.0
#: That difference over the median of the neighbours' (plus one grey level): joints have 3.5 or
#: more, 99 % of other pairs at most 2.0.
LEAST_RATIO = 2.5
#: Correlation of structure with the frame before, its motion followed: 99 % of the joints have
#: 0.38 or less (0.56 where both clips show the same balloons), other pairs 0.51 or more, but for
#: one clip that jumps.
MOST_ALIKE = 0.5
#: Neighbours on each side whose median tells what is usual, and how long a flash may last.
_AROUND, _FLASH = 6, 4
# Standard deviations in pixels of 96: finer than the one is noise, coarser than the other is light.
_FINE, _COARSE = 1.5, 8.0


def find_cuts(frames: Frames) -> list[int]:
    """Find the first frames of new scenes in frames (F, H, W, 3), 96 pixels wide."""
    if len(frames) < 2:
        return []
    change = _changes(frames)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return [
        pair + 1
        for pair in _stands_out(change)
        if all(
            _alike(dis, frames[before], frames[after]) < MOST_ALIKE
            for before, after in _across(pair, len(frames))
        )
    ]


def _changes(frames: Frames) -> NDArray[np.float64]:
    """Return the mean difference of consecutive smoothed frames, in grey levels: (F-1,)."""
    smooth = (cv2.GaussianBlur(frame, (0, 0), _FINE) for frame in frames)
    return np.array([cv2.absdiff(after, before).mean() for before, after in pairwise(smooth)])


def _stands_out(change: NDArray[np.float64]) -> list[int]:
    """Find pairs of frames that differ far more than the pairs around them."""
    pairs = []
    for pair in np.flatnonzero(change >= LEAST_CHANGE).tolist():
        start = max(0, pair - _AROUND)
        around = np.delete(change[start : pair + _AROUND + 1], pair - start)
        usual = float(np.median(around)) if len(around) else 0.0
        if change[pair] >= LEAST_RATIO * (usual + 1):
            pairs.append(pair)
    return pairs


def _across(pair: int, count: int) -> list[tuple[int, int]]:
    """List frames before and after the gap behind `pair`, nearest first, as far as a flash."""
    return [(max(0, pair - k), min(count - 1, pair + 1 + k)) for k in range(_FLASH + 1)]


def _alike(dis: cv2.DISOpticalFlow, before: Image, after: Image) -> float:
    """Correlate two frames' structure, the earlier one moved to where the later one shows it.

    1 is the same picture, however much lighter; 0 also where there is no structure.
    """
    old, new = (pad_for_dis(grey) for grey in grey_of(np.stack([before, after])))
    flow: NDArray[Any] = dis.calc(new, old, None)  # type: ignore[call-overload]
    height, width = new.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(old, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    a, b = _structure(moved), _structure(new)
    # A thousandth of what a picture of 96 x 54 with a deviation of 15 grey levels has.
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e6))


def _structure(grey: NDArray[Any]) -> NDArray[np.float32]:
    fine = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _FINE)
    return np.asarray(fine - cv2.GaussianBlur(fine, (0, 0), _COARSE), np.float32)
