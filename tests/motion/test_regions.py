"""Evidence by regions: plain insides are filled, what is uncovered is left out, cameras undone."""

from __future__ import annotations

from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from motifocal.motion.background import background_cameras
from motifocal.motion.camera import scaled_cameras
from motifocal.motion.flow import estimate_flow
from motifocal.motion.heatmap import Heatmap, HeatmapSettings, clip_heatmap
from motifocal.motion.regions import moving_regions
from motifocal.motion.settings import DEFAULT_SETTINGS, PIXEL_SETTINGS, settings_from
from motifocal.scenes.render import Camera, SceneClip, render
from motifocal.scenes.stage import make_stage

BESIDE_CAMERA = replace(DEFAULT_SETTINGS, camera=True)


def filmed(scenario: str, camera: Camera = "static", *, moves: bool = True) -> SceneClip:
    stage = make_stage(scenario, "train", 0)
    return render(stage, stage.actions[0] if moves else None, size=160, frames=8, camera=camera)


def overlap(heatmap: Heatmap, clip: SceneClip) -> float:
    hot, truth = heatmap[:-1] > 0.5, clip.mask[:-1]
    return float((hot & truth).sum() / (hot | truth).sum())


def plain_square(step: int) -> np.ndarray:
    """A white square of 40 pixels before a wall of grey tiles, moved by ``step`` pixels a frame."""
    tiles = np.random.default_rng(0).integers(40, 120, (12, 16, 1)).repeat(3, axis=2)
    frames = np.tile(tiles.repeat(10, axis=0).repeat(10, axis=1).astype(np.uint8), (6, 1, 1, 1))
    for number, frame in enumerate(frames):
        frame[40:80, 20 + step * number : 60 + step * number] = 240
    return frames


@pytest.mark.parametrize(("scenario", "least"), [("fish", 0.75), ("car", 0.65)])
def test_regions_are_nearer_to_the_truth_than_pixels(scenario: str, least: float) -> None:
    clip = filmed(scenario)
    by_regions = overlap(clip_heatmap(clip.frames, workers=1), clip)
    assert by_regions > overlap(clip_heatmap(clip.frames, PIXEL_SETTINGS, workers=1), clip) + 0.02
    assert by_regions > least


def test_the_inside_of_a_plain_thing_is_filled_and_what_it_leaves_is_not() -> None:
    heatmap = clip_heatmap(plain_square(6), workers=1)
    hot = heatmap[2] > 0.5
    assert hot[44:76, 36:68].all()
    assert not hot[44:76, :29].any()
    assert not hot[:34].any()


def test_a_thing_that_sets_off_is_found_at_once_and_one_that_rests_is_not() -> None:
    moves = plain_square(6)
    frames = np.concatenate([moves[:1]] * 3 + [moves])  # at rest up to frame 3
    hot = clip_heatmap(frames, workers=1) > 0.5
    assert not hot[:3].any()
    assert hot[3, 44:76, 24:56].all()
    assert hot[3].sum() < 2.5 * 40 * 40


def test_a_thing_that_moves_in_every_third_frame_is_found_in_that() -> None:
    frames = plain_square(6).repeat(3, axis=0)
    hot = clip_heatmap(frames, workers=1) > 0.5
    assert hot[2:-1:3].mean(axis=(1, 2)).min() > 0.05
    still = np.delete(np.arange(len(frames) - 1), np.s_[2::3])
    assert not hot[still].any()


@pytest.mark.parametrize("camera", ["left", "in"])
def test_what_moves_before_a_moving_camera_is_found_and_little_else(camera: Camera) -> None:
    clip = filmed("fish", camera)
    assert overlap(clip_heatmap(clip.frames, BESIDE_CAMERA, workers=1), clip) > 0.6
    only = clip_heatmap(filmed("fish", camera, moves=False).frames, BESIDE_CAMERA, workers=1)
    assert (only > 0.5).mean() < 0.02


def test_a_resting_camera_changes_not_a_bit() -> None:
    frames = filmed("balloons").frames
    kept = clip_heatmap(frames, workers=1)
    assert np.array_equal(clip_heatmap(frames, BESIDE_CAMERA, workers=1), kept)


