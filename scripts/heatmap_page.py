"""Heatmaps by pixels and by regions, side by side, of clips drawn at random from a folder.

    .venv/bin/python scripts/heatmap_page.py CLIPS -o out/heatmaps.png

Each clip gives eight pictures: an early and a late frame, each beside what is over 0.5 in its
heatmaps by pixels, by regions, and by regions with the camera taken out, the rest darkened.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.media.video import list_videos, read_video
from motifocal.motion.heatmap import DEFAULT_SETTINGS, MOVING, Heatmap, clip_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS

SIDE = 200  # pixels
WAYS = (PIXEL_SETTINGS, DEFAULT_SETTINGS, replace(DEFAULT_SETTINGS, camera=True))


def shown(frames: Frames, heatmap: Heatmap, at: int) -> NDArray[np.uint8]:
    return np.where(heatmap[at][..., None] > MOVING, frames[at], frames[at] // 4)


def row(video: Path) -> NDArray[np.uint8]:
    """Return the eight pictures of a clip side by side."""
    frames = read_video(video).frames
    maps = [clip_heatmap(frames, settings) for settings in WAYS]
    moments = len(frames) // 5, 2 * len(frames) // 3
    pictures = [
        picture for at in moments
        for picture in (frames[at], *(shown(frames, heatmap, at) for heatmap in maps))
    ]  # fmt: skip
    return np.concatenate([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                           for p in pictures], axis=1).astype(np.uint8)  # fmt: skip


@click.command()
@click.argument("clips", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--count", type=click.IntRange(1), default=40, show_default=True)
@click.option("--seed", default=15, show_default=True, help="Of the clips that are drawn.")
def main(clips: Path, output: Path, count: int, seed: int) -> None:
    """Write one picture of heatmaps by pixels and by regions, a clip a row."""
    videos = list_videos(clips)
    order = np.random.default_rng(seed).choice(len(videos), min(count, len(videos)), replace=False)
    page = np.concatenate([row(videos[number]) for number in sorted(order)])
    output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output), page[..., ::-1])


if __name__ == "__main__":
    main()
