"""Select the frames of a clip that are trained on, by the rule of the trainer in use.

Trainers differ in which frames of a clip they take, at which rate, and how they crop. A heatmap
belongs to latents of the very same frames, so the rules are written down here, once: for looking
at what will be trained on, and for making weights that fit. ``data/trainers.py`` says which of
them each trainer has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from motifocal.data.resizing import RESIZES, resized
from motifocal.media.arrays import Frames
from motifocal.media.frame_times import is_same_rate, jump_after
from motifocal.media.video import VideoError, read_frames

_NOTHING = 1e-6  # s: times that differ by less are the same


@dataclass(frozen=True)
class Timeline:
    """When a clip's frames are shown: their starts and the end of the last, in seconds.

    ``rate`` is the one that the file declares, ``grain`` the s that it rounds times to: Matroska
    and WebM store ms, so that a frame due at 2 / 30 s may start at 0.067. ``file_seconds`` is how
    long the file says to last, its sound included; None where it does not say.
    """

    starts: tuple[float, ...]
    end: float
    rate: float | None = None
    grain: float = 0.0
    file_seconds: float | None = None

    def __post_init__(self) -> None:
        times = (*self.starts, self.end)
        if not self.starts or any(after < before for before, after in pairwise(times)):
            raise ValueError("starts should be at least one, in order, and end before the end")

    @property
    def fps(self) -> float:
        """Frames a second: the declared rate if the times bear it out, else their average."""
        first, slack, rate = self.starts[0], self.grain + _NOTHING, self.rate
        if rate and all(abs(t - first - k / rate) <= slack for k, t in enumerate(self.starts)):
            return rate
        return len(self.starts) / (self.end - first)


@dataclass(frozen=True)
class Selection:
    """One sample that a trainer makes of a clip: which frames, at which rate, of which size.

    ``indices`` count the source's frames as stored (a frame that is repeated is there twice),
    ``fps`` is the rate at which they stand for the source's speed. Frames are scaled to cover
    ``height`` x ``width`` pixels and cropped in the middle; how that is rounded is ``resize``, a
    key of ``resizing.RESIZES``.
    """

    indices: tuple[int, ...]
    fps: float
    height: int
    width: int
    resize: str = "cover"

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise ValueError(f"resize should be one of {sorted(RESIZES)}, got {self.resize!r}")

    @property
    def repeated(self) -> float:
        """Share of the steps from one frame to the next, 0 to 1, that take the same frame again."""
        steps = [after == before for before, after in pairwise(self.indices)]
        return sum(steps) / max(1, len(steps))

    def differences(self, other: Selection) -> list[str]:
        """Say what differs from another selection; empty where nothing does."""
        words = []
        if self.indices != other.indices:
            frames, others = format_indices(self.indices), format_indices(other.indices)
            words.append(f"frames {frames} against {others}")
        if abs(self.fps - other.fps) > 1e-3 * self.fps:
            words.append(f"rate {self.fps:g} against {other.fps:g} frames/s")
        if (self.height, self.width) != (other.height, other.width):
            words.append(f"size {self.height}x{self.width} against {other.height}x{other.width}")
        if self.resize != other.resize:
            words.append(f"resize and crop {self.resize} against {other.resize}")
        return words


def format_indices(indices: tuple[int, ...]) -> str:
    """Format frame indices: "0-48", "0-96 in steps of 2", or how many of which stretch."""
    if len(indices) == 1:
        return str(indices[0])
    steps = {after - before for before, after in pairwise(indices)}
    text = f"{indices[0]}-{indices[-1]}"
    if steps == {1}:
        return text
    return f"{text} in steps of {steps.pop()}" if len(steps) == 1 else f"{len(indices)} of {text}"


def frames_of(path: str | Path, selection: Selection) -> Frames:
    """Read the selection's frames of a video file, scaled and cropped: (F, H, W, 3) uint8.

    Raises VideoError where the file cannot be read or ends before the last of them.
    """
    frames = read_frames(path, selection.indices)
    return resized(frames, selection.height, selection.width, selection.resize)


@dataclass(frozen=True)
class FrameRule:
    """How a trainer picks frames.

    rule: a key of ``RULES``.
    frames: of one sample, at least 1; of the rules "full" and "stride" the most.
    fps: the clip is resampled to this rate first; None takes every frame as stored.
    step: frames between the starts of two samples, for the rule "slide".
    samples: how many samples, for the rule "uniform".
    later: for the rules "full" and "stride": a sample has 1 + a multiple of this many frames; for
        "cut" only one of a clip that has less than ``frames``.
    resampling: a key of ``RESAMPLING``, where ``fps`` is given.
    source_fps: the rate that the clip is said to have, for the resampling "declared".
    """

    rule: str
    frames: int
    fps: float | None = None
    step: int = 1
    samples: int = 1
    later: int = 4
    resampling: str = "shown"
    source_fps: float | None = None

    def __post_init__(self) -> None:
        for name, known in (("rule", RULES), ("resampling", RESAMPLING)):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ValueError(f"{name} should be one of {sorted(known)}, got {got!r}")
        for name in ("frames", "step", "samples", "later"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, got {getattr(self, name)}")
        for name in ("fps", "source_fps"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise ValueError(f"{name} should be positive, got {rate}")
        if self.resampling == "declared" and self.fps is not None and self.source_fps is None:
            raise ValueError("source_fps should be given for the resampling 'declared', got None")


def selected(
    timeline: Timeline, rule: FrameRule, height: int, width: int, resize: str = "cover"
) -> list[Selection]:
    """Return the samples that the rule makes of a clip; none where it is too short.

    Raises VideoError where a frame would be repeated for more than an hour: the clock jumps.
    """
    indices, fps = resampled(timeline, rule)
    return [
        Selection(tuple(indices[i] for i in window), fps, height, width, resize)
        for window in RULES[rule.rule](len(indices), rule)
    ]


def resampled(timeline: Timeline, rule: FrameRule) -> tuple[list[int], float]:
    """Resample a clip to the rule's rate: frame indices, and the rate at the source's speed."""
    if rule.fps is None:
        return list(range(len(timeline.starts))), timeline.fps
    return RESAMPLING[rule.resampling](timeline, rule.fps, rule.source_fps)


# Each way of resampling: timeline, wanted rate, declared rate -> indices, rate.


def _shown(timeline: Timeline, fps: float, _: float | None) -> tuple[list[int], float]:
    """Take the frame seen at 0, 1 / fps, 2 / fps, ... seconds from the first until the end."""
    _check_jumps(timeline, timeline.end)
    if timeline.rate and is_same_rate(fps, timeline.rate):
        fps = timeline.rate
    starts = np.asarray(timeline.starts) - timeline.starts[0]
    # A frame that is due at a time may be stored as starting a grain later.
    last = timeline.end - timeline.starts[0] - timeline.grain - _NOTHING
    times = np.arange(0, last, 1 / fps) + timeline.grain + _NOTHING
    return (np.searchsorted(starts, times, side="right") - 1).tolist(), fps


def _declared(timeline: Timeline, fps: float, source_fps: float | None) -> tuple[list[int], float]:
    """Count frames: one is kept where a sum of fps / source_fps passes a whole number.

    No frame is ever repeated, so a clip that is slower than ``fps`` stays as it is.
    """
    assert source_fps is not None  # FrameRule has seen to it
    kept: list[int] = []
    position, last = 0.0, -1
    for index in range(len(timeline.starts)):
        # Summed up and not multiplied, as musubi-tuner does: the rounding is part of the rule.
        if int(position) != last:
            kept.append(index)
            last = int(position)
        position += fps / source_fps
    return kept, timeline.fps * len(kept) / len(timeline.starts)


def _rounded(timeline: Timeline, fps: float, _: float | None) -> tuple[list[int], float]:
    """Take for k the frame whose number, at the clip's mean rate, is nearest to time k / fps."""
    seconds = timeline.file_seconds or timeline.end - timeline.starts[0]
    _check_jumps(timeline, timeline.starts[0] + seconds)
    count = math.floor(_printed_seconds(seconds) * fps)
    # The rate is printed with two decimals, too, but ties go to the even digit there.
    rate, last = round(timeline.fps, 2), len(timeline.starts) - 1
    return [min(round(k / fps * rate), last) for k in range(count)], fps


