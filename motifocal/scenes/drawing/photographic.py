"""Make a drawn background look like a photograph: relief, light, shadows, distance.

Letters: h w pixels of the canvas. Values are float32 in [0, 255] until `photographic_background`
rounds them. As with the plain backgrounds, a larger canvas shows the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.scenes.drawing.backgrounds import BACKGROUNDS, Image, noise, octaves, vertical

Generator = np.random.Generator


@dataclass(frozen=True)
class Surface:
    """What a background is made of.

    Attributes:
        relief: grey levels of light and dark on the slopes of its roughness.
        cells: of the coarsest octave of that roughness.
        stretch: how much longer than high the roughness is.
        mottle: grey levels of slow changes of colour.
        shadows: how many soft shadows lie on it.
        horizon: whether hills and trees stand at its lower edge.
        clutter: how many stones, leaves or stains lie on it.
    """

    relief: float
    cells: int
    stretch: int = 1
    mottle: float = 8.0
    shadows: int = 2
    horizon: bool = False
    clutter: int = 0


SURFACES: Mapping[str, Surface] = MappingProxyType({
    "sky": Surface(relief=5, cells=4, stretch=3, mottle=7, shadows=0, horizon=True),
    "clouds": Surface(relief=9, cells=4, stretch=2, mottle=7, shadows=0, horizon=True),
    "dusk": Surface(relief=7, cells=4, stretch=3, mottle=9, shadows=0, horizon=True),
    "night": Surface(relief=4, cells=5, mottle=6, shadows=0, horizon=True),
    "meadow": Surface(relief=26, cells=24, mottle=12, clutter=40),
    "sand": Surface(relief=20, cells=20, stretch=2, mottle=9, clutter=30),
    "wood": Surface(relief=14, cells=16, stretch=6, mottle=10),
    "brick": Surface(relief=20, cells=32, mottle=12),
    "stone": Surface(relief=22, cells=14, mottle=12, clutter=16),
    "fabric": Surface(relief=14, cells=28, mottle=8),
    "bokeh": Surface(relief=4, cells=5, mottle=14, shadows=0),
    "water": Surface(relief=18, cells=12, stretch=3, mottle=12, shadows=1),
})


def photographic_background(name: str, seed: int, size: int) -> npt.NDArray[np.uint8]:
    """Return the photographic background `name` of this seed, (size, size, 3) uint8."""
    if name not in BACKGROUNDS:
        raise ValueError(f"background should be one of {sorted(BACKGROUNDS)}, got {name!r}")
    image = BACKGROUNDS[name](np.random.default_rng(seed), size, size)
    surface, rng = SURFACES[name], np.random.default_rng([seed, 7002])
    image = image + mottled(rng, size, size, surface.mottle)
    image = image + relief(rng, size, size, surface)[..., None]
    if surface.clutter:
        _scatter(rng, image, surface.clutter)
    if surface.horizon:
        image = _with_horizon(rng, image)
    image = image * light(rng, size, size, surface.shadows)[..., None]
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def surface_light(seed: int, size: int) -> Image:
    """Factors (size, size) about 1 for what is drawn flat and never moves: roads, water, walls."""
    rng = np.random.default_rng([seed, 7004])
    rough = relief(rng, size, size, Surface(relief=0.045, cells=20, stretch=2))
    return np.asarray(light(rng, size, size, shadows=1) * (1 + rough), np.float32)


def mottled(rng: Generator, h: int, w: int, amount: float) -> Image:
    """Slow changes of brightness and, less, of colour, (h, w, 3)."""
    grey = octaves(rng, h, w, 3, 3)[..., None]
    colour = np.stack([noise(rng, h, w, 4, 4) for _ in range(3)], axis=-1)
    return np.asarray(amount * (grey + 0.5 * colour), np.float32)


def relief(rng: Generator, h: int, w: int, surface: Surface) -> Image:
    """Fractal roughness lit from the upper left: its slope and, less, its height, (h, w)."""
    count = max(2, int(np.log2(max(4, h / surface.cells))))
    height = octaves(rng, h, w, surface.cells, min(count, 5), surface.stretch)
    lit = height - np.roll(height, (h // 160 + 1, w // 160 + 1), axis=(0, 1))
    deviation = float(lit.std()) or 1.0
    return np.asarray(surface.relief * (0.7 * lit / deviation + 0.5 * height), np.float32)


def light(rng: Generator, h: int, w: int, shadows: int) -> Image:
    """Factors (h, w): a fall of light across the image, and soft shadows of what is not seen."""
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.3)
    across = np.linspace(-1, 1, w, dtype=np.float32)[None]
    down = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    factors = 1 + np.float32(fall) * (np.cos(angle) * across + np.sin(angle) * down)
    factors = factors - 0.06 * (across**2 + down**2)
    for _ in range(shadows):
        factors = factors * _shadow(rng, h, w)
    return np.asarray(factors, np.float32)


def _shadow(rng: Generator, h: int, w: int) -> Image:
    """Return the shadow of a branch, a pole or a crown of leaves: a ragged band with soft edges."""
    ragged = octaves(rng, h, w, 5, 4)
    angle, place = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
    across = np.linspace(-1, 1, w, dtype=np.float32)[None]
    down = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    distance = np.abs(np.cos(angle) * across + np.sin(angle) * down - place + 0.25 * ragged)
    width, softness = rng.uniform(0.08, 0.25), rng.uniform(0.03, 0.1)
    dark = 1 / (1 + np.exp((distance - width) / softness))
    return np.asarray(1 - rng.uniform(0.2, 0.4) * dark, np.float32)


def _scatter(rng: Generator, image: Image, count: int) -> None:
    """Stones, tufts and leaves of the surface's own colours, each with a shadow, in place."""
    h, w = image.shape[:2]
    for _ in range(count):
        x, y = rng.uniform(0, w), rng.uniform(0, h)
        radius = h * np.exp(rng.uniform(np.log(0.003), np.log(0.018)))
        tone, flat, turn = rng.uniform(0.6, 1.25), rng.uniform(0.4, 0.8), rng.uniform(0, 180)
        own = image[int(min(y, h - 1)), int(min(x, w - 1))] * tone + rng.uniform(-10, 10, 3)
        axes = (max(1, round(radius)), max(1, round(radius * flat)))
        shift = max(1, round(radius * 0.4))
        for dx, colour in ((shift, own * 0.55), (0, own)):
            centre = (round(x) + dx, round(y) + dx)
            cv2.ellipse(image, centre, axes, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA)


def _with_horizon(rng: Generator, image: Image) -> Image:
    """Hills, paler with distance, and a line of trees below a sky."""
    h, w = image.shape[:2]
    haze = image[int(h * 0.75)].mean(axis=0)
    near = np.array([46, 60, 42], np.float32) * rng.uniform(0.7, 1.1)
    rows = vertical(h, w)
    layers = ((0.7, 0.05, 3, 0.75), (0.73, 0.04, 6, 0.5), (0.76, 0.02, 40, 0.15))
    for height, rise, cells, pale in layers:
        ridge = height + rng.uniform(0, 0.04)
        skyline = ridge - rise * octaves(rng, 1, w, cells, 4)[0]
        below = np.clip((rows - skyline[None]) * h * 0.7 + 0.5, 0, 1)[..., None]
        tone = near + (haze - near) * pale
        rough = octaves(rng, h, w, 24, 3)[..., None] * 14 * (1 - pale)
        image = image + (tone * 0.8 + rough - image) * below
    return np.asarray(image, np.float32)


