"""The motion vectors of a video file are the motion that was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_videos import encode
from turned import turned_on_its_side
from vector_clips import ONE_BEFORE, STEP, VECTORS, corners, moving_square

from motifocal.data.clip_files import selection_heatmap
from motifocal.data.resizing import cropped
from motifocal.data.selection import Selection
from motifocal.media import block_motion
from motifocal.media.video import VideoError, write_video
from motifocal.motion.heatmap import clip_heatmap, motion_heatmap, moving_fraction
from motifocal.motion.vectors import read_vector_motion


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


def test_how_many_frames_are_summed_up_at_once_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = encode(tmp_path / "a.avi", moving_square(frames=18, step=(3, -1)), name="mpeg4",
                  options={"bf": "1"})  # fmt: skip
    flow = read_vector_motion(file).flow
    monkeypatch.setattr(block_motion, "_BLOCKS_AT_ONCE", 1)
    assert np.array_equal(flow, read_vector_motion(file).flow)


def test_a_wild_vector_does_not_make_the_others_cold() -> None:
    flow = np.zeros((1, 2, 100, 100), np.float32)
    flow[0, 0, :20] = 3
    flow[0, 0, 0, :5] = 90
    cut = block_motion.shortened(flow)
    assert abs(cut.max() - 3) < 1e-5
    assert np.allclose(cut[0, :, 1:], flow[0, :, 1:])
    assert moving_fraction(motion_heatmap(cut)) == 0.2


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
