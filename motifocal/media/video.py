"""Read videos as uint8 RGB frames with their rate and times, and write them.

B batch, F frames, C channels, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB; inside the
project a video is `(C, F, H, W)` float in [-1, 1] (`to_tensor`, `to_frames`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motifocal.files.atomic import replacing
from motifocal.files.remote import to_path
from motifocal.media.arrays import Frames, Image, check_frames, check_image
from motifocal.media.block_motion import BlockMotion
from motifocal.media.codec import opened_container, write_gif, write_mp4
from motifocal.media.file_kind import is_picture, picture_grain
from motifocal.media.frame_pixels import naming
from motifocal.media.frame_times import resampled_shots
from motifocal.media.picture import (
    Shot,
    Source,
    VideoError,
    folder_shots,
    picture_shots,
    read_image,
    resize_crop,
    write_image,
)
from motifocal.media.video_files import list_videos

if TYPE_CHECKING:
    import torch

__all__ = [
    "Clip",
    "VideoError",
    "count_frames",
    "list_videos",
    "read_frames",
    "read_image",
    "read_video",
    "resize_crop",
    "to_frames",
    "to_tensor",
    "write_image",
    "write_video",
]

# The rate of images without times: that of TI2V-Bench's outputs.
DEFAULT_FPS = Fraction(8)
# One clip holds at most this much; a longer one has to be bounded by num_frames or stride.
MAX_CLIP_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames as they appear on screen.

    `frames` is `(F, H, W, 3)` uint8 RGB, `fps` the rate at which these frames play at the speed
    of the source, `timestamps` `(F,)` float64 seconds since the source's first frame.
    """

    frames: Frames
    fps: float
    timestamps: NDArray[np.float64]


def read_video(
    path: str | Path, *, fps: float | None = None, num_frames: int | None = None, stride: int = 1,
    start: int = 0, motion: BlockMotion | None = None,
) -> Clip:
    """Read frames start, start + stride, ... of a video file, GIF, folder of images or image.

    With `fps` the frames are the source's resampled by their timestamps: output frame k shows the
    latest source frame that starts at or before k / fps (our reading; constant and variable rates
    alike). An fps within 0.15 % of the source's rate means that rate, so that 24 of a 23.976 video
    repeats no frame. A frame is repeated for an hour at most: where the clock jumps, the video is
    refused. Without `fps` every source frame counts once. Images have no times: `fps` is then
    their rate, 8 if absent.

    With `num_frames` exactly that many are returned and decoding stops there; damage further on
    goes unseen. The display matrix is applied, transparency is composited on white, pixels that
    are not square are made so by scaling the width, and HDR is brought to SDR. `motion` collects
    the motion vectors of a video file between what is returned, and says how it is scaled.

    Raises VideoError (one line: file and cause) when the file is missing, empty, damaged,
    truncated, no video or too large, or ends too early for `num_frames`.
    """
    if stride < 1 or start < 0 or (num_frames is not None and num_frames < 1):
        given = f"stride {stride}, start {start}, num_frames {num_frames}"
        raise ValueError(f"stride and num_frames should be >= 1 and start >= 0, got {given}")
    path = Path(path)
    stop = None if num_frames is None else start + (num_frames - 1) * stride + 1
    with _opened(path, fps, motion) as source:
        frames, times = _collected(path, islice(source.shots, start, stop, stride), motion)
    if not frames or (num_frames is not None and len(frames) < num_frames):
        expected = f"{num_frames or 'the'} frames from frame {start} on with stride {stride}"
        raise VideoError(f"{path}: too short, holds {len(frames)} of {expected}")
    rate = _rate(times, stride, source)
    return Clip(np.stack(frames), float(rate / stride), np.array([float(t) for t, _ in times]))


def read_frames(
    path: str | Path, indices: Sequence[int], motion: BlockMotion | None = None
) -> Frames:
    """Read the frames with these indices, (F, H, W, 3) uint8, in this order, repeats included.

    Indices count frames as `read_video` without `fps` returns them. Only these are converted and
    kept; decoding stops at the last of them. `motion` is as in `read_video`, in the order shown.
    Raises VideoError for what `read_video` raises it for, and where the video ends too early.
    """
    path, chosen, in_order = Path(path), frozenset(indices), sorted({*indices})
    if not in_order or in_order[0] < 0:
        raise ValueError(f"indices should be at least one and >= 0, got {list(indices)}")
    with stored(path, DEFAULT_FPS, motion) as source:
        shots = enumerate(islice(source.shots, in_order[-1] + 1))
        frames, _ = _collected(path, (shot for index, shot in shots if index in chosen), motion)
    if len(frames) < len(in_order):
        raise VideoError(f"{path}: too short, it has no frame {in_order[len(frames)]}")
    place = {index: position for position, index in enumerate(in_order)}
    return np.stack([frames[place[index]] for index in indices])


def count_frames(path: str | Path, *, fps: float | None = None) -> int:
    """Count the frames that `read_video(path, fps=fps)` returns; decodes all, keeps none."""
    with _opened(Path(path), fps) as source:
        return sum(1 for _ in source.shots)


def to_tensor(frames: Frames) -> torch.Tensor:
    """Convert `(F, H, W, 3)` uint8 to `(C, F, H, W)` float32 in [-1, 1]; `to_frames` undoes it."""
    import torch

    check_frames(frames)
    # torch.tensor copies: from_numpy warns when the array cannot be written to.
    pixels = torch.tensor(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))
    return pixels.to(torch.float32) / 127.5 - 1.0


