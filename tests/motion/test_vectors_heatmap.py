"""`--source vectors`: heatmaps from motion vectors, in the library and in the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine, command_line
from made_videos import encode
from vector_clips import ONE_BEFORE, VECTORS, corners, moving_square

from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.media.video import read_video
from motifocal.motion.heatmap import HeatmapSettings, moving_fraction
from motifocal.motion.heatmap_files import load_heatmap
from motifocal.motion.score import motion_score
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.motion.vectors import read_vector_motion


def test_maps_are_at_full_size_though_made_on_reduced_frames(tmp_path: Path) -> None:
    clip = moving_square().repeat(3, axis=1).repeat(3, axis=2)
    file = encode(tmp_path / "a.mp4", clip)
    moved = read_vector_motion(file)
    assert moved.frames.shape == (9, 160, 160, 3)
    maps = moved.heatmap(VECTORS)
    assert maps.shape == (9, 384, 384)
    truth = np.zeros((8, 384, 384), bool)
    for mask, (y, x) in zip(truth, corners(8), strict=True):
        mask[3 * y : 3 * y + 144, 3 * x : 3 * x + 144] = True
    hot = maps[:-1] > 0.5
    assert (hot & truth).sum() / (hot | truth).sum() > 0.7


@pytest.mark.parametrize("unit", ["pixels", "fraction", "maximum", "percentile"])
def test_a_unit_counts_pixels_of_the_full_frames(unit: str, tmp_path: Path) -> None:
    clip = moving_square(side=160)
    small, large = (encode(tmp_path / f"{by}.mp4", clip.repeat(by, axis=1).repeat(by, axis=2),
                           options=ONE_BEFORE) for by in (1, 2))  # fmt: skip
    # At twice the size the square moves by twice as many pixels: half of the threshold's.
    threshold = {"pixels": 3.0, "fraction": 0.02, "maximum": 0.5, "percentile": 0.5}[unit]
    settings = HeatmapSettings(source="vectors", unit=unit, threshold=threshold, noise=0)
    double = HeatmapSettings(source="vectors", unit=unit, noise=0,
                             threshold=threshold * (2 if unit == "pixels" else 1))  # fmt: skip
    first, second = (moving_fraction(read_vector_motion(file).heatmap(of)[:-1])
                     for file, of in ((small, settings), (large, double)))  # fmt: skip
    assert first > 0.05
    assert abs(first - second) < 0.03


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_what_rests_has_a_map_of_nothing(codec: str, tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(step=(0, 0)), name=codec)
    moved = read_vector_motion(file)
    assert moving_fraction(moved.heatmap(VECTORS)) == 0
    assert not moved.flow.any()


def test_one_frame_has_a_map_of_nothing(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(frames=1))
    assert moving_fraction(read_vector_motion(file).heatmap(VECTORS)) == 0


@pytest.mark.parametrize("camera", [False, True])
def test_maps_by_pixels_of_grey_frames_are_those_of_colour(camera: bool, tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square())
    settings = replace(PIXEL_SETTINGS, source="vectors", camera=camera)
    grey = read_vector_motion(file, grey=not settings.sees_colour)
    assert grey.frames.shape == (9, 128, 128)
    hot, expected = (moved.heatmap(settings) > 0.5 for moved in (grey, read_vector_motion(file)))
    assert expected.mean() > 0.05
    assert (hot != expected).mean() < 0.005
    assert all(HeatmapSettings(**sees).sees_colour
               for sees in ({"evidence": "regions"}, {"change": 12.0}))  # fmt: skip


def test_prepared_clips_take_map_and_score_from_the_vectors_of_their_file(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(), options=ONE_BEFORE)
    frames = read_video(file).frames
    clip = CaptionedClip(frames, "a square", 8.0, video=(file, range(9)))
    made, score = clip.motion(VECTORS, True)
    moved = read_vector_motion(file)
    assert np.allclose(made, moved.heatmap(VECTORS), atol=1e-6)
    assert score == motion_score(moved.flow)
    part = clip.part(slice(1, None, 3)).heatmap(VECTORS)
    expected = read_vector_motion(file, indices=[1, 4, 7]).heatmap(VECTORS)
    assert np.allclose(part, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"read from a video file"):
        CaptionedClip(frames, "drawn", 8.0).heatmap(VECTORS)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return command_line(monkeypatch, capsys)


def test_heatmap_lists_what_has_no_vectors_and_maps_the_others(
    run: CommandLine, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    good = encode(clips / "good.mp4", moving_square())
    encode(clips / "whole.mkv", moving_square(), name="ffv1")
    (clips / "cut.mp4").write_bytes(good.read_bytes()[:-2000])
    ended = run("heatmap", clips, "-o", tmp_path / "maps", "--source", "vectors", "--overlay",
                "--workers", 1)  # fmt: skip
    assert ended.code == 1
    assert "whole.mkv: its codec, ffv1, stores every frame whole" in ended.err
    assert "cut.mp4: " in ended.err
    made, settings = load_heatmap(tmp_path / "maps" / "good.npz")
    assert settings == VECTORS
    expected = read_vector_motion(good).heatmap(VECTORS)
    assert np.abs(made - expected).max() <= 0.5 / 255 + 1e-6
    assert read_video(tmp_path / "maps" / "good.overlay.mp4").frames.shape == (9, 128, 128, 3)


def test_export_and_inspect_take_vectors(run: CommandLine, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    encode(clips / "a.mp4", moving_square())
    (clips / "a.txt").write_text("a square moves")
    options = ("--source", "vectors", "--frames", 9, "--workers", 1)
    ended = run("export", clips, "-o", tmp_path / "masks", "--as", "masks", "--family", "sd",
                "--size", 128, "--values", "heat", *options)  # fmt: skip
    assert ended.code == 0, ended.err
    mask, _ = load_heatmap(tmp_path / "masks" / "masks" / "a.mp4")
    expected = moving_fraction(read_vector_motion(clips / "a.mp4").heatmap(VECTORS))
    assert abs(moving_fraction(mask) - expected) < 0.01
    run("inspect", clips, "-o", tmp_path / "report", "--size", "128x128", *options)
    (clip,) = json.loads((tmp_path / "report" / "inspect.json").read_text())["clips"]
    assert abs(clip["moving_fraction"] - expected) < 0.01
