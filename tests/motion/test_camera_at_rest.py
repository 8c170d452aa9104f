"""A camera is exactly the identity where most of the picture rests or agrees on nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from camera_clips import REST, SIZE, camera_error, camera_matrix, with_object
from hypothesis import given, settings
from hypothesis import strategies as st
from sliding_clips import texture
from steady import steady

from motifocal.media.video import read_video, write_video
from motifocal.motion.camera import camera_flow, fit_camera, textured
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage


def test_no_motion_is_exactly_the_identity() -> None:
    flow = np.zeros((4, 2, SIZE, 2 * SIZE), np.float32)
    assert np.array_equal(fit_camera(flow), np.repeat(REST[None], 4, axis=0))


@settings(steady, max_examples=60)
@given(
    x=st.floats(-20, 20),
    y=st.floats(-20, 20),
    left=st.integers(0, 44),
    top=st.integers(0, 44),
    grows=st.booleans(),
)
def test_an_object_over_30_percent_leaves_a_resting_camera_at_rest(
    x: float, y: float, left: int, top: int, grows: bool
) -> None:
    flow = np.zeros((1, 2, SIZE, SIZE), np.float32)
    inside = flow[:, :, top : top + 52, left : left + 52]
    inside[:] = np.array([x, y], np.float32)[:, None, None]
    if grows:
        inside += camera_flow(camera_matrix(0, 0, 1.1, 0, 52, 52)[None], 52, 52)
    assert np.array_equal(fit_camera(flow)[0], REST)


def test_what_fills_the_middle_is_an_object_as_long_as_the_rim_rests() -> None:
    flow = np.zeros((1, 2, SIZE, SIZE), np.float32)
    flow[:, :, 12:-12, 12:-12] = 4  # 9 / 16 of the picture, but not of the votes
    assert np.array_equal(fit_camera(flow)[0], REST)
    flow[:, :, :12] = 4
    assert camera_error(fit_camera(flow), camera_matrix(4, 4, 1, 0)) < 0.01


@pytest.mark.parametrize("encoded", [False, True])
def test_a_clip_that_stands_still_has_a_resting_camera(encoded: bool, tmp_path: Path) -> None:
    frames = np.repeat(texture(128, 160)[None], 5, axis=0)
    if encoded:
        write_video(tmp_path / "still.mp4", frames, fps=8)
        frames = read_video(tmp_path / "still.mp4").frames
    cameras = fit_camera(estimate_flow(frames), textured(frames))
    assert np.array_equal(cameras, np.repeat(REST[None], 4, axis=0))


@pytest.mark.parametrize("noise", [0, 2])
def test_an_object_before_a_plain_wall_moves_by_itself(noise: int) -> None:
    plain = np.full((5, 160, 160, 3), 110, np.uint8)
    frames = with_object(plain, 50, 30, 4)
    frames += np.random.default_rng(0).integers(0, 2 * noise + 1, frames.shape, np.uint8)
    flow = estimate_flow(frames)
    assert np.mean(np.hypot(flow[:, 0], flow[:, 1]) > 1) > 0.15  # more than the object moves
    assert np.array_equal(fit_camera(flow, textured(frames)), np.repeat(REST[None], 4, axis=0))


def test_flow_that_agrees_on_nothing_has_no_camera() -> None:
    flow = np.random.default_rng(0).normal(0, 4, (6, 2, SIZE, SIZE)).astype(np.float32)
    assert np.array_equal(fit_camera(flow), np.repeat(REST[None], 6, axis=0))


def test_too_few_points_have_no_camera() -> None:
    flow = np.full((3, 2, SIZE, SIZE), 4, np.float32)
    valid = np.zeros((3, SIZE, SIZE), np.bool_)
    valid[1, 40:60, 40:60] = True
    valid[2, :, : SIZE // 3] = True  # a third of the picture, whatever it says, is no majority
    assert np.array_equal(fit_camera(flow, valid), np.repeat(REST[None], 3, axis=0))
    valid[2, :, : 2 * SIZE // 3] = True
    assert camera_error(fit_camera(flow, valid)[2:], camera_matrix(4, 4, 1, 0)) < 1e-3


@pytest.mark.parametrize("scenario", ["balloons", "car", "golf", "tide"])
def test_sentences_of_the_drawn_world_move_no_camera(scenario: str) -> None:
    stage = make_stage(scenario, "train", 3)
    for action in stage.actions:
        frames = render(stage, action, size=128).frames[:6]
        cameras = fit_camera(estimate_flow(frames), textured(frames))
        assert np.array_equal(cameras, np.repeat(REST[None], 5, axis=0)), action.sentence


@pytest.mark.slow
def test_no_sentence_of_the_drawn_world_moves_a_camera_over_h264(tmp_path: Path) -> None:
    moved = []
    for scenario in SCENARIOS:
        stage = make_stage(scenario, "train", 4)
        for action in stage.actions:
            write_video(tmp_path / "a.mp4", render(stage, action, size=128).frames[:5], fps=8)
            frames = read_video(tmp_path / "a.mp4").frames
            if (fit_camera(estimate_flow(frames), textured(frames)) != REST).any():
                moved.append(action.sentence)
    assert moved == []
