"""Types of images and frames in memory, their checks, and frames as tensors.

C channels, F frames, H W pixels; RGB throughout. Nothing here needs a decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

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


def to_tensor(frames: Frames) -> torch.Tensor:
    """Convert `(F, H, W, 3)` uint8 to `(C, F, H, W)` float32 in [-1, 1]; `to_frames` undoes it."""
    import torch

    check_frames(frames)
    # torch.tensor copies: from_numpy warns when the array cannot be written to.
    pixels = torch.tensor(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))
    return pixels.to(torch.float32) / 127.5 - 1.0


def to_frames(video: torch.Tensor) -> Frames:
    """Convert `(C, F, H, W)` float to `(F, H, W, 3)` uint8, rounded and clamped to [-1, 1].

    The exact inverse of `to_tensor`. Raises ValueError for another shape and for NaN.
    """
    if video.ndim != 4 or video.shape[0] != 3:
        raise ValueError(f"video should be (3, F, H, W), got {tuple(video.shape)}")
    values = video.detach().float().cpu()
    if bool(values.isnan().any()):
        raise ValueError("video should hold numbers, got NaN")
    pixels: Frames = ((values + 1.0) * 127.5).round().clamp(0, 255).byte().numpy()
    return np.ascontiguousarray(pixels.transpose(1, 2, 3, 0))
