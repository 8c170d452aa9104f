"""Collect the motion vectors of predicted frames from a decoder, and sum them between frames.

F frames, h w pixels of reduced frames, n m blocks of 8 x 8 pixels. Flow is `(F-1, 2, h, w)`.

A vector says from where in another frame, shown before or after, a block was predicted. Over the
time between the two it is a velocity, which is taken for constant: it counts for the motion from
the frame before and to the frame after. So where blocks are stored whole, without vectors, those of
the frame before or after count; none are no motion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.frame_pixels import Shape, StoredShapes, stored_shapes, upright_vectors
from motifocal.media.frame_times import DECODE_TIMES, Decoder, decoder_of
from motifocal.media.picture import VideoError

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: (2, n, m): x and y of each block.
Blocks = NDArray[np.float32]

_BLOCK = 8  # pixels; no decoder hands out smaller ones
_MOST_AT_ONCE = 64  # frames that a decoder may give for one packet, when it is flushed
_WHOLE, _BOTH_WAYS = 1, 3  # AV_PICTURE_TYPE_I and _B in FFmpeg's libavutil/avutil.h
_ZEROED = "mpeg4"  # of its frames predicted both ways FFmpeg hands out zeros: motion goes on
# Of the lengths of what moves at all, pixels of reduced frames: longer ones are the encoder's
# accidents, of which one would set the unit "maximum".
_LONGEST, _MOVES = 98, 0.1
# FFmpeg's AVMotionVector (libavutil/motion_vector.h); pairs are x and y, or width and height.
_VECTOR = np.dtype([("source", "i4"), ("size", "u1", 2), ("src", "i2", 2), ("dst", "i2", 2),
                    ("flags", "u8"), ("motion", "i4", 2), ("scale", "u2")], align=True)  # fmt: skip
_BLOCKS_AT_ONCE = 2**15
# Frames that no other refers to need no smoothing of block edges to be compared.
_OPTIONS = {"flags2": "+export_mvs", "skip_loop_filter": "noref"}


class BlockMotion:
    """Motion between the frames that are read of a video, collected while they are decoded.

    `shape` gives the (h, w) to which displayed frames (H, W) are reduced, and their flow. With
    `grey` frames are read as luma.
    """

    def __init__(self, path: Path, shape: Shape, *, grey: bool = False) -> None:
        self.path, self.shape, self.grey = path, shape, grey
        self._first: tuple[VideoFrame, StoredShapes] | None = None
        self._blocks = 0, 0  # (n, m)
        self._codec = ""
        self.seen = self._predicted = False  # any vectors; frames that are predicted
        # Many frames at once are summed up in less time than one at a time.
        self._waiting: list[_FrameVectors] = []
        self._before: tuple[int, Blocks] | None = None  # time and sums (3, n, m) of the last frame
        # From each frame to the next, from `_start` on; the first may be over several frames.
        self._steps: list[Blocks] = []
        self._start = 0
        self._asked: list[int] = []  # frames that were taken, whose motion is not summed up yet
        self._taken: int | None = None
        self._ways: list[Blocks] = []  # between the frames that are taken

    def decoder(self, path: Path, stream: VideoStream) -> Decoder:
        """Return the stream's decoder; the frames that it gives leave their vectors here."""
        context = stream.codec_context
        context.options = {**context.options, **_OPTIONS}
        self._codec, decode = context.name, decoder_of(path, stream)
        clock = _Clock(stream.container.format.name not in DECODE_TIMES)

        def watched(packet: Packet) -> list[VideoFrame]:
            if packet.size:
                clock.send(packet)
            frames = decode(packet)
            for frame in frames:
                self._add(stream, frame, clock)
            if self._waiting and len(self._waiting) * math.prod(self._blocks) > _BLOCKS_AT_ONCE:
                self._sum_up()
            return frames

        return watched

    def _add(self, stream: VideoStream, frame: VideoFrame, clock: _Clock) -> None:
        if self._first is None:
            self._first = frame, stored_shapes(stream, frame, self.shape)
            self._blocks = -(-frame.height // _BLOCK), -(-frame.width // _BLOCK)
        first = self._first[0]
        if (frame.width, frame.height) != (first.width, first.height):
            sizes = f"{frame.width}x{frame.height}, the first is {first.width}x{first.height}"
            raise VideoError(f"{self.path}: a frame is {sizes}")
        side_data = cast("Mapping[str, Buffer]", frame.side_data)  # PyAV's hints know only one key
        vectors, kind = side_data.get("MOTION_VECTORS"), int(frame.pict_type)
        self.seen |= vectors is not None
        self._predicted |= kind != _WHOLE
        zeroed = self._codec == _ZEROED and kind == _BOTH_WAYS
        self._waiting.append(_FrameVectors(*clock.times(frame), zeroed, bytes(vectors or b"")))

    def take(self, number: int) -> None:
        """Sum the motion from the frame that was taken before to this one, the `number`-th."""
        self._asked.append(number)

    def _sum_up(self) -> None:
        """Sum up what was decoded, between the frames that were taken."""
        times = [frame.time for frame in self._waiting]
        sums = _sums(self._waiting, *self._blocks)
        goes_on = [frame.zeroed for frame in self._waiting]
        if self._before is not None:
            times, goes_on = [self._before[0], *times], [False, *goes_on]
            sums = np.concatenate([self._before[1][None], sums])
        for index in np.flatnonzero(goes_on[1:]):
            sums[index + 1] = sums[index]
        both = sums[1:] + sums[:-1]
        ticks = np.maximum(np.diff(times), 0).astype(np.float32)
        self._steps.extend(both[:, :2] / np.maximum(both[:, 2:], 1) * ticks[:, None, None, None])
        self._before = times[-1], sums[-1].copy()
        self._waiting.clear()
        self._follow()
        while len(self._steps) > _MOST_AT_ONCE:  # of a long video, few are kept
            self._steps[:2] = [] if self._taken is None else [_chained(self._steps[:2])]
            self._start += 1

    def _follow(self) -> None:
        """Follow the blocks of what is summed up to the frames that were taken."""
        for number in self._asked:
            steps = self._steps[: number - self._start]
            if self._taken is not None:
                still = np.zeros((2, *self._blocks), np.float32)
                self._ways.append(_chained(steps) if steps else still)
            del self._steps[: number - self._start]
            self._start = self._taken = number
        self._asked.clear()

    def flow(self) -> NDArray[np.float32]:
        """Return the flow between the frames that were taken, in pixels of the reduced frames.

        Raises VideoError where the decoder gave no vectors at all.
        """
        if self._first is None:
            raise VideoError(f"{self.path}: images have no motion vectors; use --source dis")
        if len(self._ways) + len(self._asked) > 1 and not self.seen:
            why = (f"FFmpeg gives no motion vectors of its codec, {self._codec}" if self._predicted
                   else f"its codec, {self._codec}, stores every frame whole, without motion "
                   "vectors")  # fmt: skip
            raise VideoError(f"{self.path}: {why}; use --source dis")
        if self._waiting:
            self._sum_up()
        self._follow()
        return _placed(self._ways, *self._first)


class _Clock:
    """Tells when frames are shown, and how far from those that their vectors refer to, in ticks.

    Decoders only tell whether a vector refers to a frame shown before or after. It is taken for the
    nearest that was decoded before and that others refer to: encoders list it first. Where packets
    have no times, frames count, and how far the next such frame lies is not known.
    """

    def __init__(self, timed: bool) -> None:
        self.timed = timed
        self._sent: dict[int, int] = {}  # time shown -> how many were decoded before
        self._packets = self._shown = 0
        self._anchor: int | None = None  # the last frame that is not predicted from both sides
        self._reference: int | None = None  # the last one that others refer to
        self._latest = -1

    def send(self, packet: Packet) -> None:
        """Note a packet that is going to be decoded."""
        if self.timed and packet.pts is not None:
            self._sent[packet.pts] = self._packets
        self._packets += 1

    def times(self, frame: VideoFrame) -> tuple[int, int, int]:
        """Return when a frame is shown, how long after the one before, how long before the next.

        The latter two of those that it is predicted from; 0 where it is not known.
        """
        both_ways = int(frame.pict_type) == _BOTH_WAYS
        rank = self._sent.pop(frame.pts, None) if frame.pts is not None else None
        time = self._shown if rank is None or frame.pts is None else frame.pts
        from_ = self._reference if both_ways else self._anchor
        later = [] if rank is None else [shown for shown, decoded in self._sent.items()
                                         if shown > time and decoded < rank]  # fmt: skip
        if not both_ways:
            self._anchor = time
        # One that is shown after a frame which was decoded later is there to be referred to.
        if not both_ways or (rank is not None and rank < self._latest):
            self._reference = time
        self._latest = max(self._latest, -1 if rank is None else rank)
        self._shown += 1
        if rank is not None:  # of packets without a frame of their own, as of second fields
            self._sent = {shown: decoded for shown, decoded in self._sent.items() if shown > time}
        return time, 0 if from_ is None else time - from_, min(later) - time if later else 0


class _FrameVectors(NamedTuple):
    """The vectors of a frame, as FFmpeg lays them out, and when it is shown, in ticks.

    `past` and `future` are how long after and before the frames that it is predicted from, 0 where
    that is not known. What is `zeroed` has vectors of no meaning: motion goes on.
    """

    time: int
    past: int
    future: int
    zeroed: bool
    vectors: bytes


def _sums(frames: Sequence[_FrameVectors], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the sum of velocities in each block, pixels a tick, and their number: (F, 3, n, m)."""
    values = np.frombuffer(b"".join(frame.vectors for frame in frames), _VECTOR)
    counts = [len(frame.vectors) // _VECTOR.itemsize for frame in frames]
    index = np.repeat(np.arange(len(frames)), counts)
    past, future = (np.repeat(ticks, counts) for ticks in zip(
        *((-frame.past, frame.future) for frame in frames), strict=True))  # fmt: skip
    ticks = np.where(values["source"] < 0, past, future)
    if not ticks.all():
        known = ticks != 0
        values, ticks, index = values[known], ticks[known], index[known]
    velocity = values["motion"].T / (ticks * np.maximum(values["scale"], 1))
    size = values["size"].T
    column, row = (values["dst"].T - (size >> 1) + _BLOCK // 2) // _BLOCK
    wide, high = size > _BLOCK
    shape = len(frames), 2, 2, rows, columns
    place = np.ravel_multi_index((index, high, wide, row, column), shape, mode="clip")
    by_size = np.array([np.bincount(place, weights, math.prod(shape))
                        for weights in (*velocity, None)], np.float32)  # fmt: skip
    parts = by_size.reshape(3, *shape)
    # What is 16 pixels high covers two rows of blocks, what is as wide two columns.
    low, tall = parts[:, :, 0], parts[:, :, 1]
    low += tall
    low[..., 1:, :] += tall[..., :-1, :]
    narrow, broad = low[:, :, 0], low[:, :, 1]
    narrow += broad
    narrow[..., 1:] += broad[..., :-1]
    return narrow.swapaxes(0, 1)


def _chained(steps: list[Blocks]) -> Blocks:
    """Follow each block's motion from frame to frame: its whole way, (2, n, m)."""
    if len(steps) == 1:
        return steps[0]
    whole = steps[0].copy()
    y, x = np.mgrid[: whole.shape[1], : whole.shape[2]].astype(np.float32)
    for step in steps[1:]:
        to_x, to_y = x + whole[0] / _BLOCK, y + whole[1] / _BLOCK
        whole += [cv2.remap(part, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                  for part in step]  # fmt: skip
    return whole


def _placed(ways: list[Blocks], frame: VideoFrame, shapes: StoredShapes) -> NDArray[np.float32]:
    """Return the motion of blocks at the pixels of reduced, displayed frames: (F-1, 2, h, w)."""
    height, width = shapes.converted
    scale = width / frame.width, height / frame.height
    rows, columns = -(-frame.height // _BLOCK), -(-frame.width // _BLOCK)
    # The last blocks may reach beyond the frame.
    size = (round(columns * _BLOCK * scale[0]), round(rows * _BLOCK * scale[1]))
    # Without single blocks, which are mostly wrong.
    smooth = np.array([[cv2.medianBlur(part * np.float32(factor), 3)
                        for part, factor in zip(way, scale, strict=True)]
                       for way in ways], np.float32).reshape(-1, 2, rows, columns)  # fmt: skip
    field = np.empty((len(ways), 2, *size[::-1]), np.float32)
    for blocks, here in zip(shortened(smooth), field, strict=True):
        for part, large in zip(blocks, here, strict=True):
            cv2.resize(part, size, dst=large)
    return upright_vectors(field[..., :height, :width], frame)


def shortened(ways: Blocks) -> Blocks:
    """Cut the few longest vectors of (F-1, 2, n, m) to the length of the others."""
    length = np.hypot(ways[:, 0], ways[:, 1])
    moving = length[length > _MOVES]
    if not moving.size:
        return ways
    longest = np.percentile(moving, _LONGEST).astype(np.float32)
    return ways * (longest / np.maximum(length, longest))[:, None]
