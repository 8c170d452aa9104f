"""Paint textured or photographic-looking backgrounds, by name, from a seeded generator.

Letters: h w pixels of the canvas. Every background is (h, w, 3) uint8 RGB and static: what moves
is drawn on top of it. Patterns scale with the canvas, so a larger image shows the same place.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.scenes.drawing.draw import Colour

Image = npt.NDArray[np.float32]
Generator = np.random.Generator


def noise(rng: Generator, h: int, w: int, cells_y: int, cells_x: int) -> Image:
    """Smooth random values in about [-1, 1], `cells` of them along each side."""
    grid = rng.uniform(-1, 1, (cells_y + 2, cells_x + 2)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)


def octaves(rng: Generator, h: int, w: int, cells: int, count: int = 4, stretch: int = 1) -> Image:
    """Fractal noise: `count` octaves, each twice as fine and half as strong."""
    total = np.zeros((h, w), np.float32)
    for k in range(count):
        total += noise(rng, h, w, cells << k, max(1, (cells << k) // stretch)) * 0.5**k
    return total / 1.6


def ramp(values: Image, *colours: Colour) -> Image:
    """Map values in [0, 1] through evenly spaced colours to (h, w, 3)."""
    stops = np.linspace(0, 1, len(colours))
    table = np.array(colours, np.float32)
    return np.stack([np.interp(values, stops, table[:, c]) for c in range(3)], axis=-1).astype(
        np.float32
    )


def vertical(h: int, w: int) -> Image:
    """0 at the top to 1 at the bottom."""
    return np.broadcast_to(np.linspace(0, 1, h, dtype=np.float32)[:, None], (h, w)).copy()


def _tint(rng: Generator, amount: float = 12) -> Image:
    return rng.uniform(-amount, amount, 3).astype(np.float32)


def sky(rng: Generator, h: int, w: int) -> Image:
    """Return a clear sky, blue above and pale at the horizon."""
    top = (70, 130, 205) if rng.random() < 0.6 else (96, 150, 200)
    return ramp(vertical(h, w), top, (150, 195, 232), (222, 234, 240)) + _tint(rng)


def clouds(rng: Generator, h: int, w: int) -> Image:
    """Return a blue sky with soft clouds."""
    cover = np.clip(octaves(rng, h, w, 3, 4, stretch=2) * 1.1 + 0.35, 0, 1)
    blue = ramp(vertical(h, w), (84, 140, 208), (168, 204, 232))
    white = np.array([246, 247, 250], np.float32)
    return blue + (white - blue) * (cover * 0.8)[..., None] + _tint(rng, 6)


def dusk(rng: Generator, h: int, w: int) -> Image:
    """Return an evening sky, violet above and orange at the horizon."""
    haze = octaves(rng, h, w, 2, 3, stretch=2) * 0.08
    return ramp(vertical(h, w) + haze, (52, 48, 104), (168, 92, 128), (244, 160, 96)) + _tint(
        rng, 8
    )


def night(rng: Generator, h: int, w: int) -> Image:
    """Return a dark blue sky with a few stars."""
    image = ramp(vertical(h, w), (14, 18, 42), (40, 48, 88)) + _tint(rng, 5)
    places = (rng.uniform(0, w, 14), rng.uniform(0, h, 14), rng.uniform(0.4, 1, 14))
    for x, y, size in zip(*places, strict=True):
        radius = max(1, int(h * 0.006 * size))
        cv2.circle(image, (int(x), int(y)), radius, (200, 205, 225), -1)
    return image


def meadow(rng: Generator, h: int, w: int) -> Image:
    """Short grass with patches of light."""
    patches = octaves(rng, h, w, 4, 5) * 0.5 + 0.5
    return ramp(
        np.clip(patches * 0.7 + vertical(h, w) * 0.2, 0, 1),
        (52, 104, 44),
        (98, 158, 66),
        (156, 196, 98),
    ) + _tint(rng, 8)


def sand(rng: Generator, h: int, w: int) -> Image:
    """Fine sand with shallow ripples."""
    grain = octaves(rng, h, w, 8, 4) * 0.3 + octaves(rng, h, w, 6, 2, stretch=3) * 0.25
    return ramp(np.clip(grain + 0.5, 0, 1), (186, 152, 104), (222, 194, 146), (244, 226, 190))


def wood(rng: Generator, h: int, w: int) -> Image:
    """Planks with grain."""
    warp = octaves(rng, h, w, 2, 3, stretch=2) * 2.4
    grain = (
        np.sin(vertical(h, w) * 46 + warp * 5) * 0.22 + octaves(rng, h, w, 12, 2, stretch=6) * 0.2
    )
    base = ramp(np.clip(grain + 0.5, 0, 1), (112, 72, 42), (156, 106, 64), (192, 142, 94))
    for edge in np.arange(1, 4) * h // 4 + int(rng.integers(-h // 16, h // 16 + 1)):
        base[edge : edge + max(1, h // 90)] *= 0.6
    return base + _tint(rng, 8)


def brick(rng: Generator, h: int, w: int) -> Image:
    """Return a brick wall."""
    rows, columns = 9, 5
    image = np.empty((h, w, 3), np.float32)
    image[:] = (176, 164, 152)
    joint = max(1, h // 80)
    for row in range(rows):
        offset = 0.5 * (row % 2)
        y0, y1 = row * h // rows, (row + 1) * h // rows - joint
        for column in range(-1, columns + 1):
            x0 = int((column + offset) * w / columns)
            x1 = int((column + 1 + offset) * w / columns) - joint
            tone = rng.uniform(0.82, 1.12)
            image[y0:y1, max(x0, 0) : max(x1, 0)] = np.array([168, 88, 66], np.float32) * tone
    return image + octaves(rng, h, w, 10, 3)[..., None] * 14 + _tint(rng, 8)


def stone(rng: Generator, h: int, w: int) -> Image:
    """Return a smooth grey wall or table of stone."""
    vein = np.abs(octaves(rng, h, w, 3, 5))
    return ramp(
        np.clip(1 - vein * 1.4, 0, 1), (120, 122, 128), (168, 168, 170), (204, 202, 198)
    ) + (_tint(rng, 10))


def fabric(rng: Generator, h: int, w: int) -> Image:
    """Folded cloth in one colour."""
    colour = np.float32(rng.uniform(70, 190, 3))
    folds = np.sin(noise(rng, h, w, 2, 3) * 5) * 0.16 + octaves(rng, h, w, 10, 2) * 0.06
    return colour * (1 + folds[..., None])


def bokeh(rng: Generator, h: int, w: int) -> Image:
    """Return an out-of-focus room with soft lights."""
    dark = rng.uniform(24, 84, 3)
    image = ramp(
        np.clip(octaves(rng, h, w, 2, 2) * 0.5 + 0.5, 0, 1), tuple(dark), tuple(dark * 1.7)
    )
    for _ in range(9):
        light = np.zeros((h, w), np.float32)
        centre = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
        cv2.circle(
            light, centre, int(h * rng.uniform(0.04, 0.1)), float(rng.uniform(0.15, 0.4)), -1
        )
        image += cv2.GaussianBlur(light, (0, 0), h * 0.012)[..., None] * np.float32(
            rng.uniform(90, 255, 3)
        )
    return image


def water(rng: Generator, h: int, w: int) -> Image:
    """Calm water seen from above."""
    ripples = octaves(rng, h, w, 6, 4, stretch=3) * 0.5 + 0.5
    return ramp(np.clip(ripples, 0, 1), (22, 84, 132), (48, 128, 172), (118, 186, 210)) + _tint(
        rng, 8
    )


BACKGROUNDS: dict[str, Callable[[Generator, int, int], Image]] = {
    "sky": sky,
    "clouds": clouds,
    "dusk": dusk,
    "night": night,
    "meadow": meadow,
    "sand": sand,
    "wood": wood,
    "brick": brick,
    "stone": stone,
    "fabric": fabric,
    "bokeh": bokeh,
    "water": water,
}


def background(name: str, seed: int, size: int) -> npt.NDArray[np.uint8]:
    """Return the background `name` of this seed, (size, size, 3) uint8."""
    if name not in BACKGROUNDS:
        raise ValueError(f"background should be one of {sorted(BACKGROUNDS)}, got {name!r}")
    image = BACKGROUNDS[name](np.random.default_rng(seed), size, size)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