def to_frames(video: torch.Tensor) -> Frames:
    """Convert `(C, F, H, W)` float to `(F, H, W, 3)` uint8, rounded and clamped to [-1, 1].

    The exact inverse of `to_tensor`. Raises ValueError for another shape and for NaN.
    """
    if video.ndim != 4 or video.shape[0] != 3:
        raise ValueError(f"video should be (3, F, H, W), got {tuple(video.shape)}")
    values = video.detach().float().cpu()
    if bool(values.isnan().any()):
        raise ValueError("video should hold numbers, got NaN")
    pixels: Frames = ((values + 1.0) * 127.5).round().clamp(0, 255).byte().numpy()
    return np.ascontiguousarray(pixels.transpose(1, 2, 3, 0))


def write_video(path: str | Path, frames: Iterable[Image], fps: float, crf: int = 18) -> None:
    """Write `(F, H, W, 3)` uint8, or an iterable of `(H, W, 3)`, as .mp4 or looping .gif.

    MP4 is H.264 4:2:0 (`crf`: 0 to 51, lower is better) with the index in front. It needs even
    sizes: an odd last row or column is repeated once. GIF has one palette for all frames and no
    dither, so that what stands still stays still; at most 50 frames/s.

    The same frames give the same bytes. The file appears whole or not at all. Raises ValueError
    for frames of wrong type or differing size, VideoError for another suffix or a missing folder.
    """
    path = to_path(path)
    rate = _fraction(fps, 1001)
    if not 0 <= crf <= 51:
        raise ValueError(f"crf should be from 0 to 51, got {crf}")
    writers: dict[str, Callable[[Path, Iterator[Image], Fraction], None]]
    writers = {".mp4": partial(write_mp4, crf=crf), ".gif": write_gif}
    if path.suffix.lower() not in writers:
        raise VideoError(f"{path}: should end in .mp4 or .gif")
    with naming(path, "cannot be written"), replacing(path) as temporary:
        writers[path.suffix.lower()](temporary, _checked(frames), rate)


def _fraction(fps: float, largest_denominator: int) -> Fraction:
    """Return the nearest fraction; 1001 is the NTSC rates' denominator. ValueError if not > 0."""
    rate = Fraction(fps).limit_denominator(largest_denominator) if math.isfinite(fps) else None
    if rate is None or rate <= 0:
        raise ValueError(f"fps should be positive and finite, got {fps}")
    return rate


@contextmanager
def _opened(path: Path, fps: float | None, motion: BlockMotion | None = None) -> Iterator[Source]:
    """Open the frames of any source, resampled to `fps` if given."""
    rate = None if fps is None else _fraction(fps, 100_000)
    with stored(path, rate or DEFAULT_FPS, motion) as source:
        yield source if rate is None else resampled_shots(path, source, rate)


@contextmanager
def stored(path: Path, still_rate: Fraction, motion: BlockMotion | None = None) -> Iterator[Source]:
    """Open the frames of any source as they are stored; those without times run at `still_rate`."""
    if path.is_dir():
        yield Source(folder_shots(path, still_rate), still_rate, Fraction(0))
    elif is_picture(path):
        yield Source(picture_shots(path, still_rate), None, picture_grain(path))
    else:
        with opened_container(path, motion) as source:
            yield source


def _collected(
    path: Path, shots: Iterable[Shot], motion: BlockMotion | None
) -> tuple[list[Image], list[tuple[Fraction, Fraction]]]:
    """Collect the pixels of all shots, and when each starts and ends."""
    frames: list[Image] = []
    times = []
    for shot in shots:
        frame = shot.pixels()
        if frames and frame.shape != frames[0].shape:
            sizes = "{1}x{0}, the first is {3}x{2}".format(*frame.shape[:2], *frames[0].shape[:2])
            raise VideoError(f"{path}: frame {len(frames)} is {sizes}")
        if frame.nbytes * (len(frames) + 1) > MAX_CLIP_BYTES:
            size = f"{MAX_CLIP_BYTES / 2**30:g} GiB"
            raise VideoError(f"{path}: more than {size} decoded, set num_frames or a larger stride")
        frames.append(frame)
        times.append((shot.start, shot.end))
        if motion:
            motion.take(shot.number)
    return frames, times


def _rate(times: list[tuple[Fraction, Fraction]], stride: int, source: Source) -> Fraction:
    """Return source frames per second: a declared or whole rate that fits, or measured."""
    (first, first_end), last = times[0], times[-1][0]
    if last <= first:
        duration = first_end - first
        return source.rate or (1 / duration if duration > 0 else DEFAULT_FPS)
    measured = stride * (len(times) - 1) / (last - first)
    for rate, slack in ((source.rate, source.grain), (Fraction(round(measured)), source.grain / 2)):
        if rate and all(
            abs(start - first - index * stride / rate) <= slack
            for index, (start, _) in enumerate(times)
        ):
            return rate
    return measured


def _checked(frames: Iterable[Image]) -> Iterator[Image]:
    """Pass frames on; ValueError where one is no image, differs in size, or there is none."""
    size = None
    for index, frame in enumerate(frames):
        check_image(frame, f"frame {index}")
        size = size or frame.shape
        if frame.shape != size:
            raise ValueError(f"frame {index} should be {size} like the first, got {frame.shape}")
        yield frame
    if size is None:
        raise ValueError("frames should hold at least one (H, W, 3) image, got none")
