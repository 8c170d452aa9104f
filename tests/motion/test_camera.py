"""The camera's motion: found where most of the picture agrees, else exactly the identity."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motifocal.media.picture import read_image
from motifocal.media.video import read_video, write_video
from motifocal.motion.camera import (
    beside_camera,
    camera_flow,
    fit_camera,
    own_motion,
    textured,
)
from motifocal.motion.camera_models import AFFINE, HOMOGRAPHY, SIMILARITY, Model
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import Camera, render
from motifocal.scenes.stage import SCENARIOS, make_stage

REST = np.eye(3)
SIZE = 96

CAMERAS = {
    "pan": (3.0, -1.5, 1.0, 0.0),
    "slow pan": (0.2, 0.1, 1.0, 0.0),
    "long pan": (-14.0, 0.0, 1.0, 0.0),
    "zoom in": (0.0, 0.0, 1.03, 0.0),
    "zoom out": (0.0, 0.0, 0.98, 0.0),
    "roll": (0.0, 0.0, 1.0, 0.02),
    "all of them": (2.0, 1.0, 1.02, -0.01),
}


def matrix(
    x: float, y: float, zoom: float, roll: float, height: int = SIZE, width: int = SIZE
) -> np.ndarray:
    """Zoom and roll about the picture's centre, then a shift: (3, 3)."""
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -np.degrees(roll), zoom)
    return np.vstack([turn + np.array([[0, 0, x], [0, 0, y]]), [0, 0, 1]])


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A blurred random picture (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(np.rint(smooth / smooth.std() * 30 + 128), 0, 255).astype(np.uint8)


def filmed(picture: np.ndarray, step: np.ndarray, frames: int, size: int) -> np.ndarray:
    """The middle of a larger picture, `size` pixels wide, seen by a camera that moves by `step`."""
    margin = (picture.shape[0] - size) / 2
    whole = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    clip = []
    for _ in range(frames):
        clip.append(cv2.warpPerspective(picture, whole, (size, size), flags=cv2.INTER_CUBIC))
        whole = step @ whole
    return np.array(clip, np.uint8)


def with_object(frames: np.ndarray, side: int, start: int, step: int) -> np.ndarray:
    """A textured square that slides right and down over the clip."""
    clip = frames.copy()
    for index, frame in enumerate(clip):
        at = start + step * index
        frame[at : at + side, at : at + side] = texture(side, side, seed=9)
    return clip


def error(cameras: np.ndarray, truth: np.ndarray, size: int = SIZE) -> float:
    """Mean distance in pixels between what the cameras and the true one do to the picture."""
    field = camera_flow(cameras, size, size) - camera_flow(truth[None], size, size)
    return float(np.hypot(field[:, 0], field[:, 1]).mean())


@pytest.mark.parametrize("name", CAMERAS)
def test_the_flow_of_a_camera_gives_back_the_camera(name: str) -> None:
    truth = matrix(*CAMERAS[name])
    flow = np.repeat(camera_flow(truth[None], SIZE, SIZE), 3, axis=0)
    assert np.abs(fit_camera(flow) - truth).max() < 1e-4


@pytest.mark.parametrize("model", [SIMILARITY, AFFINE, HOMOGRAPHY])
@pytest.mark.parametrize("name", CAMERAS)
def test_each_model_alone_gives_back_a_similarity(name: str, model: Model) -> None:
    truth = matrix(*CAMERAS[name])
    flow = camera_flow(truth[None], SIZE, SIZE)
    assert error(fit_camera(flow, models=(model,)), truth) < 1e-3


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_is_found_in_estimated_flow(name: str) -> None:
    truth = matrix(*CAMERAS[name], 192, 192)
    frames = filmed(texture(320, 320), truth, 3, 192)
    cameras = fit_camera(estimate_flow(frames), textured(frames))
    assert error(cameras, truth, 192) < 0.15


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("side", [30, 52])  # a tenth and 30 % of the picture
def test_an_object_changes_a_moving_cameras_fit_little(name: str, side: int) -> None:
    truth = matrix(*CAMERAS[name])
    flow = camera_flow(truth[None], SIZE, SIZE)
    flow[:, :, 20 : 20 + side, 25 : 25 + side] += np.array([5, -4], np.float32)[:, None, None]
    assert error(fit_camera(flow), truth) < 0.05


@settings(max_examples=60, deadline=None)
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
        inside += camera_flow(matrix(0, 0, 1.1, 0, 52, 52)[None], 52, 52)
    assert np.array_equal(fit_camera(flow)[0], REST)


def test_what_fills_the_middle_is_an_object_as_long_as_the_rim_rests() -> None:
    flow = np.zeros((1, 2, SIZE, SIZE), np.float32)
    flow[:, :, 12:-12, 12:-12] = 4  # 9 / 16 of the picture, but not of the votes
    assert np.array_equal(fit_camera(flow)[0], REST)
    flow[:, :, :12] = 4
    assert error(fit_camera(flow), matrix(4, 4, 1, 0)) < 0.01


def test_numbers_that_fit_only_noise_are_not_earned() -> None:
    truth = matrix(*CAMERAS["all of them"])
    flow = np.repeat(camera_flow(truth[None], SIZE, SIZE), 8, axis=0)
    flow += np.random.default_rng(0).normal(0, 0.2, flow.shape).astype(np.float32)
    assert np.array_equal(fit_camera(flow), fit_camera(flow, models=(SIMILARITY,)))


def test_what_is_small_beside_the_cameras_motion_is_its_error() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    frames = np.array([cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames], np.uint8)
    flow = camera_flow(matrix(10, 0, 1, 0)[None], SIZE, SIZE)
    flow[:, 1, 20:40, 20:40], flow[:, 1, 50:70, 20:40] = 0.8, 1.2
    _, evidence = own_motion(frames, flow, 0)
    assert not evidence[0, 20:40, 20:40].any()
    assert evidence[0, 50:70, 20:40].all()


def test_no_motion_is_exactly_the_identity() -> None:
    flow = np.zeros((4, 2, SIZE, 2 * SIZE), np.float32)
    assert np.array_equal(fit_camera(flow), np.repeat(REST[None], 4, axis=0))


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
    assert error(fit_camera(flow, valid)[2:], matrix(4, 4, 1, 0)) < 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (9, 200), (48, 32), (400, 30)])