def test_a_pan_over_a_mostly_plain_sky_is_found_by_comparing_frames() -> None:
    frames = filmed("balloons", "down", moves=False).frames
    flow = estimate_flow(frames, preset="fast", workers=1)
    down = background_cameras(frames, flow)[:, 1, 2]
    # The camera travels 0.22 of the picture's height.
    assert down.sum() == pytest.approx(-0.22 * 160, abs=4)


def test_cameras_scale_with_the_picture_and_rest_stays_exact() -> None:
    pan = np.eye(3)[None].repeat(2, axis=0)
    pan[0, :2, 2] = 3, -2
    scaled = scaled_cameras(pan, 2, 4)
    assert scaled[0] == pytest.approx(np.array([[1, 0, 6], [0, 1, -8], [0, 0, 1]]))
    assert np.array_equal(scaled[1], np.eye(3))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 5), (8, 64), (400, 30)])
def test_frames_of_any_size_and_number_have_regions(shape: tuple[int, int]) -> None:
    for count in (1, 2, 4):
        frames = np.random.default_rng(0).integers(0, 256, (count, *shape, 3)).astype(np.uint8)
        heatmap = clip_heatmap(frames, BESIDE_CAMERA, workers=1)
        assert heatmap.shape == frames.shape[:3]
        assert heatmap.min() >= 0
        assert heatmap.max() <= 1


def test_maps_of_a_time_without_the_setting_were_made_by_pixels() -> None:
    values = asdict(HeatmapSettings())
    del values["evidence"]
    assert settings_from(values) == HeatmapSettings(evidence="pixels")
    assert settings_from(asdict(BESIDE_CAMERA)) == BESIDE_CAMERA
    with pytest.raises(ValueError, match="evidence should be one of"):
        HeatmapSettings(evidence="guess")


def test_what_moves_together_is_no_camera_while_one_side_of_the_picture_rests() -> None:
    # Carried by three quarters of the picture, against a quarter of it.
    texture = np.random.default_rng(0).integers(0, 256, (160, 190, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 2)
    frames = np.stack([texture[:, 3 * number : 160 + 3 * number] for number in range(8)])
    flow = estimate_flow(frames, preset="fast", workers=1)
    assert background_cameras(frames, flow)[:, 0, 2] == pytest.approx(-3, abs=0.3)
    frames[:, 120:] = texture[120:, :160]
    flow = estimate_flow(frames, preset="fast", workers=1)
    assert np.array_equal(background_cameras(frames, flow), np.tile(np.eye(3), (7, 1, 1)))


def test_a_camera_that_comes_to_rest_no_longer_blurs_what_moves() -> None:
    texture = np.random.default_rng(0).integers(60, 180, (80, 80, 3)).astype(np.uint8)
    frames = np.tile(cv2.GaussianBlur(texture, (0, 0), 1.5), (9, 1, 1, 1))
    frames[1::2, 20:60, 20:60] += 6  # every other frame is brighter there
    still, cameras = np.zeros((8, 2, 80, 80), np.float32), np.tile(np.eye(3), (8, 1, 1))
    cameras[0, 0, 2] = 2
    without = moving_regions(frames, still, 2.5)
    assert without[5:, 25:55, 25:55].mean() > 0.9
    assert np.array_equal(moving_regions(frames, still, 2.5, cameras)[5:], without[5:])


@pytest.mark.parametrize(("size", "filled"), [(16, True), (80, False)])
def test_small_holes_in_what_moves_are_filled_and_large_ones_are_not(
    size: int, filled: bool
) -> None:
    generator = np.random.default_rng(0)
    frames = np.tile(generator.integers(0, 256, (160, 160, 3)).astype(np.uint8), (5, 1, 1, 1))
    frames[:, 20:140, 20:140] = generator.integers(0, 256, (5, 120, 120, 3))
    hole = slice(80 - size // 2, 80 + size // 2)
    frames[:, hole, hole] = frames[0, hole, hole]
    moving = moving_regions(frames, np.zeros((4, 2, 160, 160), np.float32), 2.5)[2]
    assert moving[30:36, 30:130].all()
    assert not moving[:15].any()
    middle = slice(80 - size // 4, 80 + size // 4)
    assert moving[middle, middle].all() == filled
