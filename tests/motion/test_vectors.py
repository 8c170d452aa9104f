"""`--source vectors`: the motion vectors of a file are the motion that was drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import CommandLine, command_line
from made_videos import encode
from turned import turned_on_its_side

from motifocal.data.clip_files import selection_heatmap
from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.data.resizing import cropped
from motifocal.data.selection import Selection
from motifocal.media import block_motion
from motifocal.media.video import VideoError, read_video, write_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap, motion_heatmap, moving_fraction
from motifocal.motion.heatmap_files import load_heatmap
from motifocal.motion.score import motion_score
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.motion.vectors import read_vector_motion

VECTORS = HeatmapSettings(source="vectors")
# FFmpeg does not say to which of several frames a vector refers: H.264 that has one to refer to.
ONE_BEFORE = {"bf": "0", "refs": "1"}
STEP = (6, -2)  # of the square, pixels a frame, right and up


def moving_square(frames: int = 9, side: int = 128, step: tuple[int, int] = STEP) -> np.ndarray:
    """A textured square of 48 pixels before a textured wall; it starts at (24, 56)."""
    random = np.random.default_rng(0)
    wall, square = (cv2.resize(random.integers(0, 256, (size // 8, size // 8, 3), np.uint8),
                               (size, size), interpolation=cv2.INTER_CUBIC) for size in (side, 48))
    clip = np.stack([wall] * frames)
    for frame, (y, x) in zip(clip, corners(frames, step), strict=True):
        frame[y : y + 48, x : x + 48] = square
    return clip


def corners(frames: int, step: tuple[int, int] = STEP) -> list[tuple[int, int]]:
    return [(56 + step[1] * index, 24 + step[0] * index) for index in range(frames)]


def inside_and_out(flow: np.ndarray, step: tuple[int, int] = STEP) -> tuple[np.ndarray, np.ndarray]:
    """The median flow well inside the square, and the mean length of it away from the square."""
    inside, away = [], []
    for field, (y, x) in zip(flow, corners(len(flow), step), strict=True):
        inside.append(field[:, y + 12 : y + 36, x + 12 : x + 36].reshape(2, -1))
        far = np.ones(field.shape[1:], bool)
        far[max(0, y - 24) : y + 72, max(0, x - 24) : x + 72] = False
        away.append(np.hypot(*field)[far])
    return np.median(np.concatenate(inside, 1), 1), np.concatenate(away)


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", ".mp4", ONE_BEFORE),
        ("libx264", ".mp4", {"bf": "3", "b-pyramid": "none", "b-adapt": "0", "refs": "1"}),
        ("libx264", ".mkv", {"bf": "3", "b-pyramid": "normal", "b-adapt": "0", "refs": "1"}),
        ("mpeg4", ".mp4", {"bf": "1"}),
        ("mpeg4", ".avi", {}),
        ("mpeg4", ".avi", {"bf": "1"}),
        ("mpeg2video", ".mpg", {"bf": "2"}),
        ("flv", ".flv", {}),
    ],
)  # fmt: skip
def test_vectors_are_the_motion_of_what_was_drawn(
    codec: str, suffix: str, options: dict[str, str], tmp_path: Path
) -> None:
    file = encode(tmp_path / f"a{suffix}", moving_square(), name=codec, options=options, rate=25)
    moved = read_vector_motion(file)
    assert moved.frames.shape == (9, 128, 128, 3)
    assert moved.flow.shape == (8, 2, 128, 128)
    inside, away = inside_and_out(moved.flow)
    assert np.abs(inside - STEP).max() < 0.75
    assert away.mean() < 0.3


def test_motion_past_frames_that_are_left_out_is_that_of_all_of_them(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(), options=ONE_BEFORE)
    flow = read_vector_motion(file, indices=[0, 2, 2, 5]).flow
    for field, frames, (y, x) in zip(flow, (2, 0, 3), (corners(9)[i] for i in (0, 2, 2)),
                                     strict=True):  # fmt: skip
        middle = field[:, y + 16 : y + 32, x + 16 : x + 32].reshape(2, -1)
        assert np.abs(np.median(middle, 1) - np.multiply(STEP, frames)).max() < 0.75 * frames + 1e-6
    twice = read_vector_motion(file, fps=16.0).flow  # of 8 frames/s: each frame is shown twice
    assert not twice[::2].any()
    assert np.array_equal(twice[1::2], read_vector_motion(file).flow)
    with pytest.raises(ValueError, match=r"in the order shown, got \[2, 0\]"):
        read_vector_motion(file, indices=[2, 0])


def test_past_many_frames_that_are_left_out_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = moving_square(frames=1)[0]
    file = encode(tmp_path / "a.mp4", np.stack([np.roll(wall, index, 1) for index in range(90)]))
    lengths = []

    def counted(steps: list[np.ndarray]) -> np.ndarray:
        lengths.append(len(steps))
        return chained(steps)

    chained = block_motion._chained
    monkeypatch.setattr(block_motion, "_BLOCKS_AT_ONCE", 10 * 16 * 16)  # ten frames
    monkeypatch.setattr(block_motion, "_chained", counted)
    flow = read_vector_motion(file, indices=[2, 88]).flow
    assert max(lengths) <= block_motion._MOST_AT_ONCE + 10 + 1
    monkeypatch.setattr(block_motion, "_MOST_AT_ONCE", 1000)
    assert np.array_equal(flow, read_vector_motion(file, indices=[2, 88]).flow)
    assert max(lengths) == 86


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


def test_a_wild_vector_does_not_make_the_others_cold() -> None:
    flow = np.zeros((1, 2, 100, 100), np.float32)
    flow[0, 0, :20] = 3
    flow[0, 0, 0, :5] = 90
    cut = block_motion.shortened(flow)
    assert abs(cut.max() - 3) < 1e-5
    assert np.allclose(cut[0, :, 1:], flow[0, :, 1:])
    assert moving_fraction(motion_heatmap(cut)) == 0.2


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


def test_how_many_frames_are_summed_up_at_once_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = encode(tmp_path / "a.avi", moving_square(frames=18, step=(3, -1)), name="mpeg4",
                  options={"bf": "1"})  # fmt: skip
    flow = read_vector_motion(file).flow
    monkeypatch.setattr(block_motion, "_BLOCKS_AT_ONCE", 1)
    assert np.array_equal(flow, read_vector_motion(file).flow)


def test_one_frame_has_a_map_of_nothing(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(frames=1))
    assert moving_fraction(read_vector_motion(file).heatmap(VECTORS)) == 0


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels", "reason"),
    [
        ("ffv1", ".mkv", "yuv420p", "its codec, ffv1, stores every frame whole"),
        ("mjpeg", ".avi", "yuvj420p", "its codec, mjpeg, stores every frame whole"),
        ("libvpx-vp9", ".webm", "yuv420p", "FFmpeg gives no motion vectors of its codec, vp9"),
    ],
)  # fmt: skip
def test_a_codec_without_vectors_is_named_with_what_to_use(
    codec: str, suffix: str, pixels: str, reason: str, tmp_path: Path
) -> None:
    file = encode(tmp_path / f"a{suffix}", moving_square(), name=codec, pixels=pixels)
    with pytest.raises(VideoError, match=f"{reason}.*; use --source dis$"):
        read_vector_motion(file)


def test_pictures_have_no_vectors(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", moving_square(), 8)
    with pytest.raises(VideoError, match=r"images have no motion vectors; use --source dis"):
        read_vector_motion(tmp_path / "a.gif")


def test_frames_alone_have_no_vectors() -> None:
    with pytest.raises(ValueError, match=r"read from a video file"):
        clip_heatmap(moving_square(), VECTORS)


def test_vectors_turn_with_the_frames_that_a_file_says_to_turn(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(), options=ONE_BEFORE)
    upright = read_vector_motion(file)
    turned_on_its_side(file, 128)
    turned = read_vector_motion(file)
    for turns in (1, 3):
        if np.array_equal(np.rot90(upright.frames, turns, (1, 2)), turned.frames):
            break
    else:
        raise AssertionError("the frames should be turned by a quarter")
    x, y = np.rot90(upright.flow, turns, (2, 3)).transpose(1, 0, 2, 3)
    expected = (y, -x) if turns == 1 else (-y, x)
    assert np.array_equal(np.stack(expected, 1), turned.flow)


@pytest.mark.parametrize("resize", ["cover", "stretch", "floor"])
def test_a_crop_has_the_motion_that_is_seen_in_it(resize: str, tmp_path: Path) -> None:
    file = encode(tmp_path / "a.mp4", moving_square(), options=ONE_BEFORE)
    selection = Selection(tuple(range(9)), 8.0, 64, 96, resize)
    moved = read_vector_motion(file, indices=selection.indices, crop=cropped(64, 96, resize))
    assert moved.frames.shape == (9, 64, 96, 3)
    assert moved.flow.shape == (8, 2, 64, 96)
    scale = (96 / 128, 64 / 128) if resize == "stretch" else (96 / 128, 96 / 128)
    top = 0 if resize == "stretch" else 16
    y, x = (round((at + 24) * by) for at, by in zip(corners(1)[0], scale[::-1], strict=True))
    middle = moved.flow[0][:, y - top - 3 : y - top + 4, x - 3 : x + 4].reshape(2, -1)
    assert np.abs(np.median(middle, 1) - np.multiply(STEP, scale)).max() < 0.75
    moved = read_vector_motion(file, indices=selection.indices, crop=cropped(64, 96, resize))
    again = selection_heatmap(file, selection, VECTORS)
    assert np.allclose(again, moved.heatmap(VECTORS), atol=1e-6)


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
