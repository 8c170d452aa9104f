"""Clips and masks for runs of `motifocal heatmap`, and what tells their maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from file_stamps import stamps

from motifocal.media.video import read_video, write_video
from motifocal.motion.heatmap import DEFAULT_SETTINGS, HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap


def square_frames(step: int, height: int = 48, width: int = 64, frames: int = 4) -> np.ndarray:
    """A bright textured square moves right on grey by ``step`` pixels a frame."""
    texture = np.random.default_rng(0).integers(150, 250, (16, 16, 1), dtype=np.uint8)
    clip = np.full((frames, height, width, 3), 90, np.uint8)
    for frame in range(frames):
        clip[frame, 12:28, 8 + step * frame : 24 + step * frame] = texture
    return clip


def write_clip(path: Path, step: int = 3, fps: float = 8, **size: int) -> Path:
    """Write the frames of `square_frames` almost without loss; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, square_frames(step, **size), fps, crf=8)
    return path


def masks_for(folder: Path, *names: str) -> Path:
    """For each name an .npz of ids for a clip of `write_clip`: 1 on the left, 2 on the right."""
    ids = np.zeros((4, 48, 64), np.uint8)
    ids[:, :24, :16], ids[:, 24:, 32:] = 1, 2
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{name}.npz", mask=ids)
    return folder


def expected_map(clip: Path, settings: HeatmapSettings = DEFAULT_SETTINGS) -> np.ndarray:
    """The map that the library gives of a clip, (F, H, W)."""
    return clip_heatmap(read_video(clip).frames, settings)


def same_map(path: Path, heat: np.ndarray) -> bool:
    """Whether a file holds this map up to the rounding to eight bits."""
    return bool(np.abs(load_heatmap(path)[0] - heat).max() <= 0.5 / 255 + 1e-6)


def map_stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """The stamps of all maps and overlays."""
    return stamps(folder, ".npz", ".mp4")
