"""What moves by itself is what is left of the flow when the camera's motion is taken out."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from camera_clips import CAMERAS, REST, SHEARED, SIZE, TILTED, camera_matrix, panned, with_object
from sliding_clips import texture

from motifocal.motion.camera import beside_camera, camera_flow, fit_camera, own_motion
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import estimate_flow


def test_a_resting_camera_leaves_every_bit_of_the_flow() -> None:
    flow = np.random.default_rng(3).normal(0, 9, (3, 2, 20, 30)).astype(np.float32)
    rest = camera_flow(np.repeat(REST[None], 3, axis=0), 20, 30)
    assert rest.dtype == np.float32
    assert np.array_equal(flow - rest, flow)


def test_a_resting_camera_changes_neither_flow_nor_evidence() -> None:
    frames = with_object(np.repeat(texture(SIZE, SIZE)[None], 4, axis=0), 30, 20, 4)
    flow = estimate_flow(frames)
    left, evidence = own_motion(frames, flow, 2.5, sharp=False)
    assert np.array_equal(left, flow)
    assert np.array_equal(evidence, motion_evidence(frames, 2.5, sharp=False))


def test_what_moves_by_itself_is_left_when_the_camera_is_removed() -> None:
    truth = camera_matrix(*CAMERAS["all of them"])
    flow = camera_flow(truth[None], SIZE, SIZE)
    flow[:, :, 40:60, 30:50] += np.array([6, 2], np.float32)[:, None, None]
    (left,) = flow - camera_flow(fit_camera(flow), SIZE, SIZE)
    assert np.abs(left[:, 40:60, 30:50] - np.array([6, 2])[:, None, None]).max() < 0.1
    left[:, 40:60, 30:50] = 0
    assert np.abs(left).max() < 0.1


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


@pytest.mark.parametrize("truth", [TILTED, SHEARED, camera_matrix(*CAMERAS["all of them"])])
def test_nothing_moves_by_itself_where_only_the_camera_moves(truth: np.ndarray) -> None:
    frames = panned(0, truth)
    flow = estimate_flow(frames)
    left, evidence = own_motion(frames, flow, 2.5)
    moving = evidence & (np.hypot(left[:, 0], left[:, 1]) > 0.5)
    assert moving.mean() < 0.01
    assert motion_evidence(frames, 2.5).mean() > 0.9


def test_what_is_small_beside_the_cameras_motion_is_its_error() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    frames = np.array([cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames], np.uint8)
    flow = camera_flow(camera_matrix(10, 0, 1, 0)[None], SIZE, SIZE)
    flow[:, 1, 20:40, 20:40], flow[:, 1, 50:70, 20:40] = 0.8, 1.2
    _, evidence = own_motion(frames, flow, 0)
    assert not evidence[0, 20:40, 20:40].any()
    assert evidence[0, 50:70, 20:40].all()


def test_fine_texture_under_a_camera_of_half_pixels_is_no_evidence() -> None:
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.standard_normal((402, 402)).astype(np.float32), (0, 0), 4)
    grey = np.clip(128 + 50 * large / large.std(), 0, 255).astype(np.uint8)
    views = [grey[9 - y : 393 - y, 9 - x : 393 - x] for x, y in ((0, 0), (6, 2))]
    small = [cv2.resize(view, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for view in views]
    frames = np.repeat(np.array(small, np.uint8)[..., None], 3, axis=-1)
    assert beside_camera(frames, camera_matrix(1.5, 0.5, 1, 0)[None], 2.5).mean() < 0.005


def test_the_camera_of_a_long_clip_needs_little_memory_beside_its_flow() -> None:
    frames = np.repeat(panned(0)[:2], 60, axis=0)  # 119 pairs, every other of them at rest
    flow = estimate_flow(frames)
    tracemalloc.start()
    left, _ = own_motion(frames, flow, 2.5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * left.nbytes
