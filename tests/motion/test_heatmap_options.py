"""Heat that keeps to outlines, and heat where colours change: what the paper does not have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from grown_masks import grown

from motifocal.motion.change import colour_change, motion_evidence
from motifocal.motion.flow import estimate_flow
from motifocal.motion.heatmap import DEFAULT_SETTINGS, HeatmapSettings, clip_heatmap, motion_heatmap
from motifocal.motion.heatmap_files import load_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.scenes.render import SceneClip, render
from motifocal.scenes.stage import make_stage

WIDE = replace(PIXEL_SETTINGS, sharp=False)
CHANGE = HeatmapSettings(change=12)


def drawn(scenario: str, seed: int, words: str, size: int = 96) -> SceneClip:
    """The first sentence of a stage that holds these words."""
    stage = make_stage(scenario, "eval", seed)
    (action, *_) = [action for action in stage.actions if words in action.sentence]
    return render(stage, action, size=size, with_flow=True)


def iou(heat: np.ndarray, truth: np.ndarray) -> float:
    hot = heat[:-1] > 0.5
    return float((hot & truth[:-1]).sum() / (hot | truth[:-1]).sum())


def still(*values: tuple[int, int, int], lamp: slice = slice(20, 40)) -> np.ndarray:
    """Grey frames (F, 64, 64, 3) with a square of one colour a frame that stays in its place."""
    frames = np.full((len(values), 64, 64, 3), 110, np.uint8)
    for frame, value in zip(frames, values, strict=True):
        frame[lamp, lamp] = value
    return frames


@pytest.mark.parametrize(("scenario", "words"), [("balloons", "dips"), ("fish", "forward")])
def test_sharp_evidence_keeps_to_the_outline_and_wide_evidence_holds_all_of_it(
    scenario: str, words: str
) -> None:
    clip = drawn(scenario, 1, words)
    wide, sharp = (motion_evidence(clip.frames, 2.5, sharp=s) for s in (False, True))
    assert not (sharp & ~wide).any()
    moved = clip.mask[:-1] | clip.mask[1:]
    assert not (sharp & ~grown(moved, 2)).any()
    assert (wide & ~grown(moved, 2)).sum() > 0.1 * moved.sum()
    assert (sharp & moved).sum() > 0.8 * moved.sum()


@pytest.mark.parametrize("size", [64, 160])
def test_sharp_maps_are_nearer_to_the_truth_than_wide_ones(size: int) -> None:
    clips = [drawn("balloons", 1, "dips", size), drawn("car", 1, "", size),
             drawn("duck", 1, "left", size)]  # fmt: skip
    for clip in clips:
        sharp, wide = (clip_heatmap(clip.frames, s) for s in (PIXEL_SETTINGS, WIDE))
        assert iou(sharp, clip.mask) > iou(wide, clip.mask) + 0.05, clip.caption


def test_flow_leaves_no_change_where_it_explains_everything() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((80, 80, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    picture = np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    frames = np.stack([picture[8:72, 8 + x : 72 + x] for x in (0, 3, 1)])  # a pan
    flow = np.zeros((2, 2, 64, 64), np.float32)
    flow[0, 0], flow[1, 0] = -3, 2
    assert colour_change(frames, flow).max() < 1e-3
    assert colour_change(frames, np.zeros_like(flow)).max() > 20
    assert colour_change(frames, estimate_flow(frames))[:, 8:-8, 8:-8].max() < 8


def test_change_is_in_grey_levels_of_the_channel_that_differs_most() -> None:
    frames = still((110, 110, 110), (110, 140, 110), (100, 90, 60))
    change = colour_change(frames, np.zeros((2, 2, 64, 64), np.float32))
    assert change.dtype == np.float32
    np.testing.assert_allclose(change[:, 30, 30], [30, 50], atol=0.1)
    assert change[:, :10].max() < 0.1


def test_what_leaves_the_picture_counts_as_unchanged() -> None:
    frames = still((200, 0, 0), (0, 200, 0))
    flow = np.full((1, 2, 64, 64), 70, np.float32)
    assert colour_change(frames, flow).max() == 0


def test_a_change_that_grey_does_not_show_is_still_a_change() -> None:
    red, green = (150, 0, 0), (0, 76, 0)  # of one luma
    frames = still(red, green, green)
    assert clip_heatmap(frames)[0].max() < 0.5
    assert clip_heatmap(frames, CHANGE)[0, 22:38, 22:38].min() > 0.5
    assert clip_heatmap(frames, CHANGE)[1].max() < 0.5


@pytest.mark.parametrize("level", [6.0, 12.0, 40.0])
def test_the_limit_itself_gives_half_heat_whatever_the_unit(level: float) -> None:
    flow = np.zeros((1, 2, 2, 2), np.float32)
    change = np.array([[[0, 0.5], [1, 2]]], np.float32) * np.float32(level)
    for unit in ("maximum", "pixels"):
        settings = HeatmapSettings(unit=unit, change=level)
        heat = motion_heatmap(flow, settings, change=change)[0].ravel()
        cold = motion_heatmap(flow, settings)[0, 0, 0]
        assert heat[0] == cold < heat[1] < 0.5 < heat[3]
        assert heat[2] == pytest.approx(0.5)


def test_heat_takes_the_larger_of_motion_and_change() -> None:
    flow = np.zeros((1, 2, 1, 2), np.float32)
    flow[0, 0, 0, 0] = 5
    change = np.array([[[0, 50]]], np.float32)
    assert (motion_heatmap(flow, CHANGE, change=change)[0, 0] > 0.9).all()
    off = motion_heatmap(flow, DEFAULT_SETTINGS, change=change)
    assert np.array_equal(off, motion_heatmap(flow, DEFAULT_SETTINGS))


@pytest.mark.parametrize(("scenario", "words"), [("bulbs", "all"), ("traffic_light", "turns")])
def test_a_light_that_turns_on_is_found_only_when_asked_for(scenario: str, words: str) -> None:
    clip = drawn(scenario, 1, words)
    without, with_change = (clip_heatmap(clip.frames, s) for s in (DEFAULT_SETTINGS, CHANGE))
    assert iou(with_change, clip.mask) > iou(without, clip.mask) + 0.2
    assert iou(with_change, clip.mask) > 0.5


def test_asking_for_changes_adds_little_to_what_only_moves() -> None:
    clip = drawn("balloons", 1, "dips", 160)
    without, with_change = (clip_heatmap(clip.frames, s) > 0.5 for s in (DEFAULT_SETTINGS, CHANGE))
    assert not (without & ~with_change).any()
    assert with_change.sum() < 1.15 * without.sum()


def test_the_camera_is_taken_out_of_the_motion_but_not_out_of_the_change() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.standard_normal((64, 80)).astype(np.float32), (0, 0), 2)
    grey = (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)
    wide = np.repeat(grey[..., None], 3, axis=2)
    frames = np.stack([wide[:, 8 + x : 72 + x] for x in (0, 2)])
    frames[0, 28:36, 30:38], frames[1, 28:36, 28:36] = (200, 0, 0), (0, 200, 0)
    settings = {"camera": True, "evidence": "pixels", "sharp": False}
    heat = clip_heatmap(frames, HeatmapSettings(change=30, **settings))
    assert heat[0, 30:34, 32:36].min() > 0.5
    without = clip_heatmap(frames, HeatmapSettings(**settings))
    for panned in (heat, without):
        assert panned[0, :12, 8:-8].max() < 0.5


def test_wrong_shapes_and_limits_are_refused() -> None:
    frames = still((1, 2, 3), (4, 5, 6))
    flow = np.zeros((1, 2, 64, 64), np.float32)
    with pytest.raises(ValueError, match=r"flow should be \(1, 2, 64, 64\), got \(1, 2, 64, 60\)"):
        colour_change(frames, flow[..., :60])
    with pytest.raises(ValueError, match=r"change should be \(1, 64, 64\), got \(2, 64, 64\)"):
        motion_heatmap(flow, CHANGE, change=np.zeros((2, 64, 64), np.float32))
    with pytest.raises(ValueError, match="change should be at least 0, got -1"):
        HeatmapSettings(change=-1)
    assert colour_change(frames[:1], flow[:0]).shape == (0, 64, 64)


def test_settings_written_without_the_new_options_are_still_read(tmp_path: Path) -> None:
    old = {"unit": "maximum", "slope": 100.0, "threshold": 0.05, "floor": 0.3,
           "percentile": 99.0, "noise": 2.5}  # fmt: skip
    grey = np.zeros((2, 4, 4), np.uint8)
    np.savez(tmp_path / "old.npz", heatmap=grey, settings=np.array(json.dumps(old)))
    _, settings = load_heatmap(tmp_path / "old.npz")
    assert settings is not None
    assert {name: getattr(settings, name) for name in old} == old
    assert settings == replace(WIDE, floor=0.3, flow_size=0)  # maps were wide then
    assert (settings.source, settings.flow_size, settings.camera) == ("dis", 0, False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 5), (8, 64)])
def test_frames_of_any_size_have_evidence_and_change(shape: tuple[int, int]) -> None:
    frames = np.zeros((2, *shape, 3), np.uint8)
    frames[1] = 200
    assert motion_evidence(frames, 2.5).all()
    assert clip_heatmap(frames, replace(PIXEL_SETTINGS, change=12))[0].min() > 0.5
