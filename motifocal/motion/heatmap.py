"""Optical flow becomes a motion heatmap in [0, 1] per frame, and heatmaps become files.

F frames, H W pixels. Flow is `(F-1, 2, H, W)` float32 in pixels, a heatmap `(F, H, W)` float32.

    m = sigma(|flow| / unit),    sigma(x) = 1 / (1 + exp(slope * (threshold - x)))

with slope 100 and threshold 0.05 (MotiF, arXiv 2412.16153). The paper does not say in which unit
it measures x, so the unit is a setting; docs/heatmap.md has the measurements behind the defaults.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import tokenize
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motifocal.files.atomic import replacing
from motifocal.files.json_text import parse_json
from motifocal.media.arrays import Frames
from motifocal.media.picture import one_line
from motifocal.media.video import MAX_CLIP_BYTES, read_video, write_video
from motifocal.motion.camera import own_motion
from motifocal.motion.change import colour_change, motion_evidence
from motifocal.motion.flow import Flow, estimate_flow
from motifocal.motion.settings import (
    DEFAULT_SETTINGS,
    UNITS,
    HeatmapSettings,
    settings_from,
)

__all__ = [
    "DEFAULT_SETTINGS",
    "UNITS",
    "Heatmap",
    "HeatmapSettings",
    "clip_heatmap",
    "load_heatmap",
    "motion_heatmap",
    "read_npz",
    "save_heatmap",
    "settings_from",
]

Heatmap = NDArray[np.float32]

# The versions of .npy that NumPy writes for arrays of numbers.
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What zipfile (RuntimeError: a password is asked for), its codecs and NumPy's header raise.
_DAMAGE = (
    ValueError,
    TypeError,
    RuntimeError,
    SyntaxError,
    EOFError,
    OSError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


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
        evidence: (F-1, H, W) bool from ``evidence.motion_evidence``; flow counts as 0 elsewhere.
        change: (F-1, H, W) grey levels from ``evidence.colour_change``; ``settings.change`` of
            them count as much as the threshold. Left out of account where that setting is 0.

    Raises:
        ValueError: on wrong shapes, or nan or infinity in the flow.
    """
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    magnitude = np.hypot(flow[:, 0], flow[:, 1]).astype(np.float32, copy=False)
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
        magnitude = np.maximum(magnitude, change * per_level)
    return _sigma(magnitude, settings)


def clip_heatmap(
    frames: Frames,
    settings: HeatmapSettings = DEFAULT_SETTINGS,
    *,
    workers: int | None = None,
    device: str | None = None,
) -> Heatmap:
    """Frames (F, H, W, 3) uint8 RGB -> motion heatmap (F, H, W) float32 in [0, 1].

    ``workers`` threads estimate the flow of DIS and Farneback, None takes one for each core; RAFT
    runs on ``device``, None takes an accelerator if there is one.

    Raises:
        ValueError: frames of another kind, or what keeps RAFT from running: no torchvision, or
            no weights.
    """
    flow = estimate_flow(
        frames, settings.source, preset=settings.preset, size=settings.flow_size,
        raft=settings.raft(device), workers=workers,
    )  # fmt: skip
    # Before the camera is taken out: what moves with it is where the whole flow says.
    change = colour_change(frames, flow) if settings.change else None
    evidence = None
    if settings.camera:
        flow, evidence = own_motion(frames, flow, settings.noise, sharp=settings.sharp)
    elif settings.noise:
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
    least, most = heatmap.min(), heatmap.max()
    if not (least >= 0 and most <= 1):  # nan is neither
        raise ValueError(f"heatmap should be in [0, 1], got values from {least} to {most}")
    grey = np.rint(heatmap * 255).astype(np.uint8)
    match path.suffix.lower():
        case ".npz":
            text = json.dumps(None if settings is None else asdict(settings))
            with replacing(path) as temporary:
                _write_npz(temporary, heatmap=grey, settings=np.array(text))
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
            arrays = read_npz(path)
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
    return np.divide(grey, np.float32(255), dtype=np.float32), settings


def _write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """What ``np.savez_compressed`` writes, at zlib's level 1: a third of its time, 1/7 larger."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            # Without a date of its own: the same map gives the same bytes.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            file.writestr(entry, buffer.getbuffer(), compresslevel=1)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, without any pickle; ValueError where it is none, damaged or too large.

    A few bytes can declare terabytes: sizes are looked at before anything is allocated. What is
    stored, and the float32 that each value becomes, may take ``MAX_CLIP_BYTES`` together.
    """
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is no .npz file, or was cut short")
        try:
            with zipfile.ZipFile(file) as stored:
                members = [m for m in stored.infolist() if m.filename.endswith(".npy")]
                if sum(_needed(stored, member) for member in members) > MAX_CLIP_BYTES:
                    limit = f"{MAX_CLIP_BYTES / 2**30:g} GiB"
                    raise ValueError(f"it needs more than {limit} of memory, as stored and float32")
                return {m.filename[: -len(".npy")]: _npy(stored, m) for m in members}
        except _DAMAGE as error:
            raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def _needed(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Bytes of an array of an .npz and of float32 in its shape; ValueError if the header lies."""
    with file.open(member) as stored:
        version = np.lib.format.read_magic(stored)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} is of version {version}")
        shape, _, dtype = _HEADERS[version](stored)
        declared, held = math.prod(shape) * dtype.itemsize, member.file_size - stored.tell()
        if declared != held and not dtype.hasobject:
            raise ValueError(f"{member.filename} should hold {declared} bytes, got {held}")
    return math.prod(shape) * (dtype.itemsize + np.dtype(np.float32).itemsize)


def _npy(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with file.open(member) as stored:
        array: NDArray[Any] = np.lib.format.read_array(stored, allow_pickle=False)
    return array


def _parse_settings(path: Path, text: str) -> HeatmapSettings | None:
    try:
        values = parse_json(text)
        return None if values is None else settings_from(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _unit_length(magnitude: NDArray[np.float32], settings: HeatmapSettings) -> np.float32:
    """Pixels that count as 1: the unit's, or more, so that the floor is not above the threshold."""
    length = UNITS[settings.unit](magnitude, settings)
    # Where nothing moves and no floor is set, any length will do: 0 stays 0.
    return np.float32(max(length, settings.floor / settings.threshold) or 1.0)


def _sigma(magnitude: NDArray[np.float32], settings: HeatmapSettings) -> Heatmap:
    """Heat (F, H, W) of magnitudes (F-1, H, W), the last map once more."""
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
