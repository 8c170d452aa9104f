"""Measures of motion: linear in the displacement, blind to the rate, size and camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sliding_clips import drawn, moved, sliding, texture

from motifocal.bench.score import motion as motion_module
from motifocal.bench.score.motion import MOVES, SIDE, motion
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import Camera, render
from motifocal.scenes.stage import make_stage

# Things that move as a whole; glow, waves and fire have no displacement that flow could show.
RIGID = ("balloons", "bird", "car", "duck", "fish", "golf", "sun", "butterfly", "flower", "balance")


def percent(pixels: float, size: int, fps: float = 8.0) -> float:
    return 100 * fps * pixels / size


def test_motion_is_linear_in_the_displacement_and_near_it() -> None:
    steps = np.array([0.5, 1, 2, 3, 4, 6, 8])
    amounts = np.array([moved(sliding(step))["motion_amount"] for step in steps])
    true = percent(steps * 40**2 / 160**2, 160)
    assert np.abs(amounts / true - 1).max() < 0.25
    slope = (amounts @ steps) / (steps @ steps)
    assert np.abs(amounts / (slope * steps) - 1).max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("size", [128, 320])
def test_motion_tracks_the_true_displacement_of_drawn_things(size: int) -> None:
    """Estimated flow spreads a little around what moves, so the slope is above 1."""
    true, found = [], []
    for scenario in RIGID:
        for sentence in range(1 if size == 320 else 3):
            frames, pixels = drawn(scenario, 3, size, sentence)
            values = moved(frames)
            assert values["camera_motion"] == 0
            assert values["object_motion"] == values["motion_amount"]
            true.append(percent(pixels, size))
            found.append(values["motion_amount"])
    assert np.corrcoef(true, found)[0, 1] > 0.9
    assert 0.9 < np.dot(true, found) / np.dot(true, true) < 1.45


def test_more_frames_of_the_same_motion_give_the_same_amount() -> None:
    slow = moved(sliding(2, frames=9), fps=16)
    fast = moved(sliding(4, frames=5), fps=8)
    for name in ("motion_amount", "moving_share"):
        assert slow[name] == pytest.approx(fast[name], rel=0.1)


def test_twice_the_frame_rate_is_twice_the_motion() -> None:
    frames = sliding(2, pan=1)
    flow = estimate_flow(frames)
    once, twice = motion(frames, flow, 8), motion(frames, flow, 16)
    for name in ("motion_amount", "object_motion", "camera_motion"):
        assert twice[name] == pytest.approx(2 * once[name], rel=1e-9)
    assert twice["moving_share"] >= once["moving_share"] > 0


@pytest.mark.parametrize("size", [96, 160, 300])
def test_a_clip_of_twice_the_size_moves_as_much(size: int) -> None:
    frames, _ = drawn("car", 3, size)
    doubled = np.array([cv2.resize(frame, (2 * size, 2 * size)) for frame in frames], np.uint8)
    once, twice = moved(frames), moved(doubled)
    for name in ("motion_amount", "object_motion", "moving_share"):
        assert twice[name] == pytest.approx(once[name], rel=0.15)


def test_the_shorter_side_is_the_unit_of_length() -> None:
    square = sliding(3, size=160)
    wide = np.concatenate([square, np.repeat(square[:1, :, :60], len(square), axis=0)], axis=2)
    tall = wide.transpose(0, 2, 1, 3)
    assert wide.shape[1:3] == (160, 220)
    amounts = [moved(np.ascontiguousarray(clip))["motion_amount"] for clip in (square, wide, tall)]
    assert amounts[1] == pytest.approx(amounts[0] * 160 / 220, rel=0.1)
    assert amounts[2] == pytest.approx(amounts[1], rel=0.1)


@pytest.mark.parametrize("camera", ["left", "down", "in", "out"])
@pytest.mark.parametrize(("scenario", "size"), [("fish", 128), ("flower", 128), ("fish", 320)])
def test_a_camera_alone_moves_no_object(scenario: str, size: int, camera: Camera) -> None:
    clip = render(make_stage(scenario, "train", 0), None, size=size, camera=camera, with_flow=True)
    assert clip.flow is not None
    values = moved(clip.frames[:6])
    true = percent(float(np.hypot(clip.flow[:5, 0], clip.flow[:5, 1]).mean()), size)
    assert values["motion_amount"] == pytest.approx(true, rel=0.12)
    assert values["camera_motion"] == pytest.approx(values["motion_amount"], rel=0.02)
    assert values["object_motion"] < 0.02 * values["motion_amount"]
    assert values["moving_share"] < 1


@pytest.mark.parametrize("pan", [1.0, -2.5, 5.0])
def test_an_object_moves_as_much_under_a_moving_camera(pan: float) -> None:
    rests, pans = moved(sliding(3)), moved(sliding(3, pan=pan))
    assert rests["camera_motion"] == 0
    assert pans["camera_motion"] == pytest.approx(percent(abs(pan), 160), rel=0.05)
    assert pans["object_motion"] == pytest.approx(rests["object_motion"], rel=0.15)
    assert pans["moving_share"] == pytest.approx(rests["moving_share"], rel=0.15)


@pytest.mark.parametrize(("scenario", "camera"), [("fish", "left"), ("duck", "up"), ("duck", "in")])
def test_a_drawn_object_moves_as_much_under_a_moving_camera(
    scenario: str, camera: Camera
) -> None:
    rests, pans = (
        moved(drawn(scenario, 0, 320, camera=view)[0]) for view in ("static", camera)
    )
    assert pans["motion_amount"] > 2 * rests["motion_amount"]
    assert pans["object_motion"] == pytest.approx(rests["object_motion"], rel=0.25)


def test_moving_share_is_the_area_of_what_moves() -> None:
    share = moved(sliding(3))["moving_share"]
    assert share == pytest.approx(100 * 40**2 / 160**2, rel=0.25)
    # Below the threshold there is motion, but nothing has moved.
    frames = sliding(3)
    slow = motion(frames, estimate_flow(frames), fps=0.4 * MOVES * 160 / 100 / 3)
    assert slow["moving_share"] == 0
    assert slow["object_motion"] > 0


def test_noise_is_no_motion() -> None:
    rng = np.random.default_rng(0)
    frames = np.repeat(texture(160, 160)[None], 5, axis=0)
    frames = np.clip(frames + rng.integers(-2, 3, frames.shape), 0, 255).astype(np.uint8)
    assert set(moved(frames).values()) == {0.0}


def test_large_clips_are_looked_at_small(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(frames: np.ndarray, cameras: np.ndarray, noise: float) -> np.ndarray:
        seen.append(frames.shape)
        return np.ones((1, *frames.shape[1:3]), np.bool_)

    monkeypatch.setattr(motion_module, "beside_camera", spy)
    for height, width in ((90, 100), (319, 500), (500, 321), (720, 1280)):
        flow = np.zeros((1, 2, height, width), np.float32)
        motion(np.zeros((2, height, width, 3), np.uint8), flow, 8)
    assert seen == [(2, 90, 100, 3), (2, 319, 500, 3), (2, 250, 160, 3), (2, 180, 320, 3)]
    assert min(seen[2][1:3]) == SIDE
