"""Weight the loss of a training step by the motion of its clips, in any PyTorch loop.

Letters: B batch, F frames, C channels, H W pixels, F' latent frames, h w latents, N tokens.

    weights = motion_weights(frames, "wan-5b")                      # once a clip
    loss = motion_loss(prediction, target, weights, "wan-5b")       # in place of mse_loss
    loss.total.mean().backward()

For any PyTorch loop: nothing here knows of a model, an optimiser or a trainer.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor

from motifocal.loss.focal import MotionFocalLoss, check_values, motion_focal_loss
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, pool, to_layout, valid_mask
from motifocal.loss.neighbours import NEIGHBOURS

if TYPE_CHECKING:
    from motifocal.media.arrays import Frames
    from motifocal.motion.settings import HeatmapSettings


def geometry_of(family: str | LatentGeometry) -> LatentGeometry:
    """Return the latent grid of a key of ``latent_grid.FAMILIES``, or the one that is given."""
    if isinstance(family, LatentGeometry):
        return family
    if family not in FAMILIES:
        raise ValueError(f"family should be one of {', '.join(FAMILIES)}, got {family!r}")
    return FAMILIES[family]


def motion_weights(
    frames: Frames,
    family: str | LatentGeometry,
    settings: HeatmapSettings | None = None,
    *,
    workers: int | None = None,
) -> Tensor:
    """Map frames (F, H, W, 3) uint8 RGB to weights (1, 1, F', h, w) float32 in [0, 1], on the CPU.

    ``frames`` are those that the autoencoder gets: the same ones, at the same rate and size
    (``video.to_frames`` turns (C, F, H, W) in [-1, 1] into them). Join a batch with ``torch.cat``.
    Measuring estimates optical flow, so do it where the latents are made, not in every step.
    ``settings`` of None are the defaults.

    Raises:
        ValueError: a number of frames or a size that the family cannot take; the nearest numbers
            are named.
    """
    # A training step needs the loss alone: OpenCV and PyAV come with the first clip.
    from motifocal.motion.heatmap import DEFAULT_SETTINGS, clip_heatmap

    geometry = geometry_of(family)
    if frames.ndim != 4:
        raise ValueError(f"frames should be (F, H, W, 3), got {frames.shape}")
    count, height, width, _ = frames.shape
    geometry.latent_frames(count)  # refuses before anything is measured
    geometry.check_size(height, width)
    heatmap = clip_heatmap(frames, settings or DEFAULT_SETTINGS, workers=workers)
    return pool(torch.from_numpy(heatmap), geometry)


def motion_loss(
    prediction: Tensor,
    target: Tensor,
    weights: Tensor,
    family: str | LatentGeometry,
    motif_weight: float = 1.0,
    *,
    timestep_weight: Tensor | None = None,
    variant: str = "motif",
    latents: Tensor | None = None,
    clean: Tensor | None = None,
    noise_level: Tensor | None = None,
) -> MotionFocalLoss:
    """Compute every sample's motion focal loss in the model's layout, without conditioned latents.

    The result's ``total``, ``diffusion`` (the plain loss) and ``motion`` are (B,): take the mean,
    and divide by the steps of gradient accumulation as ever. With ``motif_weight`` 0 the total is
    the mean squared error bit for bit: over everything, or, where the first latent enters clean
    (Wan 2.2 5B, LTX, HunyuanVideo), over the other latents. The gradient on that latent is zero.

    Args:
        prediction: as the model returns it: Wan, HunyuanVideo (B, C, F', h, w); CogVideoX, SVD
            (B, F', C, h, w); LTX tokens (B, F' h w, C). Any dtype; the loss is made in float32.
        target: same shape.
        weights: (B, 1, F', h, w) in [0, 1] from ``motion_weights`` or a cache, on any device.
            Values are checked on the CPU only: elsewhere that would wait for the device.
        family: a key of ``loss.latent_grid.FAMILIES``. In a step that gives the model no first
            frame use ``dataclasses.replace(FAMILIES[...], conditioned_first=False)``.
        motif_weight: lambda, the paper's is 1.
        timestep_weight: (B,) or (B, 1, ...), multiplies both parts: sigma weights, min-SNR.
        variant: a key of ``loss.focal.VARIANTS``, or of ``loss.neighbours.NEIGHBOURS``.
        latents: the clean latents (B, C, F', h, w), for the variants "consistency", "drift" and
            "discrepancy".
        clean: (B,), see ``loss.neighbours.StepTensors``, for the first two.
        noise_level: (B,), see there too, for "drift".

    Raises:
        ValueError: weights of another batch, grid or layout than the prediction, or outside [0, 1];
            nothing but a conditioned latent, as of a single image.
    """
    geometry = geometry_of(family)
    if weights.ndim != 5 or weights.shape[1] != 1:
        raise ValueError(f"weights should be (B, 1, F', h, w), got {tuple(weights.shape)}")
    if target.shape != prediction.shape:
        raise ValueError(f"target should be {tuple(prediction.shape)}, got {tuple(target.shape)}")
    heatmap = to_layout(weights, geometry)
    # The channels are the only dimension in which the two may differ.
    channels = _groups(geometry).index("c")
    expected, got = list(heatmap.shape), list(prediction.shape)
    if len(got) != len(expected) or got[:channels] + got[channels + 1 :] != (
        expected[:channels] + expected[channels + 1 :]
    ):
        raise ValueError(
            f"prediction should be laid out as {geometry.layout!r} and fit weights "
            f"{tuple(weights.shape)}, got {tuple(prediction.shape)}"
        )
    if weights.device.type == "cpu":
        check_values(weights)
    heatmap = heatmap.to(prediction.device)
    axis, start = _conditioned(weights, geometry)
    if start:
        # Cut rather than masked: then the plain part is mse_loss of the same slice, bit for bit.
        prediction, target, heatmap = (
            tensor.narrow(axis, start, tensor.shape[axis] - start)
            for tensor in (prediction, target, heatmap)
        )
    if timestep_weight is not None:
        timestep_weight = timestep_weight.reshape(-1).to(prediction.device)
    if variant in NEIGHBOURS:
        # They compare frames, of which the layout has one axis.
        prediction, target = (
            rearrange(tensor, f"{geometry.layout} -> b c f h w", h=weights.shape[3],
                      w=weights.shape[4])
            for tensor in (prediction, target)
        )
        if latents is not None:
            latents = latents[:, :, -prediction.shape[2] :].to(prediction.device)
    return motion_focal_loss(
        prediction, target, None if variant in NEIGHBOURS else heatmap, weight=motif_weight,
        timestep_weight=timestep_weight, variant=variant, check=False, latents=latents,
        clean=clean, noise_level=noise_level,
    )  # fmt: skip


def _groups(geometry: LatentGeometry) -> list[str]:
    """Split the model's layout into dimensions: "b (f h w) c" -> ["b", "fhw", "c"]."""
    groups = re.findall(r"\([^)]*\)|\w", geometry.layout)
    return [re.sub(r"\W", "", group) for group in groups]


def _conditioned(weights: Tensor, geometry: LatentGeometry) -> tuple[int, int]:
    """Find the dimension of the latents' frames, and how many at its start are conditioned."""
    if not geometry.conditioned_first:
        return 0, 0
    _, _, latents, height, width = weights.shape
    # The clip of so many latents without padding; no family pads and conditions its first latent.
    frames = geometry.frames_of(latents)
    kept = valid_mask(geometry, frames)
    if kept.shape[2] != latents:
        multiple = geometry.temporal_multiple
        raise ValueError(f"latents should be a multiple of {multiple}, got {latents}")
    if not kept.any():  # the mean of nothing is nan
        raise ValueError(
            f"latents should be more than the conditioned first one, got {latents}; count it in "
            "with dataclasses.replace(geometry, conditioned_first=False)"
        )
    groups = _groups(geometry)
    axis = next(index for index, group in enumerate(groups) if "f" in group)
    if groups[axis][0] != "f":
        raise ValueError(f"layout should have f before h and w, got {geometry.layout!r}")
    sizes = {"f": 1, "h": height, "w": width}
    return axis, int((~kept).sum()) * math.prod(sizes[letter] for letter in groups[axis])
