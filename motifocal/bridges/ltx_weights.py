"""Make a folder of weights beside the LTX-2 trainer's precomputed latents, from their clips.

Letters: F' latent frames, h w latents. The trainer keeps ``latents/<clip>.pt`` beside
``conditions/<clip>.pt`` and loads every folder that is named to it, sample by sample; the weights
are one more such folder. It reads only .pt, with ``weights_only=True``, so that is what is written.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motifocal.bridges.cached_latents import Job, sample_weight, weight_note
from motifocal.data.selection import Selection
from motifocal.files.atomic import write_bytes
from motifocal.files.tensor_file import read_tensors
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry
from motifocal.media.codec import stream_format
from motifocal.media.picture import natural_key
from motifocal.media.video_files import VIDEO_SUFFIXES
from motifocal.motion.heatmap import HeatmapSettings

#: The folder of weights beside ``latents``, and their name in a training batch. Not "latent":
#: what has that in its name the trainer takes for latents.
FOLDER = "motion_weights"
BATCH_KEY = "motion_weights"

#: Every latent may be weighted: which ones are conditioned is drawn in each step, and the
#: trainer's own mask leaves them out.
GRID = replace(FAMILIES["ltx-2"], conditioned_first=False)

_RATE_TOLERANCE = 0.002  # of the rate; 23.976 is not 24


def data_root(root: str | Path) -> Path:
    """Return the folder that holds latents/ and conditions/: the one named or its .precomputed."""
    root = Path(root).expanduser()
    inner = root / ".precomputed"
    return inner if inner.is_dir() else root


def weight_jobs(
    root: str | Path, clips: str | Path | None, settings: HeatmapSettings, *,
    latents: str = "latents", grid: LatentGeometry = GRID,
) -> list[Job]:
    """Make one job for each sample of ``root``/latents.

    Args:
        root: preprocessed_data_root of the trainer's configuration.
        clips: the folder of the table that was preprocessed, from which it named its clips; by
            default the one that ``root`` lies in.
        latents: the video's latents_dir in the configuration.
        grid: of the autoencoder, where it is not 32 x 32 x 8.

    Raises:
        ValueError: there are no latents.
    """
    root = data_root(root)
    folder = root / latents
    files = sorted(folder.rglob("*.pt"), key=natural_key)
    if not files:
        raise ValueError(f"{folder} should hold the latents of clips (*.pt), got none")
    clips = root.resolve().parent if clips is None else Path(clips)
    return list(_jobs(files, folder, root / FOLDER, clips, settings, grid))


def _jobs(
    files: list[Path], folder: Path, into: Path, clips: Path,
    settings: HeatmapSettings, grid: LatentGeometry,
) -> Iterator[Job]:  # fmt: skip
    for file in files:
        relative = file.relative_to(folder)
        target = into / relative
        done = partial(_is_done, file, target, settings, grid)
        make = partial(_make, file, target, clips, relative, settings, grid)
        yield Job(str(relative), done, make)


def _make(
    file: Path, target: Path, clips: Path, name: Path,
    settings: HeatmapSettings, grid: LatentGeometry,
) -> None:  # fmt: skip
    selection, fps = _selection(file, grid)
    if len(selection.indices) == 1:  # an image: nothing moves
        weight = torch.zeros(_shape(selection, grid), dtype=torch.float16)
    else:
        source = _clip(clips, name)
        _check_rate(source, fps)
        weight = sample_weight(source, selection, grid, settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    note = _digest(selection, grid, settings)
    buffer = io.BytesIO()  # torch.save to a file would say RuntimeError where the disk is full
    torch.save({"weight": weight, "note": note}, buffer)
    write_bytes(target, buffer.getvalue())


def _is_done(file: Path, target: Path, settings: HeatmapSettings, grid: LatentGeometry) -> bool:
    if not target.exists() or target.stat().st_mtime_ns < file.stat().st_mtime_ns:
        return False  # latents were made anew
    note = read_tensors(target).get("note")
    expected = _digest(_selection(file, grid)[0], grid, settings)
    return isinstance(note, Tensor) and torch.equal(note, expected)


def _selection(file: Path, grid: LatentGeometry) -> tuple[Selection, float | None]:
    """Return the frames and size that latents are of: the clip's first, scaled and cropped."""
    stored = read_tensors(file)
    try:
        sizes = [int(stored[name]) for name in ("num_frames", "height", "width")]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} should have num_frames, height and width") from error
    latents, height, width = sizes
    frames = grid.frames_of(latents)
    size = (height * grid.spatial_stride, width * grid.spatial_stride)
    fps = stored.get("fps")
    fps = None if fps is None else float(fps)
    return Selection(tuple(range(frames)), fps or 0.0, *size, "floor"), fps


def _shape(selection: Selection, grid: LatentGeometry) -> tuple[int, int, int]:
    latents = grid.latent_frames(len(selection.indices))
    stride = grid.spatial_stride
    return latents, selection.height // stride, selection.width // stride


def _clip(clips: Path, name: Path) -> Path:
    """Find the video below ``clips`` with latents ``name`` (any suffix); ValueError unless one."""
    videos = _videos(clips / name)
    if len(videos) == 1:
        return videos[0]
    got = ", ".join(file.name for file in videos) or "none"
    # Latents of clips outside the table's folder are named by the clips' whole path.
    root = Path(clips.resolve().anchor)
    outside = _videos(root / name) if not videos and root != clips.resolve() else []
    hint = f"; {outside[0]} is outside of the table's folder: --clips {root}" if outside else ""
    folder = (clips / name).parent
    raise ValueError(f"{folder} should hold one video named {name.stem}, got {got}{hint}")


def _videos(path: Path) -> list[Path]:
    """List the videos that are called like ``path`` but for its suffix."""
    folder = path.parent
    return [
        file
        for file in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if file.stem == path.stem and file.suffix.lower() in VIDEO_SUFFIXES
    ]


def _check_rate(clip: Path, fps: float | None) -> None:
    """Raise ValueError where the clip's rate is not that of its latents: it has changed since."""
    form = stream_format(clip)
    rate = float(form.average_rate or form.base_rate or 24)
    if fps is not None and abs(rate - fps) > _RATE_TOLERANCE * fps:
        raise ValueError(
            f"rate differs: the latents are of {fps:g} frames/s, {clip.name} has {rate:g}; "
            "process the data set anew"
        )


def _digest(selection: Selection, grid: LatentGeometry, settings: HeatmapSettings) -> Tensor:
    """Hash all that decided a weight: sha256 as (32,) uint8, as a batch takes tensors, not text."""
    note = weight_note(selection, grid, settings).encode()
    return torch.from_numpy(np.frombuffer(hashlib.sha256(note).digest(), np.uint8).copy())


def missing_weights(root: str | Path, latents: str) -> list[str]:
    """List the samples without a weight, which the trainer would silently leave out."""
    root = data_root(root)
    samples = {file.relative_to(root / latents) for file in (root / latents).rglob("*.pt")}
    weights = {file.relative_to(root / FOLDER) for file in (root / FOLDER).rglob("*.pt")}
    return sorted(map(str, samples - weights))
