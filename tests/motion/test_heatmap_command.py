"""`motifocal heatmap`: a map for every clip, by the settings that the options say."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import CommandLine
from heatmap_runs import expected_map, same_map, square_frames, write_clip

from motifocal.cli import heatmap as command
from motifocal.cli.output.clip_table import read_table
from motifocal.media.video import count_frames, write_image
from motifocal.motion.heatmap import DEFAULT_SETTINGS, HeatmapSettings
from motifocal.motion.heatmap_files import load_heatmap


def test_every_clip_gets_the_map_that_the_library_gives(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    slow = write_clip(tmp_path / "clips/a.mp4", 1)
    fast = write_clip(tmp_path / "clips/deep/b.mp4", 4)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 0
    assert same_map(tmp_path / "maps/a.npz", expected_map(slow))
    assert same_map(tmp_path / "maps/deep/b.npz", expected_map(fast))
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == DEFAULT_SETTINGS


def test_clips_are_scaled_and_resampled_before_they_are_measured(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", 2, fps=8)
    heatmap(clip, "-o", tmp_path / "maps", "--size", "32x40", "--fps", 4)
    heat, _ = load_heatmap(tmp_path / "maps/a.npz")
    assert heat.shape == (count_frames(clip, fps=4), 32, 40) == (2, 32, 40)


def test_options_become_the_settings_that_are_kept(heatmap: CommandLine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    options = ["--unit", "percentile", "--threshold", 0.2, "--slope", 30, "--floor", 0.4]
    options += ["--percentile", 90, "--noise", 4, "--wide", "--change", 20]
    heatmap(clip, "-o", tmp_path / "maps", *options)
    wanted = HeatmapSettings("percentile", 30, 0.2, 0.4, 90, 4, sharp=False, change=20)
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == wanted
    assert same_map(tmp_path / "maps/a.npz", expected_map(clip, wanted))


def test_the_defaults_that_help_shows_are_the_library_s() -> None:
    options = {option.name: option.default for option in command.heatmap.params}
    fields = vars(DEFAULT_SETTINGS)
    assert {name: options[name] for name in fields} == fields


def test_the_mp4_format_holds_the_map_in_grey(heatmap: CommandLine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    assert heatmap(clip, "-o", tmp_path / "maps", "--format", "mp4").code == 0
    assert np.abs(load_heatmap(tmp_path / "maps/a.mp4")[0] - expected_map(clip)).max() < 0.1


def test_odd_sides_go_into_npz_but_not_into_mp4(heatmap: CommandLine, tmp_path: Path) -> None:
    for index in range(4):
        path = tmp_path / f"pictures/{index}.png"
        path.parent.mkdir(exist_ok=True)
        write_image(path, square_frames(3, 41, 63)[index])
    ended = heatmap(tmp_path / "pictures", "-o", tmp_path / "npz")  # a folder of pictures: a clip
    assert ended.code == 0
    assert load_heatmap(tmp_path / "npz/pictures.npz")[0].shape == (4, 41, 63)
    ended = heatmap(tmp_path / "pictures", "-o", tmp_path / "mp4", "--format", "mp4")
    assert ended.code == 1
    assert "pictures: an .mp4 cannot hold 63x41, add --size" in ended.err


def test_the_number_of_workers_changes_nothing(heatmap: CommandLine, tmp_path: Path) -> None:
    for index in range(3):
        write_clip(tmp_path / f"clips/{index}.mp4", index)
    threads = cv2.getNumThreads()
    found = []
    for workers in (1, 2, 7):
        heatmap(tmp_path / "clips", "-o", tmp_path / f"{workers}", "--workers", workers)
        found.append([(tmp_path / f"{workers}/{i}.npz").read_bytes() for i in range(3)])
    assert found[0] == found[1] == found[2]
    assert cv2.getNumThreads() == threads


@pytest.mark.skipif("MOTIFOCAL_SHARED" not in os.environ, reason="MOTIFOCAL_SHARED is not set")
def test_generated_clips_are_neither_all_hot_nor_all_cold(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    videos = Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos"
    clips = sorted((videos / "motif").glob("*.mp4"))[::8]
    assert heatmap(*clips, "-o", tmp_path).code == 0
    shares = [row.moving_fraction for row in read_table(tmp_path / "clips.csv").values()]
    assert len(shares) == len(clips)
    assert all(0.001 < share < 0.99 for share in shares)
