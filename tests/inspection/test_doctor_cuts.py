"""Cuts are found where they are, and nothing else is one."""

from __future__ import annotations

import numpy as np
import pytest
from doctor_clips import joined, moving, pan, still, tiny

from motifocal.inspection.checks.cuts import find_cuts


@pytest.mark.parametrize("at", [1, 2, 5, 11])
def test_a_cut_is_found_at_the_first_frame_of_the_new_scene(at: int) -> None:
    for seed in range(8):
        clip = joined(moving(seed, at), moving(seed + 50, 12 - at))
        assert find_cuts(tiny(clip)) == [at]


def test_several_cuts_are_all_found() -> None:
    assert find_cuts(tiny(joined(moving(1, 7), pan(2, 6), still(3, 9)))) == [7, 13]


@pytest.mark.parametrize("draw", [moving, pan, still])
@pytest.mark.parametrize("speed", [1.0, 6.0, 12.0])
def test_motion_of_things_and_camera_is_no_cut(draw, speed: float) -> None:
    for seed in range(5):
        clip = still(seed) if draw is still else draw(seed, speed=speed)
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("start", [1, 5, 8])
@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_cut(start: int, length: int) -> None:
    for seed in range(5):
        clip = moving(seed)
        bright = np.minimum(clip[start : start + length].astype(int) + 180, 255)
        clip[start : start + length] = bright
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("factor", [0.4, 1.8])
def test_a_lamp_that_is_switched_is_no_cut(factor: float) -> None:
    for seed in range(5):
        clip = joined(moving(seed, light=min(1.0, 1 / factor)), moving(seed, light=min(1, factor)))
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (16, 16)])
def test_any_shape_can_be_searched_for_cuts(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (6, *shape, 3), dtype=np.uint8)
    assert all(0 < cut < 6 for cut in find_cuts(tiny(clip)))
    assert find_cuts(tiny(clip[:1])) == []
