"""Optical flow becomes a motion heatmap in [0, 1] per frame, and heatmaps become files.

F frames, H W pixels. Flow is `(F-1, 2, H, W)` float32 in pixels, a heatmap `(F, H, W)` float32.

    m = sigma(|flow| / unit),    sigma(x) = 1 / (1 + exp(slope * (threshold - x)))

with slope 100 and threshold 0.05 (MotiF, arXiv 2412.16153). The paper does not say in which unit
it measures x, so the unit is a setting; docs/heatmap.md has the measurements behind the defaults.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motifocal.flow import Flow, Frames, colour_change, estimate_flow, motion_evidence
from motifocal.picture import replacing
from motifocal.video import read_video, write_video

Heatmap = NDArray[np.float32]

# The length in pixels that counts as 1, from the magnitude (F-1, H, W) of a clip's whole flow.
UNITS: dict[str, Callable[[NDArray[np.float32], HeatmapSettings], float]] = {
    "pixels": lambda magnitude, settings: 1.0,
    # The longer side, so that motion through the whole frame is 1 in landscape and in portrait.
    "fraction": lambda magnitude, settings: float(max(magnitude.shape[1:])),
    "maximum": lambda magnitude, settings: float(magnitude.max()),
    # Like the maximum, but one wrong vector does not set the unit of the whole clip.
    "percentile": lambda magnitude, settings: float(np.percentile(magnitude, settings.percentile)),
}


@dataclass(frozen=True)
class HeatmapSettings:
    """How flow becomes heat.

    unit: a key of ``UNITS``; the paper is silent.
    slope, threshold: of sigma; the paper's values.
    floor: pixels a frame; slower motion is never hot, whatever the unit. Estimators are only so
        exact, which does not depend on the size of the frame; 0 switches it off.
    percentile: of the clip's magnitudes, for the unit "percentile".
    noise: grey levels; where frames differ by less, nothing moves (``flow.motion_evidence``; only
        ``clip_heatmap`` sees the frames). 0 switches it off.
    sharp: keep to the outline of what moves; without it some 4 pixels around it are hot as well.
    change: grey levels; where colours change by more that the flow does not explain, such as a lamp
        that lights up, is hot too (``flow.colour_change``). Not in the paper; 0 switches it off.
    """

    unit: str = "maximum"
    slope: float = 100.0
    threshold: float = 0.05
    floor: float = 0.15
    percentile: float = 99.0
    noise: float = 2.5
    sharp: bool = True
    change: float = 0.0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit should be one of {sorted(UNITS)}, got {self.unit!r}")
        for name in ("slope", "threshold"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be positive, got {getattr(self, name)}")
        for name in ("floor", "noise", "change"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be at least 0, got {getattr(self, name)}")
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile should be in [0, 100], got {self.percentile}")


DEFAULT_SETTINGS = HeatmapSettings()


def motion_heatmap(
    flow: Flow,
    settings: HeatmapSettings = DEFAULT_SETTINGS,
    *,
    evidence: NDArray[np.bool_] | None = None,
    change: NDArray[np.float32] | None = None,
) -> Heatmap:
    """Flow (F-1, 2, H, W) in pixels -> heatmap (F, H, W) float32 in [0, 1].

    Map l belongs to the motion between frames l and l + 1 and lies where things are in frame l;
    the last map is that of the frame before (our reading: F frames have F - 1 flows). No flow at
    all, as of one frame, gives one cold map. Cold is sigma(0), not 0: the paper's sigma leaves
    0.7 % where nothing moves.

    Args:
        evidence: (F-1, H, W) bool from ``flow.motion_evidence``; flow counts as 0 elsewhere.
        change: (F-1, H, W) grey levels from ``flow.colour_change``; ``settings.change`` of them
            count as much as the threshold. Left out of account where that setting is 0.

    Raises:
        ValueError: on wrong shapes, or nan or infinity in the flow.
    """
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    magnitude: NDArray[np.float32] = np.hypot(flow[:, 0], flow[:, 1]).astype(np.float32)
    if not np.isfinite(magnitude).all():
        raise ValueError(f"flow should be finite, got {np.count_nonzero(~np.isfinite(flow))} not")
    if evidence is not None:
        if evidence.shape != magnitude.shape:
            raise ValueError(f"evidence should be {magnitude.shape}, got {evidence.shape}")
        magnitude = np.where(evidence, magnitude, np.float32(0))
    if not len(magnitude):
        return _sigma(np.zeros((1, *flow.shape[2:]), np.float32), settings)
    magnitude /= _unit_length(magnitude, settings)
    if change is not None and settings.change:
        if change.shape != magnitude.shape:
            raise ValueError(f"change should be {magnitude.shape}, got {change.shape}")
        per_level = np.float32(settings.threshold / settings.change)
        magnitude = np.maximum(magnitude, change * per_level)
    heatmap = _sigma(magnitude, settings)
    return np.concatenate([heatmap, heatmap[-1:]])


def clip_heatmap(
    frames: Frames,
    settings: HeatmapSettings = DEFAULT_SETTINGS,
    *,
    method: str = "dis",
    preset: str = "medium",
    workers: int | None = None,
    adjust: Callable[[Flow], Flow] | None = None,
) -> Heatmap:
    """Frames (F, H, W, 3) uint8 RGB -> motion heatmap (F, H, W) float32 in [0, 1].

    ``method``, ``preset`` and ``workers`` go to ``flow.estimate_flow``; ``adjust`` changes the flow
    before its magnitude is taken, e.g. to remove the camera's own motion.
    """
    flow = estimate_flow(frames, method, preset=preset, workers=workers)
    change = colour_change(frames, flow) if settings.change else None
    if adjust is not None:
        flow = adjust(flow)
    evidence = None
    if settings.noise:
        evidence = motion_evidence(frames, settings.noise, sharp=settings.sharp)
    return motion_heatmap(flow, settings, evidence=evidence, change=change)


def save_heatmap(
    path: str | Path,
    heatmap: Heatmap,
    settings: HeatmapSettings | None = None,
    *,
    fps: float = 8.0,
) -> None:
    """Writes a heatmap (F, H, W) in [0, 1] with 8 bits a value, as .npz or as a grey .mp4.

    The .npz holds ``heatmap`` (F, H, W) uint8 (255 is 1) and ``settings``, JSON text. The .mp4 is
    for eyes and tools that read video: a codec changes values a little, and settings are not kept.

    Raises:
        ValueError: not (F, H, W), outside [0, 1] or nan, another suffix, odd size for .mp4.
    """
    path = Path(path)
    if heatmap.ndim != 3 or not heatmap.size:
        raise ValueError(f"heatmap should be (F, H, W), got {heatmap.shape}")
    if not ((heatmap >= 0) & (heatmap <= 1)).all():
        raise ValueError(
            f"heatmap should be in [0, 1], got values from {heatmap.min()} to {heatmap.max()}"
        )
    grey = np.rint(heatmap * 255).astype(np.uint8)
    match path.suffix.lower():
        case ".npz":
            text = json.dumps(None if settings is None else asdict(settings))
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, heatmap=grey, settings=np.array(text))
        case ".mp4":
            if heatmap.shape[1] % 2 or heatmap.shape[2] % 2:
                raise ValueError(f"heatmap should have even sides for .mp4, got {heatmap.shape}")
            write_video(path, np.repeat(grey[..., None], 3, axis=-1), fps, crf=4)
        case _:
            raise ValueError(f"path should end in .npz or .mp4, got {path}")


def load_heatmap(path: str | Path) -> tuple[Heatmap, HeatmapSettings | None]:
    """Reads what ``save_heatmap`` wrote: heatmap (F, H, W) float32 in [0, 1] and its settings.

    A grey video of any origin is read as well; it has no settings. No pickle is ever loaded.

    Raises:
        ValueError: another suffix, a damaged file, an .npz without a uint8 (F, H, W) ``heatmap``
            or with unknown settings. FileNotFoundError: no such .npz.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".npz":
            arrays = _read_npz(path)
            if "heatmap" not in arrays:
                raise ValueError(f"{path} should hold an array 'heatmap', got {list(arrays)}")
            grey = arrays["heatmap"]
            settings = _parse_settings(path, str(arrays.get("settings", "null")))
        case ".mp4":
            grey, settings = read_video(path).frames.mean(-1).round().astype(np.uint8), None
        case _:
            raise ValueError(f"path should end in .npz or .mp4, got {path}")
    if grey.ndim != 3 or grey.dtype != np.uint8:
        raise ValueError(
            f"{path}: heatmap should be (F, H, W) uint8, got {grey.shape} {grey.dtype}"
        )
    return grey.astype(np.float32) / np.float32(255), settings


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is no .npz file, or was cut short")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as stored:
                return dict(stored)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def _parse_settings(path: Path, text: str) -> HeatmapSettings | None:
    values = json.loads(text)
    if values is None:
        return None
    known = [field.name for field in fields(HeatmapSettings)]
    if not isinstance(values, dict) or not set(values) <= set(known):
        raise ValueError(f"{path}: settings should have the keys {known}, got {text}")
    return HeatmapSettings(**values)


def _unit_length(magnitude: NDArray[np.float32], settings: HeatmapSettings) -> np.float32:
    """Pixels that count as 1: the unit's, or more, so that the floor is not above the threshold."""
    length = UNITS[settings.unit](magnitude, settings)
    # Where nothing moves and no floor is set, any length will do: 0 stays 0.
    return np.float32(max(length, settings.floor / settings.threshold) or 1.0)


def _sigma(x: NDArray[np.float32], settings: HeatmapSettings) -> Heatmap:
    exponent = settings.slope * (settings.threshold - x)
    # exp(80) is still finite in float32, and 1 / exp(80) is 0 for every purpose.
    heat: Heatmap = (1 / (1 + np.exp(np.minimum(exponent, 80)))).astype(np.float32)
    return heat
