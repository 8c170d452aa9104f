"""Decode a video file once, and keep the few small frames that the checks need.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB.

Of every frame a tiny copy is kept (cuts, duplicates, stillness, repeats), of some moments two
larger ones (motion, camera, bars) and how sharp they are, and those frames that may be trained on,
at the size at which heat is measured.
So an hour of 4K needs a few hundred megabytes, however long it takes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.data.selection import Timeline
from motifocal.inspection.checks.detail import Losses, loss_ratios
from motifocal.media.arrays import Frames, Image
from motifocal.media.picture import VideoError
from motifocal.media.video import DEFAULT_FPS, stored

#: Longer side of a tiny frame, pixels, and how many are kept of a clip: 90 MB at 16:9.
TINY_SIDE, MAX_SCANNED_FRAMES = 96, 6000
#: Shorter side of the frames on which motion is measured.
SMALL_SIDE = 128
#: Seconds between the two frames of a pair. At an eighth of a second a hundredth of the shorter
#: side a second is 0.16 pixels, still told from nothing, and a whole side a second 16 pixels.
PAIR_SECONDS = 1 / 8
#: Seconds from one pair to the next; doubled, and every second pair dropped, past this many. Flow
#: and camera take 25 ms a pair.
PAIR_STEP, MOST_PAIRS = 0.25, 32
#: Bytes of frames held for heat: the first ones. What a sample needs beyond is read again.
MAX_KEPT_BYTES = 256 * 2**20

# Bytes of pixels after which garbage is collected: PyAV's frames lie in circles, and without this
# 4K video grows to 0.9 GB before Python looks.
_COLLECT = 256 * 2**20


@dataclass(frozen=True, eq=False)
class Pair:
    """Two frames (2, H, W, 3), the index of each, and the seconds from one to the other."""

    frames: Frames
    indices: tuple[int, int]
    seconds: float


@dataclass(eq=False)
class DecodedClip:
    """What was kept of a clip whose frames are (height, width): see the module's head.

    `starts` and `end` are seconds since the first frame, `grain` how exactly they are stored;
    `tiny` (F', h, w, 3) are the first F' <= F frames; `losses` are the ratios that
    ``detail.enlargement`` judges by; `kept_frames` are the first frames by index, as `reduce` made
    them.
    """

    height: int
    width: int
    grain: float
    rate: float | None = None
    file_seconds: float | None = None
    starts: list[float] = field(default_factory=list)
    end: float = 0.0
    tiny: Frames = field(default_factory=lambda: np.empty((0, 1, 1, 3), np.uint8))
    pairs: list[Pair] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    kept_frames: dict[int, Image] = field(default_factory=dict)

    @property
    def timeline(self) -> Timeline:
        """The times in order, even where the file's are not."""
        starts = np.maximum.accumulate(np.asarray(self.starts))
        duration = 1 / 25 if self.end <= starts[0] else 0.0
        end = max(self.end, float(starts[-1])) + duration
        return Timeline(tuple(starts.tolist()), end, self.rate, self.grain, self.file_seconds)

    @property
    def drift(self) -> float:
        """How many frames a count at the mean rate is off at worst, beyond what storing rounds."""
        starts = np.asarray(self.timeline.starts)
        if starts[-1] == starts[0]:
            return 0.0
        off = np.abs(starts - np.linspace(starts[0], starts[-1], len(starts))).max()
        usual = (starts[-1] - starts[0]) / (len(starts) - 1)
        return max(0.0, float((off - self.grain) / usual))


def decode_clip(path: Path, reduce: Callable[[Image], Image]) -> DecodedClip:
    """Decode a clip to its end; `reduce` makes of a frame what is kept of it.

    Raises VideoError where the file cannot be read, or where a frame has another size.
    """
    clip: DecodedClip | None = None
    tiny: list[Image] = []
    pairs, room, last, garbage = _Pairs(), MAX_KEPT_BYTES, None, 0
    with stored(path, DEFAULT_FPS) as source:
        rate = None if source.rate is None else float(source.rate)
        seconds = None if source.seconds is None else float(source.seconds)
        for index, shot in enumerate(source.shots):
            start = float(shot.start)
            if index < MAX_SCANNED_FRAMES or room > 0 or pairs.needs(start):
                pixels = shot.pixels()
                garbage += pixels.nbytes
                if garbage > _COLLECT:
                    gc.collect()
                    garbage = 0
                clip = clip or DecodedClip(*_size(pixels), float(source.grain), rate,
                                         seconds)
                if _size(pixels) != (clip.height, clip.width):
                    sizes = "{1}x{0}, the first is {3}x{2}"
                    sizes = sizes.format(*_size(pixels), clip.height, clip.width)
                    raise VideoError(f"{path}: frame {index} is {sizes}")
                if index < MAX_SCANNED_FRAMES:
                    tiny.append(scaled(pixels, TINY_SIDE, max))
                if room > 0:
                    clip.kept_frames[index] = reduce(pixels)
                    room -= clip.kept_frames[index].nbytes
                if pairs.push(index, start, pixels):
                    clip.losses.append(loss_ratios(pixels))
                last = (index, start, pixels)
            if clip is not None:
                clip.starts.append(start)
                clip.end = float(shot.end)
    if clip is None or last is None:
        raise VideoError(f"{path}: holds no frames")
    pairs.finish(*last)
    clip.pairs, clip.tiny = pairs.made, np.stack(tiny)
    return clip


def read_again(
    path: Path, indices: Sequence[int], reduce: Callable[[Image], Image]
) -> dict[int, Image]:
    """Read frames by index, as `reduce` makes them, one full frame in memory at a time.

    Raises VideoError where the file cannot be read, or ends before the last of them.
    """
    chosen = frozenset(indices)
    frames: dict[int, Image] = {}
    with stored(path, DEFAULT_FPS) as source:
        for index, shot in enumerate(islice(source.shots, max(indices) + 1)):
            if index in chosen:
                frames[index] = reduce(shot.pixels())
    if len(frames) < len(chosen):
        raise VideoError(f"{path}: too short, it has no frame {max(chosen)}")
    return frames


def _size(pixels: Image) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def scaled(pixels: Image, side: int, of: Callable[[tuple[int, int]], int]) -> Image:
    """Shrink a frame (H, W, 3) until its longer (`of` is max) or shorter (min) side is `side`."""
    height, width = pixels.shape[:2]
    scale = side / of((height, width))
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


class _Pairs:
    """Pairs of frames spread over a clip whose length is unknown before its end."""

    def __init__(self) -> None:
        self.made: list[Pair] = []
        self._step, self._next = PAIR_STEP, 0.0
        self._first: tuple[int, float, Image] | None = None

    def needs(self, start: float) -> bool:
        """Tell whether the frame that starts then is the first or the second of a pair."""
        if self._first is None:
            return start >= self._next
        return start - self._first[1] >= PAIR_SECONDS - 1e-3

    def push(self, index: int, start: float, pixels: Image) -> bool:
        """Look at the next frame; true where it is the first of a pair."""
        if not self.needs(start):
            return False
        if self._first is not None:
            self._close(index, start, pixels)
            return False
        self._first = (index, start, scaled(pixels, SMALL_SIDE, min))
        return True

    def finish(self, index: int, start: float, pixels: Image) -> None:
        """Close a waiting pair with the last frame, as in a clip of an instant."""
        if self._first is not None and index > self._first[0]:
            self._close(index, start, pixels)

    def _close(self, index: int, start: float, pixels: Image) -> None:
        assert self._first is not None
        first, since, small = self._first
        frames: NDArray[np.uint8] = np.stack([small, scaled(pixels, SMALL_SIDE, min)])
        seconds = start - since
        self._first, self._next = None, since + self._step
        if seconds > 0:
            self.made.append(Pair(frames, (first, index), seconds))
        if len(self.made) > MOST_PAIRS:
            self.made, self._step = self.made[::2], 2 * self._step
