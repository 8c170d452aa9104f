"""Heatmaps with the camera's motion removed: a pan alone is cold, what moves under it stays hot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motifocal.motion.heatmap import DEFAULT_SETTINGS, Heatmap, HeatmapSettings, clip_heatmap
from motifocal.scenes.render import Camera, SceneClip, render
from motifocal.scenes.stage import make_stage

SIZE = 160
REMOVED = replace(DEFAULT_SETTINGS, camera=True)
#: Scenarios whose background has texture all over, and a sentence that moves a thing.
TEXTURED = ("fish", "golf")


def filmed(scenario: str, camera: Camera, *, moves: bool) -> SceneClip:
    stage = make_stage(scenario, "train", 0)
    return render(stage, stage.actions[0] if moves else None, size=SIZE, camera=camera)


def hot(heatmap: Heatmap) -> float:
    return float((heatmap > 0.5).mean())


@pytest.mark.parametrize("camera", ["left", "up", "in", "out"])
@pytest.mark.parametrize("scenario", TEXTURED)
def test_a_clip_in_which_only_the_camera_moves_turns_cold(scenario: str, camera: Camera) -> None:
    frames = filmed(scenario, camera, moves=False).frames
    assert hot(clip_heatmap(frames)) > 0.1
    assert hot(clip_heatmap(frames, REMOVED)) < 0.04


@pytest.mark.parametrize("camera", ["left", "up", "in"])
@pytest.mark.parametrize("scenario", TEXTURED)
def test_what_moves_under_a_moving_camera_stays_hot_and_little_else(
    scenario: str, camera: Camera
) -> None:
    clip = filmed(scenario, camera, moves=True)
    heat = clip_heatmap(clip.frames, REMOVED)[:-1] > 0.5
    truth = clip.mask[:-1]
    assert heat[truth].mean() > 0.8
    beside = heat[~truth].mean()
    assert beside < 0.08
    assert (clip_heatmap(clip.frames)[:-1] > 0.5)[~truth].mean() > 2 * beside


@pytest.mark.parametrize("scenario", [*TEXTURED, "balloons", "car", "candle"])
def test_nothing_changes_where_the_camera_rests(scenario: str) -> None:
    frames = filmed(scenario, "static", moves=True).frames
    assert np.array_equal(clip_heatmap(frames, REMOVED), clip_heatmap(frames))


def test_without_comparing_frames_the_flow_beside_the_cameras_is_believed_but_at_the_rim() -> None:
    frames = filmed("fish", "left", moves=False).frames
    believed = HeatmapSettings(noise=0, camera=True)
    assert hot(clip_heatmap(frames, HeatmapSettings(noise=0))) > 0.9
    assert hot(clip_heatmap(frames, believed)) < 0.2