def _check_jumps(timeline: Timeline, end: float) -> None:
    """Raise VideoError where the clock jumps after a frame, the last of which is shown to `end`."""
    for number, (start, after) in enumerate(pairwise((*timeline.starts, end))):
        if reason := jump_after(number, after - start):
            raise VideoError(reason)


def _printed_seconds(seconds: float) -> float:
    """Round a duration as FFmpeg prints it: H:M:S.cc, halves of a hundredth up."""
    hundredths = (round(seconds * 1_000_000) + 5_000) // 10_000
    minutes, rest = divmod(hundredths, 6_000)
    # Summed as imageio does, whose rounding is part of the rule.
    return 3600 * float(minutes // 60) + 60 * float(minutes % 60) + rest / 100


RESAMPLING: dict[str, Callable[[Timeline, float, float | None], tuple[list[int], float]]] = {
    "shown": _shown,  # what a viewer sees, as video.read_video does
    "declared": _declared,  # musubi-tuner, with source_fps in its dataset's configuration
    "rounded": _rounded,  # DiffSynth-Studio, with a fixed frame rate
}


# Each rule: how many frames there are, and the settings -> which of them make up each sample.


def _head(count: int, rule: FrameRule) -> list[Sequence[int]]:
    return [range(rule.frames)] if count >= rule.frames else []


def _chunk(count: int, rule: FrameRule) -> list[Sequence[int]]:
    return _slide(count, replace(rule, step=rule.frames))


def _slide(count: int, rule: FrameRule) -> list[Sequence[int]]:
    starts = range(0, count - rule.frames + 1, rule.step)
    return [range(start, start + rule.frames) for start in starts]


def _uniform(count: int, rule: FrameRule) -> list[Sequence[int]]:
    if count < rule.frames:
        return []
    starts = np.linspace(0, count - rule.frames, rule.samples, dtype=int).tolist()
    return [range(start, start + rule.frames) for start in starts]


def _full(count: int, rule: FrameRule) -> list[Sequence[int]]:
    most = min(count, rule.frames)
    return [range((most - 1) // rule.later * rule.later + 1)] if most else []


def _cut(count: int, rule: FrameRule) -> list[Sequence[int]]:
    return _head(count, rule) or _full(count, rule)


def _stride(count: int, rule: FrameRule) -> list[Sequence[int]]:
    every = range(0, count, max(1, count // rule.frames))[: rule.frames]
    return [every[: (len(every) - 1) // rule.later * rule.later + 1]] if every else []


def _spread(count: int, rule: FrameRule) -> list[Sequence[int]]:
    if count <= rule.frames:
        return [range(count)]
    # torch.linspace(0, count - 1, frames).long(): float32, counted from whichever end is nearer.
    last, step = np.float32(count - 1), np.float32(count - 1) / np.float32(max(1, rule.frames - 1))
    places = np.arange(rule.frames)
    from_end = last - step * (rule.frames - 1 - places).astype(np.float32)
    from_start = step * places.astype(np.float32)
    near_start = places < max(1, rule.frames // 2)
    return [np.where(near_start, from_start, from_end).astype(int).tolist()]


RULES: dict[str, Callable[[int, FrameRule], list[Sequence[int]]]] = {
    "head": _head,  # the first frames
    "chunk": _chunk,  # one stretch after the other, a short rest left out
    "slide": _slide,  # stretches that overlap
    "uniform": _uniform,  # so many stretches, spread evenly
    "full": _full,  # all frames, up to a number that the autoencoder takes
    "cut": _cut,  # the first ones; of a clip that is too short as many as "full" has
    "stride": _stride,  # every n-th frame of the whole clip, from the first on
    "spread": _spread,  # single frames, spread evenly from the first to the last
}
