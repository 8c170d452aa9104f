"""A clip's times become the frames that are trained on, by the rule of the trainer that is used.

Trainers differ in which frames of a clip they take, at which rate, and how they crop. A heatmap
belongs to latents of the very same frames, so the rules are written down here, once: for looking
at what will be trained on, and for making weights that fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from motifocal.picture import Pixels, resize_crop
from motifocal.video import read_frames


@dataclass(frozen=True)
class Timeline:
    """When a clip's frames are shown: their starts and the end of the last, in seconds."""

    starts: tuple[float, ...]
    end: float

    def __post_init__(self) -> None:
        times = (*self.starts, self.end)
        if not self.starts or any(after < before for before, after in pairwise(times)):
            raise ValueError("starts should be at least one, in order, and end before the end")

    @property
    def fps(self) -> float:
        """Frames a second on average."""
        return len(self.starts) / (self.end - self.starts[0])


@dataclass(frozen=True)
class Selection:
    """One sample that a trainer makes of a clip: which frames, at which rate, of which size.

    ``indices`` count the source's frames as stored (a frame that is repeated is there twice),
    ``fps`` is the rate at which they stand for the source's speed. Frames are scaled to cover
    ``height`` x ``width`` pixels and cropped in the middle.
    """

    indices: tuple[int, ...]
    fps: float
    height: int
    width: int

    def differences(self, other: Selection) -> list[str]:
        """What differs from another selection, in words; empty where nothing does."""
        found = []
        if self.indices != other.indices:
            found.append(f"frames {spoken(self.indices)} against {spoken(other.indices)}")
        if abs(self.fps - other.fps) > 1e-3 * self.fps:
            found.append(f"rate {self.fps:g} against {other.fps:g} frames/s")
        if (self.height, self.width) != (other.height, other.width):
            found.append(f"size {self.height}x{self.width} against {other.height}x{other.width}")
        return found


def spoken(indices: tuple[int, ...]) -> str:
    """Frame indices in words: "0-48", "0-96 in steps of 2", or how many of which stretch."""
    if len(indices) == 1:
        return str(indices[0])
    steps = {after - before for before, after in pairwise(indices)}
    text = f"{indices[0]}-{indices[-1]}"
    if steps == {1}:
        return text
    return f"{text} in steps of {steps.pop()}" if len(steps) == 1 else f"{len(indices)} of {text}"


def frames_of(path: str | Path, selection: Selection) -> Pixels:
    """The selection's frames of a video file, scaled and cropped: (F, H, W, 3) uint8.

    Raises VideoError where the file cannot be read or ends before the last of them.
    """
    return resize_crop(read_frames(path, selection.indices), selection.height, selection.width)


@dataclass(frozen=True)
class FrameRule:
    """How a trainer picks frames.

    rule: a key of ``RULES``.
    frames: of one sample, at least 1; of the rule "full" the most.
    fps: the clip is resampled to this rate first; None takes every frame as stored.
    step: frames between the starts of two samples, for the rule "slide".
    samples: how many samples, for the rule "uniform".
    later: for the rule "full": a sample has 1 + a multiple of this many frames.
    """

    rule: str
    frames: int
    fps: float | None = None
    step: int = 1
    samples: int = 1
    later: int = 4

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule should be one of {sorted(RULES)}, got {self.rule!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("frames", "step", "samples", "later") and value < 1:
                raise ValueError(f"{field.name} should be at least 1, got {value}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps should be positive, got {self.fps}")


def selected(
    timeline: Timeline, rule: FrameRule, height: int, width: int
) -> list[Selection]:
    """The samples that the rule makes of a clip, maybe none: it is too short then."""
    indices, fps = _resampled(timeline, rule.fps)
    windows = RULES[rule.rule](len(indices), rule)
    return [Selection(tuple(indices[i] for i in window), fps, height, width) for window in windows]


def _resampled(timeline: Timeline, fps: float | None) -> tuple[list[int], float]:
    """Which frame is seen at 0, 1 / fps, 2 / fps, ... seconds from the first until the end."""
    if fps is None:
        return list(range(len(timeline.starts))), timeline.fps
    starts = np.asarray(timeline.starts) - timeline.starts[0]
    times = np.arange(0, timeline.end - timeline.starts[0] - 1e-6, 1 / fps)
    return (np.searchsorted(starts, times + 1e-6, side="right") - 1).tolist(), fps


# Each rule: how many frames there are, and the settings -> which of them make up each sample.


def _head(count: int, rule: FrameRule) -> list[range]:
    return [range(rule.frames)] if count >= rule.frames else []


def _chunk(count: int, rule: FrameRule) -> list[range]:
    starts = range(0, count - rule.frames + 1, rule.frames)
    return [range(start, start + rule.frames) for start in starts]


def _slide(count: int, rule: FrameRule) -> list[range]:
    starts = range(0, count - rule.frames + 1, rule.step)
    return [range(start, start + rule.frames) for start in starts]


def _uniform(count: int, rule: FrameRule) -> list[range]:
    if count < rule.frames:
        return []
    starts = np.linspace(0, count - rule.frames, rule.samples, dtype=int).tolist()
    return [range(start, start + rule.frames) for start in starts]


def _full(count: int, rule: FrameRule) -> list[range]:
    most = min(count, rule.frames)
    return [range((most - 1) // rule.later * rule.later + 1)]


RULES: dict[str, Callable[[int, FrameRule], list[range]]] = {
    "head": _head,  # the first frames
    "chunk": _chunk,  # one stretch after the other, a short rest left out
    "slide": _slide,  # stretches that overlap
    "uniform": _uniform,  # so many stretches, spread evenly
    "full": _full,  # all frames, up to a number that the autoencoder takes
}


def dynamic_stride(
    num_source_frames: int, num_frames: int, max_stride: int, generator: np.random.Generator
) -> tuple[int, int]:
    """Draws (start, stride) for a training clip: the paper's dynamic frame stride.

    Our reading, as the paper gives no more than the name: the stride is uniform over 1 to
    `max_stride` as far as the source is long enough, then the start uniform over what is left.
    Raises ValueError when the source is shorter than `num_frames`.
    """
    if min(num_frames, max_stride) < 1:
        raise ValueError(f"num_frames, max_stride should be >= 1, got {num_frames}, {max_stride}")
    if num_source_frames < num_frames:
        held = f"the clip holds {num_source_frames}"
        raise ValueError(f"num_frames should be at most what {held}, got {num_frames}")
    longest = (num_source_frames - 1) // (num_frames - 1) if num_frames > 1 else max_stride
    stride = int(generator.integers(1, min(max_stride, longest), endpoint=True))
    last_start = num_source_frames - 1 - (num_frames - 1) * stride
    return int(generator.integers(0, last_start, endpoint=True)), stride
