"""Decode video files to timed frames, and encode MP4 and GIF, through FFmpeg (PyAV).

H W pixels. A frame is `(H, W, 3)` uint8 RGB.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motifocal.media.arrays import Image
from motifocal.media.block_motion import BlockMotion
from motifocal.media.file_kind import is_picture
from motifocal.media.frame_pixels import SWS_ACCURATE, Display, display_of, frame_pixels, naming
from motifocal.media.frame_times import Decoder, TimedFrame, decoder_of, timed_frames
from motifocal.media.mp4_index import check_index
from motifocal.media.picture import MAX_PIXELS, Shot, Source, VideoError, check_size
from motifocal.media.pyav_versions import is_cover, one_thread, options_argument
from motifocal.media.truncation import found_and_declared, lacks_its_end

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A playlist under the name of a video could make the demuxer read other files or the network.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,ivf,nut,mxf,"
    "m4v,h264,hevc,obu,yuv4mpegpipe",
    "max_pixels": str(MAX_PIXELS),
}
#: Quantiser of H.264 for small frames and for a second encoding: what 4:2:0 costs remains.
FINE_CRF = 8
# Averaging chroma down takes smooth frames through 4:2:0 and back at 52 dB, with what
# `frame_pixels` does; the default flags give 40 dB.
_TO_YUV = 0x20 | SWS_ACCURATE  # SWS_AREA
# Numbers of FFmpeg's libavutil/pixfmt.h: PyAV names them since version 17 only.
_BT601_MATRIX = 6  # AVCOL_SPC_SMPTE170M
_BT709_PRIMARIES, _SRGB_TRANSFER = 1, 13  # AVCOL_PRI_BT709, AVCOL_TRC_IEC61966_2_1


def _opened(path: Path) -> InputContainer:
    import av

    with naming(path, "cannot be opened as a video"):
        # An absolute path, as FFmpeg takes "a:b.mp4" for a protocol.
        options: dict[str, Any] = {options_argument(): _OPEN_OPTIONS}
        return av.open(os.path.abspath(path), metadata_errors="replace", **options)


@contextmanager
def opened_container(path: Path, motion: BlockMotion | None = None) -> Iterator[Source]:
    """Open the frames of a video file with their times, decoded as they are asked for.

    `motion` collects their motion vectors; frames are then of its shape.
    """
    with _opened(path) as container:
        stream = _video_stream(path, container)
        if "mp4" in container.format.name:
            check_index(path, stream.id)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
        decode = (motion.decoder if motion else decoder_of)(path, stream)
        frames = _decoded(path, container, stream, rate, decode)
        pixels = partial(frame_pixels, path, stream)
        shots = _shots(frames, partial(pixels, shape=motion.shape, grey=motion.grey)
                       if motion else pixels)  # fmt: skip
        length = container.duration  # microseconds
        seconds = None if length is None else Fraction(length, 1_000_000)
        yield Source(shots, rate, _grain(stream, rate), seconds)


def stored_display(path: Path) -> Display:
    """Read how a video file says that its frames are to be shown; the first frame tells.

    Images, and folders of them, are always upright, square and SDR once they are read. Raises
    VideoError where the file is no video.
    """
    if path.is_dir() or is_picture(path):
        return Display()
    with _opened(path) as container, naming(path, "cannot be decoded"):
        stream = _video_stream(path, container)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise VideoError(f"{path}: holds no frames")
        return display_of(stream, frame)  # a stream's memory is freed with its container


@dataclass(frozen=True)
class StreamFormat:
    """The format of a video stream: container, codec, pixels, size, rates in frames/s.

    `average_rate` is None where the container tells none; `base_rate` is its coarsest clock.
    """

    container: str
    codec: str
    pixel_format: str | None
    width: int
    height: int
    average_rate: Fraction | None
    base_rate: Fraction | None
    guessed_rate: Fraction | None


def stream_format(path: Path) -> StreamFormat:
    """Read the format of a video file's stream without decoding a frame.

    Raises VideoError where the file is no video.
    """
    with _opened(path) as container:
        stream = _video_stream(path, container)
        codec = stream.codec_context
        rates = stream.average_rate, stream.base_rate, stream.guessed_rate
        return StreamFormat(container.format.name, codec.name, codec.pix_fmt, codec.width,
                            codec.height, *rates)


def _grain(stream: VideoStream, rate: Fraction) -> Fraction:
    """Return by how much a frame may be stored too late, in s: one tick of the stream's clock."""
    tick = stream.time_base or Fraction(0)
    # A clock that ticks once a frame (AVI) rounds nothing.
    return min(tick, Fraction(1, 100)) if tick * rate < 1 else Fraction(0)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the first video stream that is not the cover picture of a song."""
    for stream in container.streams.video:
        if not is_cover(stream):
            if stream.codec_context is None:
                raise VideoError(f"{path}: no decoder for its video codec")
            check_size(path, stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams}))
    if not kinds:
        raise VideoError(f"{path}: holds no streams, its index is missing or cut off")
    raise VideoError(f"{path}: holds no moving video, only {kinds}")


def _decoded(
    path: Path, container: InputContainer, stream: VideoStream, rate: Fraction, decode: Decoder
) -> Iterator[TimedFrame]:
    """Decode all frames in the order shown; VideoError if any is damaged or missing."""
    import av

    count, end, stopped = 0, Fraction(0), ""
    try:
        for timed in timed_frames(path, container, stream, decode, rate):
            yield timed
            count, end = count + 1, timed.start + timed.duration
    except av.FFmpegError as error:
        stopped = error.strerror or type(error).__name__
    found, declared = found_and_declared(container, stream, rate, count, end)
    holds = f"holds {found} of {declared or 'an unknown number of'} declared frames"
    if stopped:
        raise VideoError(f"{path}: {holds}, then decoding fails ({stopped})")
    # One frame, or one in twenty, may be missing: rounded durations, frames dropped by a camera.
    if declared - found > max(1, declared / 20):
        raise VideoError(f"{path}: truncated, {holds}")
    if lacks_its_end(path, container.format.name):
        raise VideoError(f"{path}: truncated, its last bytes are missing; {count} frames are left")
    if count == 0:
        raise VideoError(f"{path}: holds no frames")


def _shots(frames: Iterable[TimedFrame], pixels: Callable[[VideoFrame], Image]) -> Iterator[Shot]:
    """Show every frame until the next one starts, the last one for its own duration."""
    origin, previous, number = Fraction(0), None, 0
    for number, timed in enumerate(frames):
        if previous is None:
            origin = timed.start
        else:
            start, end = previous.start - origin, timed.start - origin
            yield Shot(start, end, partial(pixels, previous.frame), number - 1)
        previous = timed
    if previous is not None:
        start = previous.start - origin
        yield Shot(start, start + previous.duration, partial(pixels, previous.frame), number)


def write_mp4(path: Path, frames: Iterator[Image], rate: Fraction, crf: int) -> None:
    """Write H.264 4:2:0 in MP4, index in front; odd sizes gain a copy of their last row or column.

    The BT.601 matrix is used and named in the file, because readers that ignore the name assume
    it. One thread and no encoder name in the container make the bytes repeat, and so does doing
    without x264's macroblock tree: at widths such as 32 and 96 it reads uninitialised memory.
    """
    import av
    from av.video.reformatter import ColorRange

    first = next(frames)
    height, width = (size + size % 2 for size in first.shape[:2])
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(os.path.abspath(path), "w", format="mp4", container_options=options) as container:
        settings = {"crf": str(crf), "mbtree": "0"}
        stream = container.add_stream("libx264", rate=rate, options=settings)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.color_range, stream.colorspace = ColorRange.MPEG, _BT601_MATRIX
        stream.color_primaries, stream.color_trc = _BT709_PRIMARIES, _SRGB_TRANSFER
        stream.thread_count = 1
        for index, frame in enumerate(chain([first], frames)):
            pad = ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0))
            picture = _stamped(np.pad(frame, pad, mode="edge"), index, rate)
            container.mux(stream.encode(_to_yuv(picture)))
        container.mux(stream.encode(None))


def _stamped(frame: Image, index: int, rate: Fraction) -> VideoFrame:
    from av.video.frame import VideoFrame

    picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    picture.pts, picture.time_base = index, 1 / rate
    return picture


def _to_yuv(picture: VideoFrame) -> VideoFrame:
    from av.video.reformatter import ColorRange, Colorspace

    return picture.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=_TO_YUV,
        **one_thread(),
    )


def write_gif(path: Path, frames: Iterator[Image], rate: Fraction) -> None:
    """Write an endless GIF with one palette for all frames; GIF counts time in 1/100 s."""
    import av

    if rate > 50:
        raise ValueError(f"fps should be at most 50 in a GIF, got {float(rate):g}")
    first = next(frames)
    height, width = first.shape[:2]
    graph = _palette_graph(width, height, rate)
    total = 0
    for total, frame in enumerate(chain([first], frames), start=1):
        graph.vpush(_stamped(frame, total - 1, rate))
    graph.vpush(None)
    # Without this the last frame would take the delay of the one before it.
    last_delay = _centiseconds(total, rate) - _centiseconds(total - 1, rate)
    options = {"final_delay": str(last_delay), "fflags": "+bitexact"}
    with av.open(os.path.abspath(path), "w", format="gif", container_options=options) as container:
        stream = container.add_stream("gif", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for _ in range(total):
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))


def _centiseconds(index: int, rate: Fraction) -> int:
    return math.floor(100 * index / rate + Fraction(1, 2))


def _palette_graph(width: int, height: int, rate: Fraction) -> Graph:
    """Make a filter: frames in; after the last, the same in the 255 colours that suit all best.

    Without dither: over seven generated clips and a drawn one that gave 38.5 dB and no flicker,
    where error diffusion changed 10 to 20 % of the pixels that stand still and gave 37 dB.
    """
    from av.filter import Graph
    from av.video.format import VideoFormat

    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat("rgb24"), time_base=1 / rate
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    choose = graph.add("palettegen", "stats_mode=full")
    use = graph.add("paletteuse", "dither=none")
    source.link_to(split)
    split.link_to(choose, 0, 0)
    split.link_to(use, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure(auto_buffer=False)
    return graph
