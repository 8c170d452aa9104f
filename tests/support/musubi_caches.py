"""Caches as musubi-tuner's wan_cache_latents.py leaves them, and a configuration that names them.

Written from the facts of its interface: how caches are named and filled. docs/bridges.md names the
versions that were read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from motifocal.bridges.cached_latents import Job
from motifocal.bridges.musubi_cache import GRIDS, weight_jobs
from motifocal.motion.heatmap import HeatmapSettings

SETTINGS = HeatmapSettings()


def cached(
    folder: Path, stem: str, start: int, frames: int, height: int = 64, width: int = 96,
    family: str = "wan",
) -> Path:  # fmt: skip
    """A cache file as musubi-tuner names and fills it; the latents themselves are noise."""
    folder.mkdir(exist_ok=True)
    stride = GRIDS[family].spatial_stride
    sizes = (1 + (frames - 1) // 4, height // stride, width // stride)
    generator = torch.Generator().manual_seed(start)
    name = f"{stem}_{start:05d}-{frames:03d}_{width:04d}x{height:04d}_{family}.safetensors"
    tensors = {
        f"latents_{'x'.join(map(str, sizes))}_bfloat16": torch.randn(
            16, *sizes, generator=generator
        ).bfloat16(),
        "clip_bfloat16": torch.randn(1, 5, 8, generator=generator).bfloat16(),
    }
    metadata = {"architecture": family, "width": str(width), "format_version": "1.0.1"}
    save_file(tensors, folder / name, metadata)
    return folder / name


def configured(tmp_path: Path, **values: Any) -> Path:
    """A dataset_config with one data set of videos and one of pictures, as JSON."""
    videos = tmp_path / "videos"
    videos.mkdir(exist_ok=True)
    own = {
        "video_directory": str(videos),
        "cache_directory": str(tmp_path / "cache"),
        "target_frames": [9],
        "frame_extraction": "head",
        **values,
    }
    pictures = {"image_directory": str(tmp_path / "images"), "cache_directory": "elsewhere"}
    config = tmp_path / "dataset.json"
    config.write_text(json.dumps({"general": {"resolution": [96, 64], "batch_size": 2},
                                  "datasets": [pictures, own]}))  # fmt: skip
    return config


def jobs_of(config: Path, settings: HeatmapSettings = SETTINGS, family: str = "wan") -> list[Job]:
    return weight_jobs(config, family, settings)
