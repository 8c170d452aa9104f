"""Container files become timed frames through FFmpeg (PyAV), and frames become MP4 and GIF files.

H W pixels. A frame is `(H, W, 3)` uint8 RGB.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.filter import Graph
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from motifocal.picture import MAX_PIXELS, Pixels, Shot, Source, VideoError, check_size, on_white

# A playlist under the name of a video could make the demuxer read other files or the network.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,ivf,nut,mxf,"
    "m4v,h264,hevc,obu,yuv4mpegpipe",
    "max_pixels": str(MAX_PIXELS),
}
# Flags of FFmpeg's scaler (libswscale/swscale.h), as numbers because PyAV names some of them only
# since version 18. Averaging chroma down and interpolating it up takes smooth frames through 4:2:0
# and back at 52 dB; the default flags, which repeat chroma, give 40 dB.
_SWS_BICUBIC, _SWS_AREA, _SWS_FULL_CHROMA, _SWS_ACCURATE = 0x4, 0x20, 0x2000, 0x40000
_TO_RGB = _SWS_BICUBIC | _SWS_FULL_CHROMA | _SWS_ACCURATE
_TO_YUV = _SWS_AREA | _SWS_ACCURATE
_BT601_MATRIX = 6  # AVCOL_SPC_SMPTE170M, in FFmpeg's libavutil/pixfmt.h


@contextmanager
def naming(path: Path, failure: str) -> Iterator[None]:
    """What FFmpeg raises inside the block, or a missing folder, becomes a VideoError."""
    try:
        yield
    except (av.FFmpegError, FileNotFoundError, IsADirectoryError) as error:
        reason = error.strerror or " ".join(map(str, error.args))
        raise VideoError(f"{path}: {failure} ({reason})") from error


def _opened(path: Path) -> InputContainer:
    with naming(path, "cannot be opened as a video"):
        # An absolute path, as FFmpeg takes "a:b.mp4" for a protocol.
        return av.open(os.path.abspath(path), metadata_errors="replace", options=_OPEN_OPTIONS)


@contextmanager
def opened_container(path: Path) -> Iterator[Source]:
    """The frames of a video file with their times, decoded as they are asked for."""
    with _opened(path) as container:
        stream = _video_stream(path, container)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
        frames = _decoded(path, container, stream, rate)
        yield Source(_timed(path, frames, rate), rate, _grain(stream, rate))


def stored_turned(path: Path) -> bool:
    """Whether a video file's display matrix turns or mirrors it: who ignores it sees it lying.

    The first frame tells. Raises VideoError where the file is no video.
    """
    with _opened(path) as container, naming(path, "cannot be decoded"):
        frame = next(container.decode(_video_stream(path, container)), None)
    if frame is None or "DISPLAYMATRIX" not in frame.side_data:
        return False
    a, b, _, d = _display_matrix(frame)
    return abs(b) > abs(a) or a < 0 or d < 0


def _grain(stream: VideoStream, rate: Fraction) -> Fraction:
    """How much later than meant a frame may be stored, in s: one tick of the stream's clock."""
    tick = stream.time_base or Fraction(0)
    # A clock that ticks once a frame (AVI) rounds nothing.
    return min(tick, Fraction(1, 100)) if tick * rate < 1 else Fraction(0)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first video stream that is not the cover picture of a song."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
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
    path: Path, container: InputContainer, stream: VideoStream, rate: Fraction
) -> Iterator[VideoFrame]:
    """All frames in the order shown; VideoError if one is damaged or the last ones are missing."""
    held, end, stopped = 0, Fraction(0), ""
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise VideoError(f"{path}: frame {held} is damaged")
            yield frame
            held += 1
            if frame.pts is not None and frame.time_base is not None:
                end = (frame.pts + frame.duration) * frame.time_base
    except av.FFmpegError as error:
        stopped = error.strerror or type(error).__name__
    found, declared = _found_and_declared(container, stream, rate, held, end)
    holds = f"holds {found} of {declared or 'an unknown number of'} declared frames"
    if stopped:
        raise VideoError(f"{path}: {holds}, then decoding fails ({stopped})")
    # One frame, or one in twenty, may be missing: rounded durations, frames dropped by a camera.
    if declared - found > max(1, declared / 20):
        raise VideoError(f"{path}: truncated, {holds}")
    if held == 0:
        raise VideoError(f"{path}: holds no frames")


