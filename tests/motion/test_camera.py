"""The camera's motion is found in the flow of clips of any size, whatever else moves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_clips import CAMERAS, REST, SIZE, camera_error, camera_matrix, filmed, with_object
from sliding_clips import texture

from motifocal.media.picture import read_image
from motifocal.motion.camera import camera_flow, fit_camera, textured
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import Camera, render
from motifocal.scenes.stage import make_stage


@pytest.mark.parametrize("name", CAMERAS)
def test_the_flow_of_a_camera_gives_back_the_camera(name: str) -> None:
    truth = camera_matrix(*CAMERAS[name])
    flow = np.repeat(camera_flow(truth[None], SIZE, SIZE), 3, axis=0)
    assert np.abs(fit_camera(flow) - truth).max() < 1e-4


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_is_found_in_estimated_flow(name: str) -> None:
    truth = camera_matrix(*CAMERAS[name], 192, 192)
    frames = filmed(texture(320, 320), truth, 3, 192)
    cameras = fit_camera(estimate_flow(frames), textured(frames))
    assert camera_error(cameras, truth, 192) < 0.15


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("side", [30, 52])  # a tenth and 30 % of the picture
def test_an_object_changes_a_moving_cameras_fit_little(name: str, side: int) -> None:
    truth = camera_matrix(*CAMERAS[name])
    flow = camera_flow(truth[None], SIZE, SIZE)
    flow[:, :, 20 : 20 + side, 25 : 25 + side] += np.array([5, -4], np.float32)[:, None, None]
    assert camera_error(fit_camera(flow), truth) < 0.05


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (9, 200), (48, 32), (400, 30)])
def test_any_size_works(height: int, width: int) -> None:
    still = np.zeros((2, 2, height, width), np.float32)
    assert np.array_equal(fit_camera(still), np.repeat(REST[None], 2, axis=0))
    if min(height, width) >= 8:
        truth = camera_matrix(1.5, -0.5, 1.01, 0, height, width)
        flow = camera_flow(truth[None], height, width)
        assert np.abs(flow - camera_flow(fit_camera(flow), height, width)).max() < 1e-3


def test_one_frame_has_no_pairs_and_no_cameras() -> None:
    flow = np.zeros((0, 2, 32, 48), np.float32)
    assert fit_camera(flow).shape == (0, 3, 3)
    assert camera_flow(fit_camera(flow), 32, 48).shape == flow.shape
    assert textured(np.zeros((1, 32, 48, 3), np.uint8)).shape == (0, 32, 48)


def test_a_pair_has_the_same_camera_alone_and_in_a_clip() -> None:
    rng = np.random.default_rng(1)
    truths = np.array([camera_matrix(*rng.uniform(-3, 3, 2), 1, 0) for _ in range(5)])
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


def test_cameras_are_the_matrices_that_opencv_warps_with() -> None:
    step = camera_matrix(*CAMERAS["all of them"])
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


def test_a_camera_over_real_pictures_is_found_behind_an_object(shared: Path) -> None:
    found = []
    for path in sorted((shared / "ti2v-clips" / "images").iterdir())[::6]:
        picture = read_image(path)
        for name in ("pan", "zoom in"):
            truth = camera_matrix(*CAMERAS[name], 240, 240)
            frames = with_object(filmed(picture, truth, 2, 240), 110, 60, 6)
            cameras = fit_camera(estimate_flow(frames), textured(frames))
            found.append(camera_error(cameras, truth, 240) < 0.3)
    assert np.mean(found) > 0.8


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
