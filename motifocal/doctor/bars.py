"""Small frames of a clip become the bars along its edges: letterbox, pillarbox, or both.

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

from motifocal.picture import Pixels

#: Grey levels that a bar may span, and by which the two bars of a pair may differ.
MOST_SPAN = 12
#: Grey levels by which the picture behind a bar's end differs from it, along so much of its length.
LEAST_STEP, LEAST_LENGTH = 20, 0.5
#: Rows at its end that need not be plain, as a share of the side, and in pixels of small frames.
SMEARED, _SMEARED = 0.02, 3
#: Least thickness, as a share of the picture's side, and in pixels of the small frames.
LEAST_THICK, _LEAST_PIXELS = 0.015, 2
_EXTREMES = (1.0, 99.0)  # percentiles along a bar: a codec leaves a few pixels that stand out


SIDES = ("top", "bottom", "left", "right")  # the order of the fields of Bars


@dataclass(frozen=True)
class Bars:
    """Thickness of each bar as a share of the picture's height (top, bottom) or width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def share_of(self, kept_height: float = 1.0, kept_width: float = 1.0) -> float:
        """Share of the picture that is bars, when its middle of so much of its sides is kept."""
        tall = _left_over(self.top, self.bottom, kept_height)
        wide = _left_over(self.left, self.right, kept_width)
        return 1.0 - tall * wide

    def __bool__(self) -> bool:
        return any(astuple(self))


def find_bars(frames: Pixels) -> Bars:
    """The bars of frames (N, H, W, 3) that are spread over a clip."""
    low, high = (extreme.astype(np.int16) for extreme in (frames.min(axis=0), frames.max(axis=0)))
    top, bottom = _pair(low, high)
    rows = slice(top, low.shape[0] - bottom)
    left, right = _pair(low[rows].swapaxes(0, 1), high[rows].swapaxes(0, 1))
    height, width = low.shape[:2]
    return Bars(top / height, bottom / height, left / width, right / width)


def _left_over(first: float, second: float, kept: float) -> float:
    """What is picture of the middle `kept` of a side."""
    cut = (1.0 - kept) / 2
    return 1.0 - (max(0.0, first - cut) + max(0.0, second - cut)) / kept


def _pair(low: NDArray[np.int16], high: NDArray[np.int16]) -> tuple[int, int]:
    """Rows of the bars at the start and at the end of (H, W, 3); 0, 0 where there are not both."""
    first, second = _bar(low, high), _bar(low[::-1], high[::-1])
    least = max(_LEAST_PIXELS, LEAST_THICK * len(low))
    if min(first, second) < least:
        return 0, 0
    apart = np.abs(_colour(low, high, 0) - _colour(low, high, -1)).max()
    return (first, second) if apart <= MOST_SPAN else (0, 0)


def _bar(low: NDArray[np.int16], high: NDArray[np.int16]) -> int:
    """How many rows from the first on are one bar; 0 where it has no straight end."""
    colour = _colour(low, high, 0)
    darkest = np.percentile(low, _EXTREMES[0], axis=1)
    lightest = np.percentile(high, _EXTREMES[1], axis=1)
    span: NDArray[np.float64] = np.maximum(lightest - colour, colour - darkest).max(axis=-1)
    step: NDArray[np.float64] = np.maximum(high - colour, colour - low).max(axis=-1)
    picture = np.asarray(np.mean(step >= LEAST_STEP, axis=1)) >= LEAST_LENGTH
    if not picture.any():
        return 0
    end = int(np.argmax(picture))
    # A codec smears the picture into the last rows of the bar.
    slack = max(_SMEARED, round(SMEARED * len(low)))
    return end if span[: max(0, end - slack)].max(initial=0) <= MOST_SPAN else 0


def _colour(low: NDArray[np.int16], high: NDArray[np.int16], row: int) -> NDArray[np.float64]:
    """The colour of a row (W, 3) over all frames: (3,)."""
    middle: NDArray[np.float64] = np.median((low[row] + high[row]) / 2, axis=0)
    return middle