def _found_and_declared(
    container: InputContainer, stream: VideoStream, rate: Fraction, held: int, end: Fraction
) -> tuple[int, int]:
    """How many frames there are, and how many the header declared (0 where it does not say)."""
    if stream.frames and "mp4" in container.format.name:
        # The index, unlike the header's count, leaves out what an edit list cuts off.
        return held, sum(not entry.is_discard for entry in stream.index_entries) or stream.frames
    # Elsewhere time tells: AVI counts frames that it does not store because they repeat the last.
    declared = stream.frames or round(_declared_seconds(container, stream) * rate)
    return max(held, round(end * rate)) if declared else held, declared


def _declared_seconds(container: InputContainer, stream: VideoStream) -> Fraction:
    """When the header says that the stream ends; 0 where it says nothing."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    # Matroska and WebM: "00:00:02.000000000"
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""), re.ASCII)
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3])
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def _timed(path: Path, frames: Iterable[VideoFrame], rate: Fraction) -> Iterator[Shot]:
    """Every frame is shown until the next one starts, the last one for its own duration."""
    origin, start, previous = Fraction(0), Fraction(0), None
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base
        else:
            time = start + 1 / rate if previous else Fraction(0)
        if previous is None:
            origin = time
        else:
            yield Shot(start - origin, time - origin, partial(_pixels, path, previous))
        start, previous = time, frame
    if previous is not None:
        shown = previous.duration * (previous.time_base or 0) or 1 / rate
        end = start - origin + shown
        yield Shot(start - origin, end, partial(_pixels, path, previous))


def _pixels(path: Path, frame: VideoFrame) -> Pixels:
    """The frame as `(H, W, 3)` RGB, upright."""
    check_size(path, frame.width, frame.height)
    transparent = any(component.is_alpha for component in frame.format.components)
    with naming(path, "pixels cannot be converted"):
        array: Pixels = frame.to_ndarray(
            format="rgba" if transparent else "rgb24", interpolation=_TO_RGB, threads=1
        ).astype(np.uint8, copy=False)
    rgb = on_white(array) if transparent else array
    return _upright(rgb, frame) if "DISPLAYMATRIX" in frame.side_data else rgb


def _upright(image: Pixels, frame: VideoFrame) -> Pixels:
    """Turned and mirrored as the display matrix says, to the nearest quarter turn."""
    a, b, c, d = _display_matrix(frame)
    if abs(b) > abs(a):
        image, a, d = image.transpose(1, 0, 2), c, b
    image = image[:, ::-1] if a < 0 else image
    return np.ascontiguousarray(image[::-1] if d < 0 else image)


def _display_matrix(frame: VideoFrame) -> list[int]:
    """a, b, c, d: the stored point (x, y) is shown at (a x + c y, b x + d y)."""
    side_data = cast("Mapping[str, Buffer]", frame.side_data)  # PyAV's hints know only one key
    # 9 numbers of 32 bits, row by row.
    matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32).reshape(3, 3)
    numbers: list[int] = matrix[:2, :2].ravel().tolist()
    return numbers


def write_mp4(path: Path, frames: Iterator[Pixels], rate: Fraction, crf: int) -> None:
    """H.264 4:2:0 in MP4, index in front; odd sizes gain a copy of their last row or column.

    The BT.601 matrix is used and named in the file, because readers that ignore the name assume
    it. One thread and no encoder name in the container make the bytes repeat, and so does doing
    without x264's macroblock tree: at widths such as 32 and 96 it reads memory that nobody wrote.
    """
    first = next(frames)
    height, width = (size + size % 2 for size in first.shape[:2])
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(os.path.abspath(path), "w", format="mp4", container_options=options) as container:
        settings = {"crf": str(crf), "mbtree": "0"}
        stream = container.add_stream("libx264", rate=rate, options=settings)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.color_range, stream.colorspace = ColorRange.MPEG, _BT601_MATRIX
        stream.color_primaries, stream.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
        stream.thread_count = 1
        for index, frame in enumerate(chain([first], frames)):
            pad = ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0))
            picture = _stamped(np.pad(frame, pad, mode="edge"), index, rate)
            container.mux(stream.encode(_to_yuv(picture)))
        container.mux(stream.encode(None))


def _stamped(frame: Pixels, index: int, rate: Fraction) -> VideoFrame:
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    picture.pts, picture.time_base = index, 1 / rate
    return picture


def _to_yuv(picture: VideoFrame) -> VideoFrame:
    return picture.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=_TO_YUV,
        threads=1,
    )


def write_gif(path: Path, frames: Iterator[Pixels], rate: Fraction) -> None:
    """An endless GIF with one palette for all frames; GIF counts time in 1/100 s."""
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
    """Frames in; after the last one, the same frames in the 255 colours that suit them all best.

    Without dither: over seven real clips and a drawn one that gave 38.5 dB and no flicker, where
    error diffusion changed 10 to 20 % of the pixels that stand still and gave 37 dB.
    """
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
