"""How a kind of diffusers pipeline is opened, what it is given, and the format of its video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.model import Format
from motifocal.media.picture import Pixels
from motifocal.media.video import read_video

OpenKind = Callable[..., DiffusersModel]


def noise(seed: int, height: int = 40, width: int = 56) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def format_of(path: Path) -> Format:
    clip = read_video(path)
    count, height, width, _ = clip.frames.shape
    return Format(count, height, width, clip.fps)
