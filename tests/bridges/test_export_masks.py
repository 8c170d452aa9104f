"""`motifocal export --as masks`: the loss weights of the very frames, as videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from export_options import latents, masks, rows_in
from square_clips import FRAMES, SIDE, square_clip, write_square_clip

from motifocal.bridges.mask_video import loss_mask, spread
from motifocal.loss.latent_grid import FAMILIES, pool
from motifocal.media.video import read_image, read_video, resize_crop
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap


def test_masks_are_the_loss_weights_of_the_very_frames(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "-o", tmp_path / "m", *masks(), "--with-clips").code == 0
    (a, b) = rows_in(tmp_path / "m" / "masks.jsonl")
    assert (a["file"], b["file"]) == ("masks/a.mp4", "masks/deep/b.mp4")
    frames = read_video(folder / "a.mp4").frames
    heat = clip_heatmap(frames)
    weight = pool(torch.from_numpy(heat), FAMILIES["wan"])
    mask, _ = load_heatmap(tmp_path / "m" / a["file"])
    assert read_video(tmp_path / "m" / a["file"]).fps == 16
    expected = loss_mask(spread(weight, FAMILIES["wan"], FRAMES))
    assert np.abs(mask - expected).max() < 0.007
    beside = read_video(tmp_path / "m" / "clips" / "a.mp4")
    assert (beside.fps, beside.frames.shape) == (16, frames.shape)
    assert np.abs(beside.frames.astype(int) - frames).mean() < 2
    texts = {row["file_name"]: row["text"] for row in rows_in(tmp_path / "m/clips/metadata.jsonl")}
    assert texts == {"a.mp4": "the square moves right", "deep/b.mp4": ""}


def test_masks_may_be_the_heatmap_itself_of_frames_picked_and_cropped(
    export: CommandLine, tmp_path: Path
) -> None:
    wide = np.concatenate([square_clip(2 * FRAMES, slower=2)] * 2, axis=2)
    clip = write_square_clip(tmp_path / "wide.mp4", wide, fps=32)
    options = [*masks(), "--fps", 16, "--values", "heat", "--unit", "pixels", "--threshold", 1]
    assert export(clip, "-o", tmp_path / "m", *options).code == 0
    cropped = resize_crop(read_video(clip).frames[::2], SIDE, SIDE)
    expected = clip_heatmap(cropped, HeatmapSettings(unit="pixels", threshold=1.0))
    mask, _ = load_heatmap(tmp_path / "m" / "masks" / "wide.mp4")
    assert np.abs(mask - expected).max() < 0.007


def test_its_own_masks_are_no_clips(export: CommandLine, folder: Path) -> None:
    for _ in range(2):
        assert export(folder, "-o", folder / "out", *masks(), "--with-clips").code == 0
        assert len(rows_in(folder / "out" / "masks.jsonl")) == 2


@pytest.mark.parametrize("kind", [latents, masks])
def test_the_filmstrip_shows_the_square_hot(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    export(folder / "a.mp4", "-o", tmp_path / "o", *kind())
    strip = read_image(tmp_path / "o" / "filmstrip.png")
    # The overlay paints heat yellow and red; the frames themselves are coloured noise on grey.
    red, green, blue = (strip[..., channel].astype(int) for channel in range(3))
    assert ((red > blue + 60) & (green < red)).mean() > 0.005


def test_no_two_clips_share_a_mask(export: CommandLine, tmp_path: Path) -> None:
    """A clip too short for the second of two lengths is not taken for another's first sample."""
    write_square_clip(tmp_path / "c" / "a.mp4")
    write_square_clip(tmp_path / "c" / "a_000.mp4", square_clip(9))
    options = [*masks(frames=9), "--frames", 17, "--trainer", "musubi"]
    assert export(tmp_path / "c", "-o", tmp_path / "m", *options).code == 0
    files = [row["file"] for row in rows_in(tmp_path / "m" / "masks.jsonl")]
    assert sorted(files) == ["masks/a_000.mp4", "masks/a_000_000.mp4", "masks/a_001.mp4"]
