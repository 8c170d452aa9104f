"""Collect the motion vectors that a decoder has of predicted frames, and sum them between frames.

F frames, h w pixels of reduced frames, n m blocks of 8 x 8 pixels. Flow is `(F-1, 2, h, w)`.

A vector says from where in another frame, shown before or after, a block was predicted. Over the
time between the two it is a velocity, which is taken for constant: it counts for the motion from
the frame before and to the frame after. So where blocks are stored whole, without vectors, those of
the frame before or after count; none are no motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from motifocal.media.frame_pixels import Shape, StoredShapes, stored_shapes, upright_vectors
from motifocal.media.frame_times import DECODE_TIMES, Decoder, decoder_of
from motifocal.media.picture import VideoError

#: (2, n, m): x and y of each block.
Blocks = NDArray[np.float32]

_BLOCK = 8  # pixels; no decoder hands out smaller ones
_MOST_AT_ONCE = 64  # frames that a decoder may give for one packet, when it is flushed
_WHOLE, _BOTH_WAYS = 1, 3  # AV_PICTURE_TYPE_I and _B in FFmpeg's libavutil/avutil.h
_ZEROED = "mpeg4"  # of its frames predicted both ways FFmpeg hands out zeros: motion goes on
# Frames that no other refers to need no smoothing of block edges to be compared.
_OPTIONS = {"flags2": "+export_mvs", "skip_loop_filter": "noref"}


class BlockMotion:
    """Motion between the frames that are read of a video, collected while they are decoded.

    `shape` gives the (h, w) to which displayed frames (H, W) are reduced, and their flow.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path, self.shape = path, shape
        self._first: tuple[VideoFrame, StoredShapes] | None = None
        self._codec = ""
        self._seen = self._predicted = False
        self._before: _Velocities | None = None
        # From each frame to the next, from `_start` on; the first may be over several frames.
        self._steps: list[Blocks] = []
        self._start = 0
        self._taken: int | None = None
        self._flows: list[NDArray[np.float32]] = []

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
            return frames

        return watched

    def _add(self, stream: VideoStream, frame: VideoFrame, clock: _Clock) -> None:
        side_data = cast("Mapping[str, Any]", frame.side_data)  # PyAV's hints know only one key
        vectors = side_data.get("MOTION_VECTORS")
        self._seen |= vectors is not None
        self._predicted |= int(frame.pict_type) != _WHOLE
        now = _velocities(vectors, frame, clock)
        if self._before and self._codec == _ZEROED and int(frame.pict_type) == _BOTH_WAYS:
            now = self._before._replace(time=now.time)
        if self._first is None or self._before is None:
            self._first = frame, stored_shapes(stream, frame, self.shape)
        elif now.total.shape != self._before.total.shape:
            first = self._first[0]
            sizes = f"{frame.width}x{frame.height}, the first is {first.width}x{first.height}"
            raise VideoError(f"{self.path}: a frame is {sizes}")
        else:
            count = np.maximum(now.vectors + self._before.vectors, 1)
            mean = (now.total + self._before.total) / count
            self._steps.append(mean * np.float32(max(now.time - self._before.time, 0)))
        self._before = now
        if len(self._steps) > _MOST_AT_ONCE:  # of a long video, few are kept
            self._steps[:2] = [] if self._taken is None else [_chained(self._steps[:2])]
            self._start += 1

    def take(self, number: int) -> None:
        """Sum the motion from the frame that was taken before to this one, the `number`-th."""
        if self._taken is not None and self._first is not None:
            steps = self._steps[: number - self._start]
            still = np.zeros((2, *self._first[1].reduced), np.float32)
            self._flows.append(_placed(_chained(steps), *self._first) if steps else still)
        del self._steps[: number - self._start]
        self._start = self._taken = number

    def flow(self) -> NDArray[np.float32]:
        """Return the flow between the frames that were taken, in pixels of the reduced frames.

        Raises VideoError where the decoder gave no vectors at all.
        """
        if self._first is None:
            raise VideoError(f"{self.path}: pictures have no motion vectors; use --source dis")
        if self._flows and not self._seen:
            why = (f"FFmpeg gives no motion vectors of its codec, {self._codec}" if self._predicted
                   else f"its codec, {self._codec}, stores every frame whole, without motion "
                   "vectors")  # fmt: skip
            raise VideoError(f"{self.path}: {why}; use --source dis")
        height, width = self._first[1].reduced
        return np.array(self._flows, np.float32).reshape(-1, 2, height, width)


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


class _Velocities(NamedTuple):
    """The sum of the velocities in each block (2, n, m), pixels a tick, and their number (n, m).
    """

    time: int
    total: Blocks
    vectors: NDArray[np.float32]


def _velocities(vectors: Any, frame: VideoFrame, clock: _Clock) -> _Velocities:
    time, past, future = clock.times(frame)
    rows, columns = -(-frame.height // _BLOCK), -(-frame.width // _BLOCK)
    shape = rows, columns
    if vectors is None:
        return _Velocities(time, np.zeros((2, *shape), np.float32), np.zeros(shape, np.float32))
    values = vectors.to_ndarray()
    ticks = np.where(values["source"] < 0, -past, future)
    if not ticks.all():
        values, ticks = values[ticks != 0], ticks[ticks != 0]
    per_tick = np.float32(1) / (ticks * np.maximum(values["motion_scale"], 1))
    wide, high = values["w"], values["h"]
    row = (values["dst_y"].astype(np.int32) - (high >> 1) + _BLOCK // 2) // _BLOCK
    column = (values["dst_x"].astype(np.int32) - (wide >> 1) + _BLOCK // 2) // _BLOCK
    x, y = values["motion_x"] * per_tick, values["motion_y"] * per_tick
    sums = np.zeros((3, rows * columns), np.float32)
    # A block of 16 pixels covers two of 8 along that side.
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        covers = np.flatnonzero((high > down * _BLOCK) & (wide > right * _BLOCK))
        place = (np.maximum(np.minimum(row[covers] + down, rows - 1), 0) * columns
                 + np.maximum(np.minimum(column[covers] + right, columns - 1), 0))  # fmt: skip
        for total, weights in zip(sums, (x[covers], y[covers], None), strict=True):
            total += np.bincount(place, weights, rows * columns)
    return _Velocities(time, sums[:2].reshape(2, *shape), sums[2].reshape(shape))


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


def _placed(blocks: Blocks, frame: VideoFrame, shapes: StoredShapes) -> Blocks:
    """Return the motion of blocks at the pixels of reduced, displayed frames: (2, h, w)."""
    height, width = shapes.converted
    across, along = width / frame.width, height / frame.height
    # The last blocks may reach beyond the frame.
    size = (round(blocks.shape[2] * _BLOCK * across), round(blocks.shape[1] * _BLOCK * along))
    field = np.empty((2, height, width), np.float32)
    for part, here, scale in zip(blocks, field, (across, along), strict=True):
        # Without single blocks, which are mostly wrong.
        large = cv2.resize(cv2.medianBlur(part * np.float32(scale), 3), size)
        here[:] = large[:height, :width]
    return upright_vectors(field, frame)
