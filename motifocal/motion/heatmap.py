"""Turn optical flow into a motion heatmap in [0, 1] per frame, and measure how much of it moves.

F frames, H W pixels. Flow is `(F-1, 2, H, W)` float32 in pixels, a heatmap `(F, H, W)` float32.

    m = sigma(|flow| / unit),    sigma(x) = 1 / (1 + exp(slope * (threshold - x)))

with slope 100 and threshold 0.05 (MotiF, arXiv 2412.16153). The paper does not say in which unit
it measures x, so the unit is a setting; docs/heatmap.md has the measurements behind the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.motion.background import regions_beside_camera
from motifocal.motion.camera import own_motion
from motifocal.motion.change import colour_change, motion_evidence
from motifocal.motion.flow import Flow, estimate_flow, lengths
from motifocal.motion.regions import moving_regions
from motifocal.motion.settings import (
    DEFAULT_SETTINGS,
    UNITS,
    VECTORS,
    HeatmapSettings,
    settings_from,
)

__all__ = [
    "DEFAULT_SETTINGS",
    "UNITS",
    "Heatmap",
    "HeatmapSettings",
    "clip_heatmap",
    "mean_moving_fraction",
    "motion_heatmap",
    "moving_fraction",
    "settings_from",
]

Heatmap = NDArray[np.float32]

# Shorter side at which change is measured where regions have the outline, pixels.
_CHANGE_SIZE = 160
MOVING = 0.5  # above it a place moves: where sigma crosses its threshold


def motion_heatmap(
    flow: Flow, settings: HeatmapSettings = DEFAULT_SETTINGS, *,
    evidence: NDArray[np.bool_] | None = None, change: NDArray[np.float32] | None = None,
) -> Heatmap:
    """Map flow (F-1, 2, H, W) in pixels to a heatmap (F, H, W) float32 in [0, 1].

    Map l belongs to the motion between frames l and l + 1 and lies where things are in frame l;
    the last map is that of the frame before (our reading: F frames have F - 1 flows). No flow at
    all, as of one frame, gives a static map, sigma(0), not 0: the paper's sigma leaves
    0.7 % where nothing moves.

    Args:
        evidence: (F-1, H, W) bool from ``evidence.motion_evidence``; flow counts as 0 elsewhere.
        change: (F-1, H, W) grey levels from ``evidence.colour_change``; ``settings.change`` of
            them count as much as the threshold. Left out of account where that setting is 0.

    Raises:
        ValueError: on wrong shapes, or nan or infinity in the flow.
    """
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    magnitude = np.empty((len(flow), *flow.shape[2:]), np.float32)
    for length, vectors in zip(magnitude, flow, strict=True):
        x, y = vectors.astype(np.float32, copy=False)
        lengths(x, y, out=length)
    if not np.isfinite(magnitude).all():
        raise ValueError(f"flow should be finite, got {np.count_nonzero(~np.isfinite(flow))} not")
    if evidence is not None:
        if evidence.shape != magnitude.shape:
            raise ValueError(f"evidence should be {magnitude.shape}, got {evidence.shape}")
        magnitude *= evidence
    if not len(magnitude):
        return _sigma(np.zeros((1, *flow.shape[2:]), np.float32), settings)[:1]
    magnitude /= _unit_length(magnitude, settings)
    if change is not None and settings.change:
        if change.shape != magnitude.shape:
            raise ValueError(f"change should be {magnitude.shape}, got {change.shape}")
        per_level = np.float32(settings.threshold / settings.change)
        for length, levels in zip(magnitude, change, strict=True):
            np.maximum(length, levels * per_level, out=length)
    return _sigma(magnitude, settings)


def clip_heatmap(
    frames: Frames, settings: HeatmapSettings = DEFAULT_SETTINGS, *, workers: int | None = None,
    device: str | None = None,
) -> Heatmap:
    """Map frames (F, H, W, 3) uint8 RGB to a motion heatmap (F, H, W) float32 in [0, 1].

    ``workers`` threads estimate the flow of DIS and Farneback, None takes one for each core; RAFT
    runs on ``device``, None takes an accelerator if there is one.

    Raises:
        ValueError: frames of another kind, the source "vectors", or what keeps RAFT from running:
            no torchvision, or no weights.
    """
    flow = clip_flow(frames, settings, workers=workers, device=device)
    return flow_heatmap(frames, flow, settings)


def clip_flow(
    frames: Frames, settings: HeatmapSettings, *, workers: int | None, device: str | None
) -> Flow:
    """Estimate flow (F-1, 2, H, W) as a heatmap's settings say; see ``clip_heatmap``."""
    if settings.source == VECTORS:
        raise ValueError("source should be an estimator for frames alone, got 'vectors', which are "
                         "read from a video file (vectors.read_vector_motion)")
    return estimate_flow(
        frames, settings.source, preset=settings.preset, size=settings.flow_size,
        raft=settings.raft(device), workers=workers,
    )  # fmt: skip


def flow_heatmap(frames: Frames, flow: Flow, settings: HeatmapSettings) -> Heatmap:
    """Map frames and their flow to the heatmap of ``clip_heatmap``."""
    own, evidence, by_regions = flow, None, settings.evidence == "regions"
    if settings.noise and by_regions:
        if settings.camera:
            own, evidence = regions_beside_camera(frames, flow, settings.noise)
        else:
            evidence = moving_regions(frames, flow, settings.noise)
    elif settings.camera:
        own, evidence = own_motion(frames, flow, settings.noise, sharp=settings.sharp)
    elif settings.noise:
        evidence = motion_evidence(frames, settings.noise, sharp=settings.sharp)
    change = None
    if settings.change:
        # Of the whole flow: what moves with the camera is where that says. Regions leave out what
        # is merely uncovered, which has changed as well.
        change = (colour_change(frames, flow, _CHANGE_SIZE, evidence) if by_regions
                  else colour_change(frames, flow))  # fmt: skip
    return motion_heatmap(own, settings, evidence=evidence, change=change)


def _unit_length(magnitude: NDArray[np.float32], settings: HeatmapSettings) -> np.float32:
    """Return the pixels that count as 1: the unit's, or more where the floor asks for it."""
    length = UNITS[settings.unit](magnitude, settings)
    # Where nothing moves and no floor is set, any length will do: 0 stays 0.
    return np.float32(max(length, settings.floor / settings.threshold) or 1.0)


def _sigma(magnitude: NDArray[np.float32], settings: HeatmapSettings) -> Heatmap:
    """Map magnitudes (F-1, H, W) to (F, H, W) in [0, 1], the last map once more."""
    heat: Heatmap = np.empty((len(magnitude) + 1, *magnitude.shape[1:]), np.float32)
    for x, here in zip(magnitude, heat, strict=False):  # a map at a time stays in the cache
        np.subtract(settings.threshold, x, out=here)
        here *= settings.slope
        # exp(80) is still finite in float32, and 1 / exp(80) is 0 for every purpose.
        np.exp(np.minimum(here, 80, out=here), out=here)
        here += 1
        np.divide(1, here, out=here)
    heat[-1] = heat[-2]
    return heat


def moving_fraction(heatmap: Heatmap) -> float:
    """Return the fraction of the area of a heatmap (F, H, W), all frames together, above 0.5."""
    return float((heatmap > MOVING).mean())


def mean_moving_fraction(fractions: Sequence[float]) -> float | None:
    """Average those of several clips, None of none: each counts once, whatever its size and length.

    A trainer draws clips, not pixels, and scales them to one size first.
    """
    return float(np.mean(fractions)) if len(fractions) else None
