"""Read with every PyAV from 14.0 on: fill in what earlier versions do not provide.

musubi-tuner pins PyAV 14.0.1. What is there is found on PyAV's own objects, not by its version.
All of `media` imports PyAV where it first reads or writes a video, so that what needs no videos,
such as training on scenes, runs without it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC, in FFmpeg's libavformat/avformat.h
_PICTURE_CODECS = frozenset({"bmp", "gif", "mjpeg", "png", "webp"})


@cache
def one_thread() -> dict[str, Any]:
    """Return arguments with which a frame is converted in one thread."""
    from av.video.frame import VideoFrame

    try:
        VideoFrame(2, 2, "rgb24").reformat(format="gray", threads=1)
    except TypeError:
        return {}  # it always takes one, and has no such argument
    return {"threads": 1}


def options_argument() -> str:
    """Return the argument of `av.open` for options.

    Before PyAV 17 handing them to streams as well crashes the process on containers that tell their
    streams late (FLV), so there the container alone gets them.
    """
    from av.video.frame import VideoFrame

    return "options" if hasattr(VideoFrame, "color_trc") else "container_options"


# The matrix of YUV in a frame, as AVCOL_SPC_* -> its number in FFmpeg's scaler, SWS_CS_*.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT601 = 5


def is_cover(stream: VideoStream) -> bool:
    """Whether the stream is the cover picture of a song, no moving video."""
    if hasattr(stream, "disposition"):
        return bool(stream.disposition.value & _ATTACHED_PICTURE)
    context = stream.codec_context
    return context is not None and context.name in _PICTURE_CODECS and not stream.average_rate


def colours_of(stream: VideoStream, frame: VideoFrame) -> tuple[int, int]:
    """Transfer and primaries of a frame as numbers of H.273; earlier PyAV has the stream's only."""
    source = frame if hasattr(frame, "color_trc") else stream.codec_context
    return int(source.color_trc), int(source.color_primaries)


def duration_of(frame: VideoFrame, of_packet: int) -> int:
    """How many ticks a frame is shown; earlier PyAV has it of the packet with the same time."""
    return int(frame.duration) if hasattr(frame, "duration") else of_packet


def has_index(stream: VideoStream) -> bool:
    """Whether PyAV hands out the index of a stream's frames."""
    return hasattr(stream, "index_entries")


def matrix_of(frame: VideoFrame) -> dict[str, Any]:
    """Arguments with which a frame is converted by its own matrix; PyAV before 17 takes BT.601."""
    if hasattr(frame, "color_trc") or frame.format.is_rgb:
        return {}
    # The second, of no meaning for RGB, makes it heed the first.
    matrix = _MATRICES.get(int(frame.colorspace), _BT601)
    return {"src_colorspace": matrix, "dst_colorspace": _BT601}
