"""From optical flow to heat: the paper's sigmoid of the magnitude, in each unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from square_over_ground import COLD, SIZE, square_over
from steady import steady

from motifocal.motion.heatmap import UNITS, HeatmapSettings, clip_heatmap, motion_heatmap


def uniform_flow(*magnitudes: float, size: int = 20) -> np.ndarray:
    """(F-1, 2, size, size): every vector of pair l is magnitudes[l] long, in direction (3, 4)."""
    length = np.array(magnitudes, np.float32)[:, None, None, None]
    direction = np.array([0.6, 0.8], np.float32)[None, :, None, None]
    return length * direction * np.ones((1, 1, size, size), np.float32)


def sigma(x: float) -> float:
    return 1 / (1 + np.exp(100 * (0.05 - x)))


def test_heat_is_the_papers_sigma_of_the_magnitude_in_each_unit() -> None:
    flow = uniform_flow(0.04, 0.06, 1.5)
    for unit, length in {"pixels": 1.0, "fraction": 20.0, "maximum": 1.5}.items():
        heat = motion_heatmap(flow, HeatmapSettings(unit=unit, floor=0))
        expected = [sigma(m / length) for m in (0.04, 0.06, 1.5, 1.5)]
        np.testing.assert_allclose(heat[:, 3, 4], expected, rtol=1e-4)
    heat = motion_heatmap(flow, HeatmapSettings(unit="percentile", percentile=50, floor=0))
    np.testing.assert_allclose(heat[:2, 0, 0], [sigma(0.04 / 0.06), sigma(1)], rtol=1e-4)


def test_heat_l_belongs_to_the_flow_from_frame_l_on_and_the_last_repeats() -> None:
    heat = motion_heatmap(uniform_flow(0.0, 5.0, 0.0, 2.0))
    assert heat.shape == (5, 20, 20)
    assert heat.dtype == np.float32
    assert (heat > 0.5).all(axis=(1, 2)).tolist() == [False, True, False, True, True]
    assert np.array_equal(heat[-1], heat[-2])


def test_a_single_frame_is_cold() -> None:
    heat = motion_heatmap(np.zeros((0, 2, 5, 6), np.float32))
    assert heat.shape == (1, 5, 6)
    assert heat.max() < COLD
    frames, _ = square_over("grass", frames=1)
    assert clip_heatmap(frames).shape == (1, SIZE, SIZE)


@steady
@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=6),
    st.sampled_from(sorted(UNITS)),
    st.sampled_from([0.0, 0.3]),
    st.floats(1, 1e4),
)
def test_heat_is_in_range_and_grows_with_the_motion(
    magnitudes: list[float], unit: str, floor: float, slope: float
) -> None:
    settings = HeatmapSettings(unit=unit, floor=floor, slope=slope)
    heat = motion_heatmap(uniform_flow(*sorted(magnitudes), size=2), settings)
    assert heat.min() >= 0
    assert heat.max() <= 1
    assert (np.diff(heat, axis=0) >= 0).all()


@pytest.mark.parametrize("unit", UNITS)
def test_motion_below_the_floor_is_never_hot(unit: str) -> None:
    slow = uniform_flow(0.29, 0.0)
    assert motion_heatmap(slow, HeatmapSettings(unit=unit, floor=0.3)).max() < 0.5
    if unit != "fraction":  # there 0.29 px of 20 is below the threshold anyway
        assert motion_heatmap(slow, HeatmapSettings(unit=unit, floor=0)).max() > 0.5


def test_fast_clips_do_not_feel_the_floor() -> None:
    flow = uniform_flow(8.0, 0.5, 0.2)
    with_floor = motion_heatmap(flow, HeatmapSettings(floor=0.3))
    assert np.array_equal(with_floor, motion_heatmap(flow, HeatmapSettings(floor=0)))


@pytest.mark.parametrize("unit", ["fraction", "maximum", "percentile"])
def test_relative_units_do_not_depend_on_the_resolution(unit: str) -> None:
    flow = uniform_flow(40.0, 3.0, 1.0)
    larger = 2 * flow.repeat(2, axis=2).repeat(2, axis=3)
    settings = HeatmapSettings(unit=unit, floor=0)
    np.testing.assert_allclose(
        motion_heatmap(larger, settings)[:, ::2, ::2], motion_heatmap(flow, settings), rtol=1e-5
    )


def test_one_wrong_vector_moves_the_maximum_but_not_the_percentile() -> None:
    flow = uniform_flow(2.0, 2.0)
    flow[0, :, 0, 0] = 500
    assert (motion_heatmap(flow, HeatmapSettings(unit="maximum"))[1] < 0.5).all()
    assert (motion_heatmap(flow, HeatmapSettings(unit="percentile"))[1] > 0.5).all()


def test_flow_without_evidence_counts_as_rest_and_does_not_set_the_unit() -> None:
    flow = uniform_flow(1.0)
    flow[..., :10] = 100
    evidence = np.ones((1, 20, 20), bool)
    evidence[..., :10] = False
    heat = motion_heatmap(flow, evidence=evidence)
    assert heat[..., :10].max() < COLD
    assert heat[..., 10:].min() > 0.5


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (np.zeros((2, 20, 20), np.float32), r"flow should be \(F-1, 2, H, W\), got \(2, 20, 20\)"),
        (np.zeros((2, 20, 20, 2), np.float32), r"flow should be \(F-1, 2, H, W\)"),
        (np.full((1, 2, 4, 4), np.nan, np.float32), "flow should be finite, got 32 not"),
        (np.full((1, 2, 4, 4), np.inf, np.float32), "flow should be finite"),
    ],
)
def test_flow_of_another_kind_is_refused(flow: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        motion_heatmap(flow)


def test_evidence_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evidence should be \(1, 20, 20\), got \(2, 20, 20\)"):
        motion_heatmap(uniform_flow(1.0), evidence=np.ones((2, 20, 20), bool))
