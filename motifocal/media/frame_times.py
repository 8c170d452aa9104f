"""Put the decoded frames of a container in display order, each with its time; resample them.

One rule for every command; docs/reading.md states it for users.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from motifocal.media.picture import Shot, Source, VideoError
from motifocal.media.pyav_versions import duration_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: These store when a frame is decoded, not when it is shown; the presentation times that FFmpeg
#: makes up for them run backwards where frames are stored in another order than shown (B-frames).
DECODE_TIMES = frozenset({"avi", "asf"})
#: Seconds for which resampling repeats a frame. No recording stands still for longer, but a clock
#: that jumps, to the time of day or past the end of its counter, asks for billions of repeats.
MAX_REPEATED = 3600
_NO_TIMES = 0x80  # AVFMT_NOTIMESTAMPS in FFmpeg's libavformat/avformat.h: raw streams

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

#: A packet becomes the frames that are complete with it; one without data flushes the decoder.
Decoder: TypeAlias = "Callable[[Packet], list[VideoFrame]]"


def is_same_rate(fps: float, declared: float) -> bool:
    """Tell whether two rates differ by 0.15 % or less: 24 and 23.976 frames/s mean the same."""
    return abs(fps / declared - 1) <= 0.0015


def jump_after(number: int, seconds: float | Fraction) -> str:
    """Say that the clock jumps after a frame which is shown for so long; "" where it does not."""
    if seconds <= MAX_REPEATED:
        return ""
    return (f"its times jump: frame {number} would be repeated for {float(seconds):,.0f} s, at "
            f"most {MAX_REPEATED:,} s are allowed")


def resampled_shots(path: Path, source: Source, target: Fraction) -> Source:
    """Take the frames seen at times 0, 1 / target, 2 / target, ... until the source ends.

    Its shots raise VideoError where a frame is shown for longer than MAX_REPEATED.
    """
    declared = source.rate or target
    rate = declared if is_same_rate(float(target), float(declared)) else target

    def shots() -> Iterator[Shot]:
        count = 0
        for number, shot in enumerate(source.shots):
            if reason := jump_after(number, shot.end - shot.start):
                raise VideoError(f"{path}: {reason}")
            pixels = cache(shot.pixels)  # converted once, however often the frame is repeated
            # Containers round times to their grain (Matroska: 1 ms, GIF: 10 ms), so a frame that
            # is due at k / rate may be stored as starting that much later.
            while Fraction(count) / rate + source.grain < shot.end:
                yield shot._replace(start=count / rate, end=(count + 1) / rate, pixels=pixels)
                count += 1

    return Source(shots(), rate, source.grain)


class TimedFrame(NamedTuple):
    """A frame shown from `start` on for `duration`, both in s; `start` by the file's own clock."""

    frame: VideoFrame
    start: Fraction
    duration: Fraction


def timed_frames(
    path: Path, container: InputContainer, stream: VideoStream, decode: Decoder, rate: Fraction
) -> Iterator[TimedFrame]:
    """Yield every frame with its time, as it is decoded; `rate` is in frames/s.

    A frame is shown at its presentation time, in AVI and ASF the k-th frame at the k-th decode
    time. A frame without a time comes 1 / rate after the one before it, as all of a raw stream do.

    Raises VideoError for a damaged frame, for times that run backwards, and where a container that
    stores times has none for its first frame; FFmpegError where decoding fails.
    """
    decode_times = container.format.name in DECODE_TIMES
    ordered = _at_decode_times if decode_times else _at_presentation_times
    raw = bool(container.format.flags & _NO_TIMES)
    before: Fraction | None = None
    shortest = Fraction(0)
    for count, (frame, stamp, ticks) in enumerate(ordered(container, stream, decode)):
        if frame.is_corrupt:
            raise VideoError(f"{path}: frame {count} is damaged")
        if stamp is None and (raw or before is not None):
            stamp = Fraction(0) if before is None else before + 1 / rate
        time = _checked(path, count, stamp, before)
        if before is not None and time > before:
            shortest = min(time - before, shortest or time - before)
        # The rate that AVI declares may be that of a clock which is faster than the frames.
        stored = ticks * (frame.time_base or Fraction(0))
        yield TimedFrame(frame, time, (shortest if decode_times else stored) or 1 / rate)
        before = time


def _checked(path: Path, count: int, time: Fraction | None, before: Fraction | None) -> Fraction:
    """Return the time of frame `count`; VideoError where it has none or lies before the last."""
    if time is None:  # frames before the start of a cut: some programs show them and some do not
        cause = "as after cutting without encoding; encode it again"
        raise VideoError(f"{path}: its first frames have no time, {cause}")
    if before is not None and time < before:
        order = f"frame {count} is shown before frame {count - 1}"
        raise VideoError(f"{path}: {order}, its times are damaged")
    return time


def _at_presentation_times(
    container: InputContainer, stream: VideoStream, decode: Decoder
) -> Iterator[tuple[VideoFrame, Fraction | None, int]]:
    """Yield frames with their times and durations, the latter in ticks of the frame."""
    durations: dict[int | None, int] = {}
    for packet in container.demux(stream):
        durations[packet.pts] = packet.duration or 0
        for frame in decode(packet):
            ticks = duration_of(frame, durations.pop(frame.pts, 0))
            yield frame, _seconds(frame.pts, frame.time_base), ticks


def _at_decode_times(
    container: InputContainer, stream: VideoStream, decode: Decoder
) -> Iterator[tuple[VideoFrame, Fraction | None, int]]:
    """Yield frames, as many as packets and in order, each with the earliest time left.

    Durations are 0, as these containers store none.
    """
    waiting: list[int] = []
    for packet in container.demux(stream):
        if packet.size and packet.dts is not None:
            heapq.heappush(waiting, packet.dts)
        for frame in decode(packet):
            first = heapq.heappop(waiting) if waiting else None
            yield frame, _seconds(first, stream.time_base), 0


def _seconds(ticks: int | None, tick: Fraction | None) -> Fraction | None:
    return None if ticks is None or tick is None else ticks * tick


def announces_alpha(stream: VideoStream) -> bool:
    """Tell whether a stream of VP8 or VP9 has transparency, which FFmpeg's own decoder drops."""
    announced = {value for key, value in stream.metadata.items() if key.lower() == "alpha_mode"}
    return stream.codec_context.name in _WITH_ALPHA and announced == {"1"}  # Matroska's AlphaMode


def decoder_of(path: Path, stream: VideoStream) -> Decoder:
    """Return FFmpeg's own decoder, or libvpx's for VP8 and VP9 with transparency.

    Raises VideoError where transparency is announced and FFmpeg was built without libvpx.
    """
    if not announces_alpha(stream):
        return lambda packet: packet.decode()
    import av

    name = _WITH_ALPHA[stream.codec_context.name]
    if name not in av.codec.codecs_available:
        raise VideoError(f"{path}: has transparency, which needs FFmpeg with libvpx")
    context = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    context.options = stream.codec_context.options
    return lambda packet: context.decode(packet if packet.size else None)
