"""Temporal residue of a living background: changes that no prompt describes.

Real clips are never exactly still. The residue has six components: sensor grain, exposure and
white-balance flicker, background that sways or ripples, hand-held shake, compression, and movers
that no prompt names. All are functions of the stage's seed and the number of the frame, so that
every prompt of an image shares them, and a shorter clip is the start of a longer one.

Letters: F frames, h w cells of a coarse grid. Lengths are in image widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from motifocal.scenes.variant import Background

Vectors = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]

SHAKE, SWAY, EXPOSURE, GRAIN, MOVERS = range(5)  # one stream of random numbers for each component


@dataclass(frozen=True)
class Level:
    """The strength of each component; 0 leaves it out.

    Attributes:
        grain: standard deviation of the grain in grey levels, at any size.
        grain_length: standard deviation of the grain's smoothing, in pixels.
        flicker: standard deviation of the exposure, relative.
        white_balance: standard deviation of each colour channel's gain, relative.
        sway: amplitude of swaying and rippling, image widths.
        shake: standard deviation of the hand-held shift along each axis, image widths.
        quantiser: step of the compression's quantiser, grey levels.
        movers: the largest number of movers that no prompt names; a stage draws 0 up to it.
    """

    grain: float
    grain_length: float
    flicker: float
    white_balance: float
    sway: float
    shake: float
    quantiser: float
    movers: int


REST = Level(0, 0, 0, 0, 0, 0, 0, 0)
# "calm" stands at the 25th percentile of generated clips, "lively" between the 75th and the 90th,
# in all that can be measured where nothing moves: docs/scenes.md, scripts/residue_study.py.
LEVELS: Mapping[Background, Level] = MappingProxyType({
    "calm": Level(grain=0.45, grain_length=0.5, flicker=0.0009, white_balance=0.0018, sway=0.001,
                  shake=0.0001, quantiser=3.0, movers=0),
    "lively": Level(grain=0.75, grain_length=0.9, flicker=0.0025, white_balance=0.005, sway=0.004,
                    shake=0.0005, quantiser=6.0, movers=3),
})


@dataclass(frozen=True)
class Wave:
    """One travelling wave of a displacement field."""

    direction: tuple[float, float]  # of the displacement, times the amplitude
    cycles: tuple[float, float]  # along x and y, per image width
    speed: float  # cycles a frame
    phase: float


# How each background moves by itself: displacement along x and y, waves per image width, cycles
# a frame (8 frames a second). What is not named is rigid.
MOTIONS: Mapping[str, tuple[tuple[float, float], tuple[float, float], float]] = MappingProxyType({
    "meadow": ((1.0, 0.35), (1.5, 4.0), 0.12),
    "bokeh": ((1.0, 0.6), (0.8, 2.0), 0.09),
    "water": ((0.5, 1.0), (2.5, 6.0), 0.16),
    "clouds": ((0.7, 0.2), (0.4, 1.2), 0.03),
    "fabric": ((0.5, 0.5), (0.6, 1.6), 0.05),
})


def stream(seed: int, component: int) -> np.random.Generator:
    """The random numbers of one component for the stage with this background seed."""
    return np.random.default_rng([seed, 7001, component])


def shake(seed: int, frames: int, deviation: float) -> Vectors:
    """Return the hand-held shift of each frame, (F, 2) in image widths, the first one 0."""
    rng = stream(seed, SHAKE)
    speed = np.array([0.04, 0.11, 0.23])[:, None] * rng.uniform(0.8, 1.2, (3, 2))
    weight = np.array([0.8, 0.5, 0.33])[:, None]  # slow sway, breath, tremor: about 1 in all
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    angle = 2 * np.pi * speed * np.arange(frames)[:, None, None] + phase
    path: Vectors = (weight * np.sin(angle)).sum(axis=1) * np.sqrt(2) * deviation
    return path - path[0]


def exposure(seed: int, frames: int, level: Level) -> Field:
    """Return the gain of each frame and colour channel, (F, 3), about 1.

    Half of the variance drifts over some five frames, half is new in each frame.
    """
    draws = stream(seed, EXPOSURE).standard_normal((frames, 8))
    slow = np.empty((frames, 4))
    state = draws[0, :4]
    for frame in range(frames):
        state = state if frame == 0 else 0.8 * state + 0.6 * draws[frame, :4]
        slow[frame] = state
    both = (slow + draws[:, 4:]) / np.sqrt(2)
    # The colours' gains leave the brightness of grey as it is.
    tint = both[:, 1:] - (both[:, 1:] @ np.array([0.299, 0.587, 0.114]))[:, None]
    gain = 1 + level.flicker * both[:, :1] + level.white_balance * tint
    return np.asarray(gain, np.float32)


@lru_cache(maxsize=8)
def _waves(seed: int, background: str) -> tuple[Wave, ...]:
    """Return the three waves that move this background."""
    along, (fewest, most), speed = MOTIONS[background]
    rng = stream(seed, SWAY)
    waves = []
    for _ in range(3):
        angle, cycles = rng.uniform(0, 2 * np.pi), rng.uniform(fewest, most)
        waves.append(Wave((along[0] * rng.uniform(0.5, 1), along[1] * rng.uniform(-1, 1)),
                          (cycles * np.cos(angle), cycles * np.sin(angle)),
                          speed * rng.uniform(0.6, 1.4), rng.uniform(0, 2 * np.pi)))
    return tuple(waves)


def sway(
    seed: int, background: str, frame: int, x: Vectors, y: Vectors, amplitude: float
) -> Field | None:
    """How far a background is displaced at the crossings of x (w) and y (h); None where rigid.

    (h, w, 2) in image widths, as are x and y.
    """
    if background not in MOTIONS or amplitude <= 0:
        return None
    field = np.zeros((len(y), len(x), 2), np.float32)
    for wave in _waves(seed, background):
        along = 2 * np.pi * (wave.cycles[0] * x - wave.speed * frame) + wave.phase
        down = 2 * np.pi * wave.cycles[1] * y
        # sin(along + down), from one row and one column.
        height = np.outer(np.cos(down), np.sin(along)) + np.outer(np.sin(down), np.cos(along))
        field[..., 0] += height * wave.direction[0]
        field[..., 1] += height * wave.direction[1]
    return field * np.float32(amplitude)
