"""Write weights at latent resolution as grey videos, for trainers that multiply a loss by a mask.

Letters: F frames, H W pixels, F' latent frames, h w latents. A mask is (F, H, W) float in [0, 1].
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from einops import repeat
from numpy.typing import NDArray

from motifocal.loss.latent_grid import LatentGeometry, as_array
from motifocal.media.video import write_video

if TYPE_CHECKING:
    from torch import Tensor

# x264's lossless setting: what is left is that grey has 219 steps in a video, not 255.
LOSSLESS = 0


def spread(
    weight: Tensor | NDArray[np.float32], geometry: LatentGeometry, frames: int
) -> NDArray[np.float32]:
    """Spread a weight (1, 1, F', h, w) to (F, H, W): each latent's value on all that it covers.

    Whatever way a trainer then scales to the latents' size and length, it gets the weight back.
    """
    spans = geometry.covered_frames(frames)
    if weight.ndim != 5 or tuple(weight.shape[:3]) != (1, 1, len(spans)):
        expected = f"(1, 1, {len(spans)}, h, w)"
        raise ValueError(f"weight should be {expected}, got {tuple(weight.shape)}")
    s = geometry.spatial_stride
    pixels = repeat(as_array(weight)[0, 0], "f h w -> f (h s) (w t)", s=s, t=s)
    # Padding in front covers the frames of the first latent, and holds the same values.
    of_frame = {frame: latent for latent, span in enumerate(spans) for frame in range(*span)}
    chosen: NDArray[np.float32] = pixels[[of_frame[frame] for frame in range(frames)]]
    return chosen


def loss_mask(heat: NDArray[np.float32], motif_weight: float = 1.0) -> NDArray[np.float32]:
    """Map m' in [0, 1] to (1 + lambda m'^2) / (1 + lambda), in [1 / (1 + lambda), 1].

    A trainer whose loss is the mean of mask times squared error then minimises the motion focal
    loss divided by 1 + lambda: the same direction of every step, and with Adam the same length.
    """
    if not (math.isfinite(motif_weight) and motif_weight > 0):
        raise ValueError(f"motif_weight should be finite and above 0, got {motif_weight}")
    mask = (1 + motif_weight * np.square(heat)) / (1 + motif_weight)
    return np.asarray(mask, np.float32)


def heat_of(mask: NDArray[np.float32], motif_weight: float = 1.0) -> NDArray[np.float32]:
    """Invert ``loss_mask``: return m' in [0, 1]."""
    squared = (mask * (1 + motif_weight) - 1) / motif_weight
    return np.asarray(np.sqrt(np.clip(squared, 0, 1)), np.float32)


def write_mask(path: str | Path, mask: NDArray[np.float32], fps: float) -> None:
    """Write a mask (F, H, W) in [0, 1] as a grey .mp4; the file appears whole or not at all.

    H.264 without loss, but grey in a video has 219 steps, so a value comes back up to 0.006 off.

    Raises:
        ValueError: not (F, H, W), values outside [0, 1] or nan, an odd height or width.
    """
    if mask.ndim != 3 or not mask.size or mask.shape[1] % 2 or mask.shape[2] % 2:
        raise ValueError(f"mask should be (F, H, W) with even sides, got {mask.shape}")
    if not ((mask >= 0) & (mask <= 1)).all():
        raise ValueError(f"mask should be in [0, 1], got {mask.min()} to {mask.max()}")
    grey = np.rint(mask * 255).astype(np.uint8)
    write_video(path, np.repeat(grey[..., None], 3, axis=-1), fps, crf=LOSSLESS)
