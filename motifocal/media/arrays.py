"""Types of images and frames in memory, and their checks.

F frames, H W pixels; RGB throughout.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: (H, W, 3) uint8 RGB.
Image: TypeAlias = NDArray[np.uint8]
#: (F, H, W, 3) uint8 RGB.
Frames: TypeAlias = NDArray[np.uint8]


def check_image(image: Image, name: str) -> None:
    """Raise ValueError unless `image` is `(H, W, 3)` uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[-1] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise ValueError(f"{name} should be (H, W, 3) uint8, got {image.shape} {image.dtype}")


def check_frames(frames: Frames, *, or_grey: bool = False) -> None:
    """Raise ValueError unless these are `(F, H, W, 3)`, or grey, uint8 with at least one pixel.

    Grey frames are `(F, H, W)`; 3 columns are taken for the colours of one image, and refused.
    """
    in_colour = frames.shape[-1:] == (3,)
    shaped = frames.ndim == 4 if in_colour else or_grey and frames.ndim == 3
    if not shaped or frames.size == 0 or frames.dtype != np.uint8:
        raise ValueError(f"frames should be (F, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
