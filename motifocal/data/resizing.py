"""Scale and crop frames as each trainer does; they differ in rounding.

H W pixels of the source, height and width those wanted. Trainers agree on scaling without
distortion and cropping the middle, but round differently, so that their crops differ by a pixel.
A heatmap has to be cropped like the latents that it weights. Only the geometry is theirs: the
filter is ours (area when shrinking, cubic when enlarging), which moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from motifocal.media.arrays import Frames
from motifocal.media.picture import resize_crop
from motifocal.motion.vectors import Crop, Cropped


class Placement(NamedTuple):
    """A frame is scaled to height x width, then cropped from (top, left) on."""

    height: int
    width: int
    top: int
    left: int


def resized(frames: Frames, height: int, width: int, resize: str = "cover") -> Frames:
    """Scale and crop frames (F, H, W, 3) uint8 by a key of ``RESIZES``: (F, height, width, 3).

    Raises ValueError for another shape or type, a size below 1, or an unknown key.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize should be one of {sorted(RESIZES)}, got {resize!r}")
    if resize == "cover" or frames.ndim != 4 or min(height, width) < 1:
        return resize_crop(frames, height, width)  # or refused there
    place = RESIZES[resize](frames.shape[1], frames.shape[2], height, width)
    if (place.height, place.width) != frames.shape[1:3]:
        smaller = place.height < frames.shape[1] or place.width < frames.shape[2]
        method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        size = (place.width, place.height)
        frames = np.stack([cv2.resize(frame, size, interpolation=method) for frame in frames])
    kept = frames[:, place.top : place.top + height, place.left : place.left + width]
    return np.ascontiguousarray(kept, dtype=np.uint8)


def cropped(height: int, width: int, resize: str = "cover") -> Cropped:
    """Return where ``resized`` places frames, for motion vectors."""
    return lambda h, w: Crop(*RESIZES[resize](h, w, height, width), height, width)


def _cover(h: int, w: int, height: int, width: int) -> Placement:
    """Round to the nearest pixel, as ``picture.resize_crop`` does."""
    scale = max(height / h, width / w)
    tall, wide = max(height, round(h * scale)), max(width, round(w * scale))
    return Placement(tall, wide, (tall - height) // 2, (wide - width) // 2)


def _half_up(h: int, w: int, height: int, width: int) -> Placement:
    """Round halves up, as musubi-tuner does."""
    scale = max(width / w, height / h)
    tall, wide = int(h * scale + 0.5), int(w * scale + 0.5)
    return Placement(tall, wide, (tall - height) // 2, (wide - width) // 2)


def _floor(h: int, w: int, height: int, width: int) -> Placement:
    """Round the other side down, as the LTX trainers and CogVideoX's script do."""
    if w / h > width / height:
        tall, wide = height, int(w * height / h)
    else:
        tall, wide = int(h * width / w), width
    return Placement(tall, wide, (tall - height) // 2, (wide - width) // 2)


def _even(h: int, w: int, height: int, width: int) -> Placement:
    """Start the crop at the half, ties to the even number: DiffSynth-Studio, by torchvision."""
    scale = max(width / w, height / h)
    tall, wide = round(h * scale), round(w * scale)
    return Placement(tall, wide, round((tall - height) / 2), round((wide - width) / 2))


def _stretch(h: int, w: int, height: int, width: int) -> Placement:
    """Distort to the size and crop nothing: finetrainers' default."""
    return Placement(height, width, 0, 0)


#: H, W of the source, wanted height and width -> placement.
RESIZES: dict[str, Callable[[int, int, int, int], Placement]] = {
    "cover": _cover,
    "half-up": _half_up,
    "floor": _floor,
    "even": _even,
    "stretch": _stretch,
}
