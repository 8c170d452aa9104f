"""Latents as the LTX-2 trainer's process_videos.py saves them, and the weights beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ltx_strategies import C

from motifocal.bridges.cached_latents import WeightSummary, make_weights
from motifocal.bridges.ltx_weights import weight_jobs
from motifocal.motion.heatmap import HeatmapSettings

SETTINGS = HeatmapSettings()


def processed(
    root: Path, name: str, frames: int = 3, height: int = 2, width: int = 3, fps: float = 24.0
) -> Path:
    """Latents as process_videos.py saves them; the numbers themselves are noise."""
    path = (root / ".precomputed" / "latents" / name).with_suffix(".pt")
    path.parent.mkdir(parents=True, exist_ok=True)
    latents = torch.randn(C, frames, height, width, generator=torch.Generator().manual_seed(1))
    torch.save({"latents": latents.bfloat16(), "num_frames": frames, "height": height,
                "width": width, "fps": fps}, path)  # fmt: skip
    return path


def weighed(root: Path, settings: HeatmapSettings = SETTINGS, **options: Any) -> WeightSummary:
    return make_weights(weight_jobs(root / ".precomputed", None, settings, **options))
