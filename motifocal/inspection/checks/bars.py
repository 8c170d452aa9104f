"""Find the bars along a clip's edges in small frames: letterbox, pillarbox, or both.

N frames, H W pixels. Frames are `(N, H, W, 3)` uint8 RGB.

A bar has one colour over its whole length and over all frames, ends in a straight line behind
which the picture differs along most of it, and has a partner of the same colour on the opposite
side. So a plain wall behind something, a dark sky or a fade is none. Blurred copies of the picture
beside it, bars with writing on them, and bars on one side alone are not found.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames

#: Grey levels by which a bar may differ from its colour, and the bars of a pair from each other.
MOST_SPAN = 12
#: Grey levels by which the picture behind a bar's end differs from it, along so much of its length.
LEAST_STEP, LEAST_LENGTH = 20, 0.5
#: Rows at its end that need not be plain, as a share of the side, and in pixels of small frames.
SMEARED, _SMEARED = 0.02, 3
#: Least thickness, as a share of the picture's side, and in pixels of the small frames.
LEAST_THICK, _LEAST_PIXELS = 0.015, 2
_PLAIN = 99.5  # percentile of a bar: a codec leaves a few pixels that stand out
_LIT = 75.0  # percentile over frames: a clip may begin or end in the dark


SIDES = ("top", "bottom", "left", "right")  # the order of the fields of Bars


@dataclass(frozen=True)
class Bars:
    """Thickness of each bar as a share of the picture's height (top, bottom) or width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def share_of(self, kept_height: float = 1.0, kept_width: float = 1.0) -> float:
        """Return the fraction that is bars, when the middle of so much of the sides is kept."""
        tall = _left_over(self.top, self.bottom, kept_height)
        wide = _left_over(self.left, self.right, kept_width)
        return 1.0 - tall * wide

    def __bool__(self) -> bool:
        return any(astuple(self))


def find_bars(frames: Frames) -> Bars:
    """Find the bars of frames (N, H, W, 3) that are spread over a clip."""
    signed = frames.astype(np.int16)
    height, width = signed.shape[1:3]
    top, bottom = _pair(signed)
    left, right = _pair(signed[:, top : height - bottom].swapaxes(1, 2))
    return Bars(top / height, bottom / height, left / width, right / width)


def _left_over(first: float, second: float, kept: float) -> float:
    """Return the fraction without bars of the middle `kept` of a side."""
    cut = (1.0 - kept) / 2
    return 1.0 - (max(0.0, first - cut) + max(0.0, second - cut)) / kept


def _pair(frames: NDArray[np.int16]) -> tuple[int, int]:
    """Count the rows of the bars at top and bottom of (N, H, W, 3); 0, 0 without both."""
    first, second = _bar(frames), _bar(frames[:, ::-1])
    least = max(_LEAST_PIXELS, LEAST_THICK * frames.shape[1])
    apart = np.abs(_colour(frames[:, 0]) - _colour(frames[:, -1])).max()
    return (first, second) if min(first, second) >= least and apart <= MOST_SPAN else (0, 0)


def _bar(frames: NDArray[np.int16]) -> int:
    """Count the rows from the first on that are one bar; 0 where it has no straight end."""
    away = np.abs(frames - _colour(frames[:, 0])).max(axis=-1)  # (N, H, W)
    # In most frames, not over all of them together: what moves along the bar's end is no end.
    long = np.percentile(np.mean(away >= LEAST_STEP, axis=2), _LIT, axis=0) >= LEAST_LENGTH
    if not long.any():
        return 0
    end = int(np.argmax(long))
    # A codec smears the picture into the last rows of the bar.
    slack = max(_SMEARED, round(SMEARED * frames.shape[1]))
    plain = away[:, : max(0, end - slack)]
    return end if not plain.size or np.percentile(plain, _PLAIN) <= MOST_SPAN else 0


def _colour(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the colour of a row over all frames (N, W, 3): (3,)."""
    middle: NDArray[np.float64] = np.median(rows, axis=(0, 1))
    return middle
