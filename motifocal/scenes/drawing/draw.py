"""Draw filled shapes as antialiased pixels, with a map of the object at each pixel.

Letters: N corners of a polygon, S supersampling, H W pixels of the finished image.
World units: the image is 1 wide, x to the right, y down. Colours are RGB, 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]
Points = npt.NDArray[np.float64]

SUBPIXEL_BITS = 4  # cv2.fillPoly takes fixed-point corners; 1/16 of a supersampled pixel

PALETTE: dict[str, Colour] = {
    "red": (214, 48, 49),
    "orange": (242, 134, 36),
    "yellow": (248, 208, 62),
    "green": (56, 164, 82),
    "blue": (46, 108, 218),
    "purple": (134, 74, 192),
    "pink": (240, 122, 172),
    "white": (242, 241, 236),
}


@dataclass(frozen=True)
class Fill:
    """One filled polygon in an object's own coordinates.

    `lit` and `lit_alpha` are the colour and opacity when the object's `look` is 1; in between they
    blend. Only `solid` fills own pixels in the object map: shadows and glows do not.
    """

    points: Points  # (N, 2)
    colour: Colour
    lit: Colour | None = None
    alpha: float = 1.0
    lit_alpha: float | None = None
    solid: bool = True

    def at(self, look: float) -> tuple[Colour, float]:
        """Return the colour and opacity at `look` in [0, 1]."""
        colour = self.colour if self.lit is None else mix(self.colour, self.lit, look)
        if self.lit_alpha is None:
            return colour, self.alpha
        return colour, self.alpha + (self.lit_alpha - self.alpha) * look


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour `share` of the way from `a` to `b`."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` darker (`factor` < 1) or lighter (`factor` > 1, towards white)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    return mix(colour, (255, 255, 255), min(factor - 1, 1.0))


def ellipse(x: float, y: float, rx: float, ry: float, corners: int = 28) -> Points:
    """Return an ellipse with centre (x, y) and half axes (rx, ry)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(x: float, y: float, width: float, height: float, radius: float = 0.0) -> Points:
    """Return a box centred on (x, y); `radius` rounds its corners."""
    w, h = width / 2, height / 2
    if radius <= 0:
        return np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]])
    arc = np.linspace(0, np.pi / 2, 5)
    turn = [(w, h, 0), (-w, h, 1), (-w, -h, 2), (w, -h, 3)]
    corners = [
        [
            x + sx - np.sign(sx) * radius + radius * np.cos(a + quarter * np.pi / 2),
            y + sy - np.sign(sy) * radius + radius * np.sin(a + quarter * np.pi / 2),
        ]
        for sx, sy, quarter in turn
        for a in arc
    ]
    return np.array(corners)


def polygon(*corners: tuple[float, float]) -> Points:
    """Return the polygon with these corners."""
    return np.array(corners, dtype=np.float64)


def ball(x: float, y: float, rx: float, ry: float, colour: Colour) -> tuple[Fill, ...]:
    """Return a shaded ball: dark rim, light towards the upper left, one highlight."""
    steps = ((1.0, 0.72), (0.9, 0.86), (0.76, 1.0), (0.56, 1.1), (0.34, 1.22))
    rings = tuple(
        Fill(
            ellipse(
                x - (1 - share) * rx * 0.42, y - (1 - share) * ry * 0.42, rx * share, ry * share
            ),
            shade(colour, light),
        )
        for share, light in steps
    )
    spot = ellipse(x - rx * 0.36, y - ry * 0.4, rx * 0.16, ry * 0.12, 12)
    return (*rings, Fill(spot, (255, 255, 255), alpha=0.75, solid=False))


def glow(x: float, y: float, radius: float, colour: Colour, strength: float) -> tuple[Fill, ...]:
    """Return a soft halo that is dark at look 0 and bright at look 1; it owns no pixels."""
    return tuple(
        Fill(
            ellipse(x, y, radius * r, radius * r),
            colour,
            alpha=0.0,
            lit_alpha=strength,
            solid=False,
        )
        for r in (1.0, 0.82, 0.66, 0.52)
    )


def shadow(x: float, y: float, rx: float, ry: float, strength: float = 0.16) -> tuple[Fill, ...]:
    """Return a soft shadow on the ground; it owns no pixels."""
    return tuple(
        Fill(ellipse(x, y, rx * r, ry * r), (10, 12, 20), alpha=strength, solid=False)
        for r in (1.0, 0.75, 0.5)
    )


def paint(
    canvas: npt.NDArray[np.uint8], owner: npt.NDArray[np.uint8], points: npt.NDArray[np.float64],
    colour: Colour, alpha: float, number: int,
) -> None:
    """Fill one polygon, corners in canvas pixels, into `canvas` (h, w, 3) and `owner` (h, w)."""
    if alpha <= 0:
        return
    fixed = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    rgb = tuple(float(round(c)) for c in colour)
    if alpha >= 1:
        cv2.fillPoly(canvas, [fixed], rgb, shift=SUBPIXEL_BITS)
    else:
        _blend(canvas, points, fixed, rgb, alpha)
    if number:
        cv2.fillPoly(owner, [fixed], float(number), shift=SUBPIXEL_BITS)


def _blend(
    canvas: npt.NDArray[np.uint8], points: npt.NDArray[np.float64], fixed: npt.NDArray[np.int32],
    rgb: tuple[float, ...], alpha: float,
) -> None:
    """Mix a translucent polygon into the part of the canvas that it covers."""
    height, width = canvas.shape[:2]
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 2
    x1, y1 = min(int(x1), width), min(int(y1), height)
    if x0 >= x1 or y0 >= y1:
        return
    part = canvas[y0:y1, x0:x1]
    over = part.copy()
    corner = np.array([x0, y0], dtype=np.int32) << SUBPIXEL_BITS
    cv2.fillPoly(over, [fixed - corner], rgb, shift=SUBPIXEL_BITS)
    cv2.addWeighted(over, alpha, part, 1 - alpha, 0, dst=part)