def test_any_size_works(height: int, width: int) -> None:
    still = np.zeros((2, 2, height, width), np.float32)
    assert np.array_equal(fit_camera(still), np.repeat(REST[None], 2, axis=0))
    if min(height, width) >= 8:
        truth = matrix(1.5, -0.5, 1.01, 0, height, width)
        flow = camera_flow(truth[None], height, width)
        assert np.abs(flow - camera_flow(fit_camera(flow), height, width)).max() < 1e-3


def test_one_frame_has_no_pairs_and_no_cameras() -> None:
    flow = np.zeros((0, 2, 32, 48), np.float32)
    assert fit_camera(flow).shape == (0, 3, 3)
    assert camera_flow(fit_camera(flow), 32, 48).shape == flow.shape
    assert textured(np.zeros((1, 32, 48, 3), np.uint8)).shape == (0, 32, 48)


def test_a_pair_has_the_same_camera_alone_and_in_a_clip() -> None:
    rng = np.random.default_rng(1)
    truths = np.array([matrix(*rng.uniform(-3, 3, 2), 1, 0) for _ in range(5)])
    truths[2] = REST
    flow = camera_flow(truths, SIZE, SIZE)
    flow += rng.normal(0, 0.1, flow.shape).astype(np.float32)
    whole = fit_camera(flow)
    assert np.array_equal(whole[2], REST)
    for pair in range(5):
        np.testing.assert_allclose(fit_camera(flow[pair : pair + 1])[0], whole[pair], atol=1e-9)


