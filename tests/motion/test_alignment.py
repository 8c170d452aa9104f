"""Cameras that are nearly right are made exact by aligning the frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from motifocal.motion.alignment import aligned_cameras
from motifocal.motion.background import background_cameras
from motifocal.motion.flow import estimate_flow

SIZE = 128
PLACES = np.stack([*np.mgrid[16:112:16, 16:112:16].reshape(2, -1), np.ones(36)])


def matrix(zoom: float, x: float, y: float) -> NDArray[np.float64]:
    """Zoom about the picture's centre, then move by x and y pixels."""
    shift = (1 - zoom) * (SIZE - 1) / 2
    return np.array([[zoom, 0, shift + x], [0, zoom, shift + y], [0, 0, 1]])


def error(camera: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    to, there = camera @ PLACES, truth @ PLACES
    return float(np.hypot(*(to[:2] / to[2] - there[:2] / there[2])).mean())


def texture(rows: int, columns: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (rows, columns)).astype(np.float32)
    return np.clip(128 + 4 * (cv2.GaussianBlur(noise, (0, 0), 2) - 128), 0, 255).astype(np.uint8)


def test_cameras_off_by_half_a_pixel_become_exact_beside_a_thing_that_moves() -> None:
    true = [matrix(1.012, 1.3, -0.6), matrix(0.99, -2, 0.4)]
    frames = [texture(SIZE, SIZE)]
    for camera in true:
        frames.append(cv2.warpPerspective(frames[-1], camera, (SIZE, SIZE),
                                          borderMode=cv2.BORDER_REFLECT))  # fmt: skip
    for number, frame in enumerate(frames):
        frame[40:80, 30 + 4 * number : 70 + 4 * number] = texture(40, 40)[::-1]
    near = np.array([camera @ matrix(1.004, 0.4, -0.3) for camera in true])
    aligned = aligned_cameras([cv2.GaussianBlur(frame, (0, 0), 1) for frame in frames], near)
    for before, after, truth in zip(near, aligned, true, strict=True):
        assert error(before, truth) > 0.4
        assert error(after, truth) < 0.1


def test_a_camera_that_rests_stays_exactly_at_rest() -> None:
    frames = [texture(SIZE, SIZE)] * 3
    rest = np.tile(np.eye(3), (2, 1, 1))
    assert np.array_equal(aligned_cameras(frames, rest), rest)


def test_a_bird_is_no_camera_before_a_sky_that_tells_one_direction_alone() -> None:
    rows = np.arange(SIZE + 20, dtype=np.float32)[:, None]
    sky = np.repeat(40 + 1.2 * rows, SIZE, axis=1).astype(np.uint8)
    frames = []
    for number in range(3):
        frame = sky[2 * number : SIZE + 2 * number].copy()
        frame[60:68, 50 + 5 * number : 60 + 5 * number] = texture(8, 10)
        frames.append(cv2.GaussianBlur(frame, (0, 0), 1))
    of_the_bird = np.tile(matrix(1, 5, -2), (2, 1, 1))
    for camera in aligned_cameras(frames, of_the_bird):
        assert camera[1, 2] == pytest.approx(-2, abs=0.3)
        assert abs(camera[0, 2]) < 2


def test_ground_that_moves_against_a_camera_does_not_speak_for_rest() -> None:
    far, near = texture(SIZE, SIZE + 40), texture(32, SIZE + 40)[::-1]
    frames = np.empty((8, SIZE, SIZE, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[:] = far[:, 2 * number : SIZE + 2 * number, None]
        frame[96:] = near[:, 20 - 2 * number : SIZE + 20 - 2 * number, None]
    cameras = background_cameras(frames, estimate_flow(frames, preset="fast", workers=1))
    assert cameras[:, 0, 2] == pytest.approx(-2, abs=0.2)
