"""Overlays: what is hot can be seen, what is cold keeps its picture, the bar tells the share."""

from __future__ import annotations

import numpy as np
import pytest

from motifocal.motion.overlay import filmstrip, heatmap_overlay


def clip(frames: int = 4, height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def half_hot(frames: int = 4, height: int = 60, width: int = 80) -> np.ndarray:
    heatmap = np.zeros((frames, height, width), np.float32)
    heatmap[:, :, : width // 2] = 1
    return heatmap


def test_heat_is_tinted_and_cold_is_a_darker_grey_of_the_picture() -> None:
    overlay = heatmap_overlay(clip(), half_hot()).astype(float)
    assert overlay.shape == (4, 60, 80, 3)
    hot, cold = overlay[:, 5:50, 5:35].mean((0, 1, 2)), overlay[:, 5:50, 45:75].mean((0, 1, 2))
    assert hot[0] > hot[1] > hot[2] + 40  # orange
    assert np.ptp(cold) < 5
    assert cold.mean() < clip().mean()
    brightness = clip()[:, 5:50, 45:75].mean(-1).ravel()
    assert np.corrcoef(brightness, overlay[:, 5:50, 45:75].mean(-1).ravel())[0, 1] > 0.99


def test_more_heat_gives_more_tint() -> None:
    grey = np.full((1, 60, 80, 3), 128, np.uint8)
    levels = [np.full((1, 60, 80), level, np.float32) for level in (0.0, 0.1, 0.3, 0.6, 1.0)]
    pixels = [heatmap_overlay(grey, level)[0, 30, 40].astype(int) for level in levels]
    tints = [np.abs(pixel - pixels[0]).sum() for pixel in pixels]
    assert tints == sorted(set(tints))


def test_an_outline_runs_around_what_is_hot_only() -> None:
    grey = np.full((1, 60, 80, 3), 128, np.uint8)
    heatmap = np.zeros((1, 60, 80), np.float32)
    heatmap[0, 20:30, 20:40] = 1
    heatmap[0, 5:10, 60:70] = 0.4
    overlay = heatmap_overlay(grey, heatmap)[0, :-2]
    outlined = (overlay == (90, 255, 255)).all(-1)
    expected = np.zeros((58, 80), bool)
    expected[20:30, 20:40] = True
    expected[21:29, 21:39] = False
    assert np.array_equal(outlined, expected)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_bar_is_as_long_as_the_hot_share(share: float) -> None:
    heatmap = np.zeros((1, 60, 80), np.float32)
    heatmap[:, :, : int(80 * share)] = 1
    bar = heatmap_overlay(clip(1), heatmap)[0, -1]
    assert (bar == (90, 255, 255)).all(-1).sum() == 80 * share
    assert (bar == 24).all(-1).sum() == 80 * (1 - share)


def test_inputs_are_left_alone() -> None:
    frames, heatmap = clip(), half_hot()
    before = frames.copy(), heatmap.copy()
    heatmap_overlay(frames, heatmap)
    assert np.array_equal(frames, before[0])
    assert np.array_equal(heatmap, before[1])


@pytest.mark.parametrize(("frames", "columns", "shown"), [(16, 5, 5), (16, 1, 1), (3, 6, 3)])
def test_a_filmstrip_shows_frames_above_their_overlays(
    frames: int, columns: int, shown: int
) -> None:
    pictures, heatmap = clip(frames), half_hot(frames)
    strip = filmstrip(pictures, heatmap, columns)
    assert strip.shape == (2 * 60 + 4, shown * 84 - 4, 3)
    assert strip.dtype == np.uint8
    assert np.array_equal(strip[:60, :80], pictures[0])
    assert np.array_equal(strip[64:, :80], heatmap_overlay(pictures, heatmap)[0])
    if shown > 1:
        assert np.array_equal(strip[:60, -80:], pictures[-1])
        assert (strip[:, 80:84] == 255).all()


@pytest.mark.parametrize("function", [heatmap_overlay, filmstrip])
def test_pictures_and_maps_that_do_not_fit_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"heatmap should be \(4, 60, 80\), got \(3, 60, 80\)"):
        function(clip(), half_hot(3))
    with pytest.raises(ValueError, match=r"frames should be \(F, H, W, 3\) uint8"):
        function(clip().astype(np.float32), half_hot())
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"heatmap should be in \[0, 1\]"):
            function(clip(), np.full((4, 60, 80), bad, np.float32))


def test_a_filmstrip_needs_a_column() -> None:
    with pytest.raises(ValueError, match="columns should be at least 1, got 0"):
        filmstrip(clip(), half_hot(), 0)
