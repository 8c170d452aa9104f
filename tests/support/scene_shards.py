"""Shards of drawn scenes, prepared in milliseconds."""

from __future__ import annotations

from pathlib import Path

import tiny

from motifocal.data.prepare import PrepareSettings, prepare
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import LatentGeometry
from motifocal.motion.heatmap import HeatmapSettings

HEAT = HeatmapSettings(floor=0.05, flow_size=0)  # as of the time before there were other sizes
SETTINGS = PrepareSettings(HEAT, LatentGeometry(8, 1), 4, 16)
SOURCE = SceneClips(10, "train", 16, 3, 0)
DESCRIBED = {"clips": 10}


def begin(folder: Path, **changed: object):
    arguments = {"source": SOURCE, "settings": SETTINGS, "described": DESCRIBED, **changed}
    return prepare(folder=folder, autoencoder=tiny.tiny_vae(), workers=0, **arguments)
