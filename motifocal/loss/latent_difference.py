"""Weight latents in [0, 1] by how far each differs from the next, without flow.

Letters: B batch, C channels, F frames, F' latent frames, h w latents.

    weight = sigma(d / unit),    d = rms over channels of (z[f + 1] - z[f]) / s

s is the channel's standard deviation over the clip, sigma the paper's. Our reading throughout; the
paper measures optical flow. It needs no frames, so it works on latents that were cached by anyone,
and it is coarser: a latent differs where something comes as well as where it goes, and an
appearance change without motion counts as much as motion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from motifocal.loss.latent_grid import LatentGeometry, valid_mask

# The length that counts as 1, from the differences of one clip that are part of the loss, flat.
UNITS: dict[str, Callable[[Tensor, LatentSettings], Tensor]] = {
    "maximum": lambda differences, settings: differences.max(),
    "percentile": lambda differences, settings: differences.quantile(settings.percentile / 100),
    "deviations": lambda differences, settings: differences.new_ones(()),
}


@dataclass(frozen=True)
class LatentSettings:
    """How differences become weights.

    unit: a key of ``UNITS``: the clip's maximum or percentile, or a standard deviation.
    threshold: difference, in the unit, at which the weight is 0.5. On 15 drawn clips, through
        H.264 and the bundled autoencoder, 0.4 of the maximum comes nearest to what moves (IoU
        0.33); the flow's 0.05 takes almost twice its area (0.23).
    slope: of sigma; the paper's.
    floor: standard deviations; a smaller difference counts as none. Still clips with noise of +-2
        grey levels, through the same, reach 0.18.
    percentile: of the clip's differences, for that unit.
    """

    unit: str = "maximum"
    threshold: float = 0.4
    slope: float = 100.0
    floor: float = 0.25
    percentile: float = 99.0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit should be one of {sorted(UNITS)}, got {self.unit!r}")
        for name in ("slope", "threshold"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be positive, got {getattr(self, name)}")
        if not 0 <= self.floor < math.inf:
            raise ValueError(f"floor should be at least 0, got {self.floor}")
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile should be in [0, 100], got {self.percentile}")


DEFAULT_LATENT_SETTINGS = LatentSettings()


@torch.no_grad()
def latent_weight(
    latents: Tensor,
    geometry: LatentGeometry,
    frames: int,
    settings: LatentSettings = DEFAULT_LATENT_SETTINGS,
) -> Tensor:
    """Map latents (B, C, F', h, w) to weights (B, 1, F', h, w) float32 in [0, 1], clip by clip.

    Weight f belongs to the difference between latents f and f + 1; the last latent has that of the
    one before. A first latent that covers fewer frames than the later ones is coded on its own and
    differs from them even in a still clip: it takes the weight of the next, as do its copies in a
    padding. Latents that are no part of the loss (``geometry.valid_mask``) set no unit and have
    weight 0.

    Args:
        latents: of any scale and shift, as channels are normalised; not the model's own layout.
        frames: F of the clip that they stand for.

    Raises:
        ValueError: F' is not what the geometry makes of F frames, the geometry has blocks, which
            differ where nothing moves, or nan or infinity in latents.
    """
    if geometry.block_frames is not None:
        raise ValueError("latents of blocks of frames cannot be compared over time: each block "
                         f"of {geometry.block_frames} is coded anew; use a heatmap of the clip")
    count = geometry.latent_frames(frames)
    if latents.ndim != 5 or latents.shape[2] != count:
        expected = f"(B, C, {count}, h, w) for {frames} frames"
        raise ValueError(f"latents should be {expected}, got {tuple(latents.shape)}")
    if not bool(latents.isfinite().all()):
        raise ValueError("latents should be finite, got nan or infinity")
    difference = _differences(latents.float(), geometry, frames)
    valid = valid_mask(geometry, frames, latents.device).expand(1, *difference.shape[1:])[0]
    weights = torch.zeros_like(difference)
    for clip, weight in zip(difference, weights, strict=True):
        if bool(valid.any()):
            length = UNITS[settings.unit](clip[valid], settings)
            # Where nothing differs and no floor is set, any length will do: 0 stays 0.
            length = length.clamp(min=max(settings.floor / settings.threshold, 1e-12))
            x = clip[valid] / length
            weight[valid] = torch.sigmoid(settings.slope * (x - settings.threshold))
    return weights


def _differences(latents: Tensor, geometry: LatentGeometry, frames: int) -> Tensor:
    """Measure how far each latent is from the next, in standard deviations: (B, 1, F', h, w)."""
    deviation = latents.std(dim=(2, 3, 4), keepdim=True, correction=0).clamp(min=1e-12)
    steps = latents.diff(dim=2) / deviation
    differences = steps.square().mean(dim=1, keepdim=True).sqrt()
    if not differences.shape[2]:
        return torch.zeros_like(latents[:, :1])
    differences = torch.cat([differences, differences[:, :, -1:]], dim=2)
    # Padding repeats the first latent; where that one is coded otherwise, so is its difference.
    first = geometry.padding(frames)
    if geometry.temporal_stride > 1 and first + 2 < differences.shape[2]:
        first += 1
    differences[:, :, :first] = differences[:, :, first : first + 1]
    return differences