def test_the_fit_of_the_same_flow_is_the_same_to_the_bit() -> None:
    flow = np.random.default_rng(2).normal(3, 0.5, (4, 2, SIZE, SIZE)).astype(np.float32)
    assert np.array_equal(fit_camera(flow), fit_camera(flow.copy()))


def test_a_resting_camera_leaves_every_bit_of_the_flow() -> None:
    flow = np.random.default_rng(3).normal(0, 9, (3, 2, 20, 30)).astype(np.float32)
    rest = camera_flow(np.repeat(REST[None], 3, axis=0), 20, 30)
    assert rest.dtype == np.float32
    assert np.array_equal(flow - rest, flow)


def test_what_moves_by_itself_is_left_when_the_camera_is_removed() -> None:
    truth = matrix(*CAMERAS["all of them"])
    flow = camera_flow(truth[None], SIZE, SIZE)
    flow[:, :, 40:60, 30:50] += np.array([6, 2], np.float32)[:, None, None]
    (left,) = flow - camera_flow(fit_camera(flow), SIZE, SIZE)
    assert np.abs(left[:, 40:60, 30:50] - np.array([6, 2])[:, None, None]).max() < 0.1
    left[:, 40:60, 30:50] = 0
    assert np.abs(left).max() < 0.1


def test_cameras_are_the_matrices_that_opencv_warps_with() -> None:
    step = matrix(*CAMERAS["all of them"])
    picture = texture(SIZE, SIZE)
    moved = cv2.warpPerspective(picture, step, (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    (flow,) = camera_flow(step[None], SIZE, SIZE)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    back = cv2.remap(moved, x + flow[0], y + flow[1], cv2.INTER_CUBIC)
    inside = np.s_[12:-12, 12:-12]
    assert np.abs(back[inside].astype(int) - picture[inside]).mean() < 1


def test_texture_is_neither_plain_nor_noise_nor_an_edge() -> None:
    rng = np.random.default_rng(0)
    frames = np.full((3, 64, 192, 3), 100, np.uint8)
    frames[:, :, 96:, :] = 180  # an edge: nothing tells how far it slides along itself
    frames[:, :, 150:] = texture(64, 42)
    frames[:, :, :64] += rng.integers(0, 5, (3, 64, 64, 1), np.uint8)
    found = textured(frames)
    assert found.shape == (2, 64, 192)
    assert not found[:, :, :140].any()
    assert found[:, :, 155:].all()


@pytest.mark.parametrize("scenario", ["balloons", "car", "golf", "tide"])
def test_sentences_of_the_drawn_world_move_no_camera(scenario: str) -> None:
    stage = make_stage(scenario, "train", 3)
    for action in stage.actions:
        frames = render(stage, action, size=128).frames[:6]
        cameras = fit_camera(estimate_flow(frames), textured(frames))
        assert np.array_equal(cameras, np.repeat(REST[None], 5, axis=0)), action.sentence


@pytest.mark.parametrize("camera", ["left", "up", "in", "out"])
@pytest.mark.parametrize("scenario", ["fish", "flower", "tide"])
def test_the_drawn_worlds_camera_is_found(scenario: str, camera: Camera) -> None:
    clip = render(make_stage(scenario, "train", 0), None, size=128, frames=16, camera=camera,
                  with_flow=True)
    frames = clip.frames[:5]
    assert clip.flow is not None
    true = clip.flow[:4]
    left = true - camera_flow(fit_camera(estimate_flow(frames), textured(frames)), 128, 128)
    assert np.hypot(left[:, 0], left[:, 1]).mean() < 0.15
    assert np.hypot(true[:, 0], true[:, 1]).mean() > 0.6


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


def test_a_camera_over_real_pictures_is_found_behind_an_object(shared: Path) -> None:
    found = []
    for path in sorted((shared / "ti2v-clips" / "images").iterdir())[::6]:
        picture = read_image(path)
        for name in ("pan", "zoom in"):
            truth = matrix(*CAMERAS[name], 240, 240)
            frames = with_object(filmed(picture, truth, 2, 240), 110, 60, 6)
            cameras = fit_camera(estimate_flow(frames), textured(frames))
            found.append(error(cameras, truth, 240) < 0.3)
    assert np.mean(found) > 0.8


TILTED = np.array([[1.01, 0.03, 1.0], [-0.02, 1.02, -2.0], [4e-4, -3e-4, 1.0]])
SHEARED = np.array([[1.03, 0.05, 1.0], [-0.01, 0.98, -2.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("truth", [TILTED, SHEARED], ids=["homography", "affine"])
def test_richer_cameras_are_found_to_a_hundredth_of_a_pixel(truth: np.ndarray) -> None:
    flow = camera_flow(truth[None], SIZE, 2 * SIZE)
    cameras = fit_camera(flow)
    assert np.abs(camera_flow(cameras, SIZE, 2 * SIZE) - flow).max() < 0.01
    assert np.abs(cameras[0] / cameras[0, 2, 2] - truth).max() < 1e-3
    without = fit_camera(flow, models=(SIMILARITY,))
    assert np.abs(camera_flow(without, SIZE, 2 * SIZE) - flow).max() > 1


def test_a_homographys_flow_is_that_of_projecting_the_points() -> None:
    flow = camera_flow(TILTED[None], 40, 60)[0]
    for x, y in ((0, 0), (59, 0), (17, 33)):
        point = TILTED @ (x, y, 1)
        np.testing.assert_allclose(flow[:, y, x], point[:2] / point[2] - (x, y), atol=1e-4)
    assert np.array_equal(camera_flow(2 * TILTED[None], 40, 60)[0], flow)  # up to a factor


def test_a_similarity_stays_one_whatever_else_could_fit(shared: Path) -> None:
    for path in sorted((shared / "ti2v-clips" / "images").iterdir())[::10]:
        truth = matrix(*CAMERAS["all of them"], 240, 240)
        frames = with_object(filmed(read_image(path), truth, 3, 240), 100, 60, 6)
        flow, valid = estimate_flow(frames), textured(frames)
        assert np.array_equal(fit_camera(flow, valid), fit_camera(flow, valid, (SIMILARITY,)))


@pytest.mark.parametrize("tilt", [0.7, 0.9, 1.01, 1.2])
def test_a_camera_never_folds_the_picture_over(tilt: float) -> None:
    """Depth would shrink to 1 - tilt in a corner, or turn negative: flow of millions of pixels."""
    middle = (SIZE - 1) / 2
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    step = np.eye(3)
    step[2, :2] = -tilt / 2 / middle
    truth = np.linalg.inv(to_middle) @ step @ to_middle
    corners = np.array([[0, 0, 1], [SIZE - 1, SIZE - 1, 1]]).T
    y, x = np.mgrid[:SIZE, :SIZE]
    depth = truth[2, 0] * x + truth[2, 1] * y + truth[2, 2]
    there = depth > 0.05  # what is behind the camera has no flow: noise instead
    flow = np.random.default_rng(0).normal(0, 9, (1, 2, SIZE, SIZE)).astype(np.float32)
    flow[:, :, there] = camera_flow(truth[None], SIZE, SIZE)[:, :, there]
    cameras = fit_camera(flow)
    if tilt < 0.8:
        assert error(cameras, truth) < 1e-3
    else:
        depths = cameras[0, 2] @ corners
        assert depths.min() / depths.max() > 0.2 / 1.8 - 1e-6
        assert np.abs(camera_flow(cameras, SIZE, SIZE)).max() < 4 * SIZE


def test_the_camera_of_a_long_clip_needs_little_memory_beside_its_flow() -> None:
    frames = np.repeat(panned(0)[:2], 60, axis=0)  # 119 pairs, every other of them at rest
    flow = estimate_flow(frames)
    tracemalloc.start()
    left, _ = own_motion(frames, flow, 2.5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * left.nbytes


def test_no_model_that_is_not_given_is_used() -> None:
    flow = camera_flow(TILTED[None], SIZE, SIZE)
    affine = fit_camera(flow, models=(SIMILARITY, AFFINE))
    assert np.array_equal(affine[0, 2], [0, 0, 1])
    assert fit_camera(flow, models=(HOMOGRAPHY,))[0, 2, :2].any()


def panned(seed: int, step: np.ndarray = TILTED) -> np.ndarray:
    return filmed(texture(2 * SIZE, 2 * SIZE, seed), step, 4, SIZE)


@pytest.mark.parametrize("truth", [TILTED, SHEARED, matrix(*CAMERAS["all of them"])])
def test_nothing_moves_by_itself_where_only_the_camera_moves(truth: np.ndarray) -> None:
    frames = panned(0, truth)
    flow = estimate_flow(frames)
    left, evidence = own_motion(frames, flow, 2.5)
    moving = evidence & (np.hypot(left[:, 0], left[:, 1]) > 0.5)
    assert moving.mean() < 0.01
    assert motion_evidence(frames, 2.5).mean() > 0.9


def test_fine_texture_under_a_camera_of_half_pixels_is_no_evidence() -> None:
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.standard_normal((402, 402)).astype(np.float32), (0, 0), 4)
    grey = np.clip(128 + 50 * large / large.std(), 0, 255).astype(np.uint8)
    views = [grey[9 - y : 393 - y, 9 - x : 393 - x] for x, y in ((0, 0), (6, 2))]
    small = [cv2.resize(view, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for view in views]
    frames = np.repeat(np.array(small, np.uint8)[..., None], 3, axis=-1)
    assert beside_camera(frames, matrix(1.5, 0.5, 1, 0)[None], 2.5).mean() < 0.005


def test_what_moves_before_a_moving_camera_is_all_that_is_left() -> None:
    side, at, step = 30, 20, 6
    frames = with_object(panned(1), side, at, step)
    left, evidence = own_motion(frames, estimate_flow(frames), 2.5)
    moving = evidence[0] & (np.hypot(*left[0]) > 0.5)
    inside = np.zeros((SIZE, SIZE), np.bool_)
    inside[at : at + side, at : at + side] = True
    assert moving[inside].mean() > 0.8
    around = cv2.dilate(inside.astype(np.uint8), np.ones((21, 21), np.uint8)).astype(np.bool_)
    assert moving[~around].mean() < 0.02


def test_a_resting_camera_changes_neither_flow_nor_evidence() -> None:
    frames = with_object(np.repeat(texture(SIZE, SIZE)[None], 4, axis=0), 30, 20, 4)
    flow = estimate_flow(frames)
    left, evidence = own_motion(frames, flow, 2.5, sharp=False)
    assert np.array_equal(left, flow)
    assert np.array_equal(evidence, motion_evidence(frames, 2.5, sharp=False))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flow: fit_camera(flow[0]), r"flow should be \(F-1, 2, H, W\), got \(2, 8, 9\)"),
        (lambda flow: fit_camera(flow[:, :1]), r"flow should be .*, got \(3, 1, 8, 9\)"),
        (lambda flow: fit_camera(flow + np.inf), "flow should be finite, got 432 not"),
        (
            lambda flow: fit_camera(flow, np.ones((3, 8, 8), np.bool_)),
            r"valid should be \(3, 8, 9\) bool, got \(3, 8, 8\) bool",
        ),
        (
            lambda flow: fit_camera(flow, np.ones((3, 8, 9), np.float32)),
            r"valid should be \(3, 8, 9\) bool, got \(3, 8, 9\) float32",
        ),
        (lambda flow: camera_flow(REST, 8, 9), r"cameras should be \(F-1, 3, 3\), got \(3, 3\)"),
        (lambda flow: textured(flow), "frames should be"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.zeros((3, 2, 8, 9), np.float32))
