"""Motion heatmaps of clips: hot where something moves, cold where nothing does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from grown_masks import grown
from square_over_ground import BAND, COLD, background, square_over

from motifocal.media.video import list_videos, read_video, write_video
from motifocal.motion.heatmap import DEFAULT_SETTINGS, UNITS, HeatmapSettings, clip_heatmap


@pytest.mark.parametrize("kind", ["grass", "wall", "plain"])
@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("unit", ["maximum", "percentile"])
def test_a_moving_square_is_hot_and_nothing_else_is(
    kind: str, noise: int, step: int, unit: str
) -> None:
    frames, where = square_over(kind, step, noise=noise)
    heat = clip_heatmap(frames, HeatmapSettings(unit=unit))[:-1]
    inside = where[:-1] & ~grown(~where[:-1], 3)
    assert (heat[inside] > 0.5).mean() > 0.9
    outside = ~grown(where[:-1] | where[1:], BAND)
    assert heat[outside].max() < COLD


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["grass", "wall", "plain"])
@pytest.mark.parametrize("noise", [0, 2])
def test_a_still_clip_is_all_cold_even_with_noise(unit: str, kind: str, noise: int) -> None:
    frames, _ = square_over(kind, step=0, noise=noise)
    heat = clip_heatmap(frames, HeatmapSettings(unit=unit))
    assert heat.shape == frames.shape[:3]
    assert heat.max() < COLD


def test_without_the_noise_gate_the_still_clip_would_not_be_cold() -> None:
    frames, _ = square_over("plain", step=0, noise=2)
    assert (clip_heatmap(frames, HeatmapSettings(noise=0)) > 0.5).mean() > 0.2


def test_a_still_clip_through_a_codec_is_all_cold(tmp_path: Path) -> None:
    frames, _ = square_over("wall", step=0, noise=2)
    write_video(tmp_path / "still.mp4", frames, 8, crf=26)
    heat = clip_heatmap(read_video(tmp_path / "still.mp4").frames)
    assert heat.max() < COLD


def panned() -> tuple[np.ndarray, np.ndarray]:
    """The square moves while the camera pans: clip and where the square is."""
    frames, where = square_over("grass")
    wide = background("grass", seed=5)
    for index, (frame, square) in enumerate(zip(frames, where, strict=True)):
        frame[~square] = np.repeat(np.roll(wide, -2 * index, axis=1)[..., None], 3, -1)[~square]
    return frames, where


@pytest.mark.parametrize("source", ["dis", "farneback"])
def test_a_pan_is_hot_everywhere_and_cold_once_the_camera_is_taken_out(source: str) -> None:
    frames, where = panned()
    with_camera = clip_heatmap(frames, HeatmapSettings(source=source))[:-1]
    without = clip_heatmap(frames, HeatmapSettings(source=source, camera=True))[:-1]
    far = ~grown(where[:-1] | where[1:], 12)
    assert (with_camera[far] > 0.5).mean() > 0.9
    assert (without[far] > 0.5).mean() < 0.05
    assert (without[where[:-1]] > 0.5).mean() > 0.9


def test_a_camera_that_rests_changes_nothing() -> None:
    frames, _ = square_over("grass")
    assert np.array_equal(clip_heatmap(frames), clip_heatmap(frames, HeatmapSettings(camera=True)))


@pytest.mark.parametrize("source", ["dis", "farneback"])
@pytest.mark.parametrize("size", [40, 80])
def test_the_outline_stays_where_flow_is_estimated_at_a_reduced_size(
    source: str, size: int
) -> None:
    frames, where = square_over("grass")
    heat = clip_heatmap(frames, HeatmapSettings(source=source, flow_size=size))[:-1]
    inside = where[:-1] & ~grown(~where[:-1], 3)
    assert (heat[inside] > 0.5).mean() > 0.9
    assert heat[~grown(where[:-1] | where[1:], BAND)].max() < COLD


@pytest.mark.skipif("MOTIFOCAL_SHARED" not in os.environ, reason="MOTIFOCAL_SHARED is not set")
def test_units_order_the_hot_share_of_generated_clips_as_their_lengths_do() -> None:
    clips = list_videos(Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos" / "motif")
    frames = read_video(clips[11]).frames
    share = {
        unit: (clip_heatmap(frames, HeatmapSettings(unit=unit, floor=0, noise=0)) > 0.5).mean()
        for unit in ("pixels", "maximum", "fraction")
    }
    assert share["pixels"] > share["maximum"] > share["fraction"]
    gated = (clip_heatmap(frames, DEFAULT_SETTINGS) > 0.5).mean()
    assert 0 < gated <= share["maximum"]
