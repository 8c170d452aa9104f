"""What `motifocal heatmap` shows beside the maps: moving fractions, a table, overlays, a strip."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from doctor_clips import pan, save
from heatmap_runs import expected_map, map_stamps, write_clip

from motifocal.cli.output.clip_table import read_table
from motifocal.media.video import read_image, read_video


def test_moving_fractions_are_printed_for_each_clip_and_their_mean_counts_each_clip_once(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    small = write_clip(tmp_path / "clips/a.mp4", 3)
    large = write_clip(tmp_path / "clips/b.mp4", 0, height=96, width=128)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    hot = (expected_map(small) > 0.5).mean()
    assert 0.05 < hot < 0.5
    assert (expected_map(large) > 0.5).mean() == 0
    assert re.findall(r"^ *([\d.]+)%  (\S+)$", ended.out, re.MULTILINE) == [
        (f"{100 * hot:.1f}", str(tmp_path / "maps/a.npz")),
        ("0.0", str(tmp_path / "maps/b.npz")),
    ]
    # b has four times the area, and still counts as much as a.
    assert f"2 clips: moving fraction mean {hot / 2:.1%}" in ended.err
    assert "nothing moves in 1, more than half in 0" in ended.err
    table = read_table(tmp_path / "maps/clips.csv")
    assert table[str(small)].moving_fraction == pytest.approx(hot)
    row = table[str(large)]
    assert (row.frames, row.height, row.width) == (4, 96, 128)


def test_the_table_has_the_moving_fraction_under_its_earlier_name_too_and_older_tables_are_read(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clips/a.mp4", 3)
    heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    path = tmp_path / "maps/clips.csv"
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row["hot"] == row["moving_fraction"] != ""
    older = [name for name in row if name != "moving_fraction"]
    lines = [",".join(older), ",".join(row[name] for name in older)]
    path.write_text("\n".join(lines) + "\n")
    assert read_table(path)[str(clip)].moving_fraction == float(row["hot"])
    assert "1 clip (1 done before)" in heatmap(tmp_path / "clips", "-o", tmp_path / "maps").err


def test_clips_that_move_all_over_lead_to_the_option_that_takes_the_camera_out(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    save(tmp_path / "clips/a.mp4", pan(1, 6))
    hint = "more than half in 1; if the camera moves, try --camera"
    assert hint in heatmap(tmp_path / "clips", "-o", tmp_path / "maps").err
    assert "try --camera" not in heatmap(tmp_path / "clips", "-o", tmp_path / "own", "--camera").err


def test_overlays_lie_beside_the_maps_and_can_be_asked_for_later(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", fps=12)
    heatmap(clip, "-o", tmp_path / "maps")
    before = map_stamps(tmp_path / "maps")
    heatmap(clip, "-o", tmp_path / "maps", "--overlay")
    after = map_stamps(tmp_path / "maps")
    assert after["a.npz"] == before["a.npz"]
    overlay = read_video(tmp_path / "maps/a.overlay.mp4")
    assert overlay.fps == 12
    assert overlay.frames.shape == (4, 48, 64, 3)
    inside, outside = overlay.frames[0, 16:24, 12:20], overlay.frames[0, 34:40, 40:60]
    assert inside[..., 0].mean() > inside[..., 2].mean() + 40  # hot is orange
    assert np.ptp(outside.mean(axis=(0, 1))) < 6  # cold is grey


def test_a_strip_shows_clips_from_the_least_to_the_most_hot(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    for index, step in enumerate([4, 0, 2, 0, 3, 0, 0, 1]):
        write_clip(tmp_path / f"clips/{index}.mp4", step)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert str(tmp_path / "maps/filmstrip.png") in ended.out.splitlines()
    rows = list(read_table(tmp_path / "maps/clips.csv").values())
    picture = read_image(tmp_path / "maps/filmstrip.png")
    assert picture.shape[0] > 6 * 2 * 128
    outlined = (picture == (90, 255, 255)).all(-1)  # bars and outlines of what is hot
    strips = np.array_split(outlined, 6)
    assert not strips[0].any()
    assert strips[-1].sum() > strips[3].sum() > 0
    assert min(row.moving_fraction for row in rows) == 0
