"""Write motion heatmaps as .npz files or grey videos, and read them back.

F frames, H W pixels. A heatmap is `(F, H, W)` float32 in [0, 1], 8 bits a value on disk.
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
from motifocal.files.remote import to_path
from motifocal.media.picture import one_line
from motifocal.media.video import MAX_CLIP_BYTES, read_video, write_video
from motifocal.motion.heatmap import Heatmap
from motifocal.motion.settings import HeatmapSettings, settings_from

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


def save_heatmap(
    path: str | Path, heatmap: Heatmap, settings: HeatmapSettings | None = None, *, fps: float = 8.0
) -> None:
    """Write a heatmap (F, H, W) in [0, 1] with 8 bits a value, as .npz or as a grey .mp4.

    The .npz holds ``heatmap`` (F, H, W) uint8 (255 is 1) and ``settings``, JSON text. The .mp4 is
    for eyes and tools that read video: a codec changes values a little, and settings are not kept.

    Raises:
        ValueError: not (F, H, W), outside [0, 1] or nan, another suffix, odd size for .mp4.
    """
    path = to_path(path)
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
    """Read what ``save_heatmap`` wrote: heatmap (F, H, W) float32 in [0, 1] and its settings.

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
    """Write as ``np.savez_compressed`` does, at zlib's level 1: a third of its time, 1/7 larger."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            # Without a date of its own: the same map gives the same bytes.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            file.writestr(entry, buffer.getbuffer(), compresslevel=1)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz, without pickle; ValueError where it is none, damaged, too large.

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
    """Return the bytes of an array and of float32 in its shape; ValueError if the header lies."""
    with file.open(member) as stored:
        version = np.lib.format.read_magic(stored)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} is of version {version}")
        shape, _, dtype = _HEADERS[version](stored)
        declared, stored_bytes = math.prod(shape) * dtype.itemsize, member.file_size - stored.tell()
        if declared != stored_bytes and not dtype.hasobject:
            raise ValueError(f"{member.filename} should hold {declared} bytes, got {stored_bytes}")
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
