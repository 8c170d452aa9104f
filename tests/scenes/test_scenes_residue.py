"""The residue of living scenes: as strong as in generated clips, cold in the heatmap."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from motifocal.motion.heatmap import clip_heatmap
from motifocal.scenes.drawing.residue import LEVELS, REST, exposure, shake, sway
from motifocal.scenes.drawing.sensor import compress, grain
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import Background, SceneVariant

ROOT = Path(__file__).parents[2]


@cache
def study() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        return importlib.import_module("residue_study")


def published(component: str) -> dict[int, float]:
    """Quantiles of the generated clips at 64 pixels in docs/scenes.md."""
    text = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8")
    table = text.partition("<!-- residue -->")[2].partition("<!-- /residue -->")[0]
    percents = [int(q) for q in re.findall(r"(\d+) %", table.strip().splitlines()[0])]
    (row,) = (line for line in table.splitlines()
              if line.startswith(f"| {component} | generated, 64 pixels |"))
    return dict(zip(percents, map(float, re.findall(r"[\d.]+", row.split("pixels |")[-1])),
                    strict=True))


@pytest.mark.slow
def test_calm_and_lively_stand_inside_the_histogram_of_generated_clips() -> None:
    residues = {level: [r for r in study().drawn(SceneVariant(level), 64, 1) if r]
                for level in LEVELS}
    for component, words in study().WORDS.items():
        measured = published(words)
        calm, lively = (np.nanmedian([getattr(r, component) for r in residues[level]])
                        for level in ("calm", "lively"))
        assert measured[5] <= calm <= measured[50], component
        assert measured[50] < lively <= measured[95], component


def test_the_study_finds_the_residue_that_was_put_in() -> None:
    """Smoothing by 1.1 pixels gives a correlation of 1/e at 2.2 of them."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (80, 80)).astype(np.float32), (0, 0), 2)
    texture = 120 + (texture - texture.mean()) * 3
    moves = rng.normal(0, 0.2, (12, 2))
    flicker = rng.normal(0, 1.5, 12)
    noise = rng.standard_normal((12, 80, 80)).astype(np.float32)
    noise = np.stack([cv2.GaussianBlur(n, (0, 0), 1.1) for n in noise])
    noise *= 2 / noise.std()
    frames = []
    for move, bright, here in zip(moves, flicker, noise, strict=True):
        matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]])
        moved = cv2.warpAffine(texture, matrix, (80, 80), flags=cv2.INTER_CUBIC)
        frames.append(np.clip(np.rint(moved + bright + here), 0, 255))
    clip = np.repeat(np.array(frames, np.uint8)[..., None], 3, axis=-1)
    still = np.zeros((80, 80), np.bool_)
    still[6:-6, 6:-6] = True
    residue = study().measure(clip, still)
    assert residue.deviation == pytest.approx(2, rel=0.15)
    assert residue.length == pytest.approx(2.2, rel=0.15)
    assert residue.flicker == pytest.approx(np.diff(flicker).std() / np.sqrt(2), rel=0.15)
    step = 1000 / 80 * np.sqrt(np.mean(np.square(np.diff(moves, axis=0))))
    assert residue.step == pytest.approx(step, rel=0.2)
    assert study().measure(clip, np.zeros_like(still)) is None


@pytest.mark.parametrize(("level", "most"), [("calm", 0.002), ("lively", 0.03)])
def test_the_heatmap_keeps_the_residue_cold(level: Background, most: float) -> None:
    hot, named = {}, []
    for strength in (REST, LEVELS[level]):
        shares = []
        for name in sorted(SCENARIOS)[::2]:
            stage = make_stage(name, "train", 3, SceneVariant(level))
            clip = render(stage, stage.actions[0], level=strength)
            away = cv2.dilate(clip.mask.any(axis=0).astype(np.uint8), np.ones((9, 9))) == 0
            heat = clip_heatmap(clip.frames, workers=1)
            shares.append((heat[:, away] > 0.5).mean() if away.any() else 0.0)
            named.append((heat[clip.mask] > 0.5).mean())
        hot[strength] = float(np.mean(shares))
    assert hot[LEVELS[level]] - hot[REST] < most
    assert np.median(named) > 0.6


def test_each_signal_is_the_start_of_a_longer_one() -> None:
    level = LEVELS["lively"]
    assert np.array_equal(shake(5, 6, 0.1), shake(5, 16, 0.1)[:6])
    assert np.array_equal(exposure(5, 6, level), exposure(5, 16, level)[:6])
    frames = np.full((8, 16, 16, 3), 100, np.uint8)
    assert np.array_equal(grain(frames[:3], 5, level), grain(frames, 5, level)[:3])
    noisy = frames + grain(frames, 5, level)
    assert np.allclose(compress(noisy[:3], 6), compress(noisy, 6)[:3], atol=1e-3)


def test_the_grain_of_a_grey_picture_has_the_deviation_of_its_level() -> None:
    frames = np.full((6, 64, 64, 3), 128, np.uint8)
    for level in LEVELS.values():
        brightness = grain(frames, 1, level) @ np.array([0.299, 0.587, 0.114])
        assert brightness.std() == pytest.approx(level.grain, rel=0.05)
        assert abs(brightness.mean()) < 0.1 * level.grain


def test_the_exposure_flickers_about_one_by_its_deviation() -> None:
    level = LEVELS["lively"]
    gains = np.stack([exposure(seed, 16, level) for seed in range(200)])
    brightness = gains @ np.array([0.299, 0.587, 0.114])
    assert brightness.mean() == pytest.approx(1, abs=0.001)
    assert brightness.std() == pytest.approx(level.flicker, rel=0.1)


def test_compression_skips_what_changes_little_and_follows_what_changes_much() -> None:
    frames = np.full((4, 20, 28, 3), 90, np.float32)
    frames[1:] += 0.3
    frames[2:, 8:16, 8:16] = (200, 60, 30)
    kept = compress(frames, 6)
    assert kept.shape == frames.shape
    assert np.allclose(kept[1, :8], kept[0, :8], atol=1e-3)
    assert np.abs(kept[3, 8:16, 8:16] - frames[3, 8:16, 8:16]).max() < 6
    assert np.abs(compress(frames, 1e-3) - frames).max() < 0.01


def test_wind_moves_what_grows_and_flows_and_leaves_walls_alone() -> None:
    place = np.linspace(0, 1, 9)
    assert sway(3, "brick", 2, place, place, 0.01) is None
    assert sway(3, "meadow", 2, place, place, 0.0) is None
    for background in ("meadow", "water", "clouds"):
        steps = [sway(3, background, frame, place, place, 0.01) for frame in range(4)]
        assert all(0.001 < np.abs(step).max() < 0.04 for step in steps)
        assert not np.array_equal(steps[0], steps[1])
