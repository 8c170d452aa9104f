"""Similarity, affine map or homography: a camera is no richer than its flow asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from camera_clips import (
    CAMERAS,
    SHEARED,
    SIZE,
    TILTED,
    camera_error,
    camera_matrix,
    filmed,
    with_object,
)

from motifocal.media.picture import read_image
from motifocal.motion.camera import camera_flow, fit_camera, textured
from motifocal.motion.camera_models import AFFINE, HOMOGRAPHY, SIMILARITY, Model
from motifocal.motion.flow import estimate_flow


@pytest.mark.parametrize("model", [SIMILARITY, AFFINE, HOMOGRAPHY])
@pytest.mark.parametrize("name", CAMERAS)
def test_each_model_alone_gives_back_a_similarity(name: str, model: Model) -> None:
    truth = camera_matrix(*CAMERAS[name])
    flow = camera_flow(truth[None], SIZE, SIZE)
    assert camera_error(fit_camera(flow, models=(model,)), truth) < 1e-3


def test_numbers_that_fit_only_noise_are_not_earned() -> None:
    truth = camera_matrix(*CAMERAS["all of them"])
    flow = np.repeat(camera_flow(truth[None], SIZE, SIZE), 8, axis=0)
    flow += np.random.default_rng(0).normal(0, 0.2, flow.shape).astype(np.float32)
    assert np.array_equal(fit_camera(flow), fit_camera(flow, models=(SIMILARITY,)))


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
        truth = camera_matrix(*CAMERAS["all of them"], 240, 240)
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
        assert camera_error(cameras, truth) < 1e-3
    else:
        depths = cameras[0, 2] @ corners
        assert depths.min() / depths.max() > 0.2 / 1.8 - 1e-6
        assert np.abs(camera_flow(cameras, SIZE, SIZE)).max() < 4 * SIZE


def test_no_model_that_is_not_given_is_used() -> None:
    flow = camera_flow(TILTED[None], SIZE, SIZE)
    affine = fit_camera(flow, models=(SIMILARITY, AFFINE))
    assert np.array_equal(affine[0, 2], [0, 0, 1])
    assert fit_camera(flow, models=(HOMOGRAPHY,))[0, 2, :2].any()
