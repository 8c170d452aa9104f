"""Frames become the bytes that annotators are sent, which tell nothing but what they show.

F frames, H W pixels. All videos are encoded with the same settings, without metadata, and those
that can stand beside each other have the same number of bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from motifocal.media.picture import Pixels, write_image
from motifocal.media.video import write_video

VIDEO_TYPE, PICTURE_TYPE = "video/mp4", "image/png"
CRF = 12  # a second encoding should cost next to nothing
_BOX = 8  # bytes of an MP4 box's header: its length, its type

RandomBytes = Callable[[int], bytes]


def encode(frames: Pixels, fps: float, crf: int = CRF) -> bytes:
    """(F, H, W, 3) as MP4."""
    with TemporaryDirectory(prefix="motifocal-") as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, frames, fps, crf=crf)
        return path.read_bytes()


def encode_picture(picture: Pixels) -> bytes:
    """(H, W, 3) as PNG."""
    with TemporaryDirectory(prefix="motifocal-") as folder:
        path = Path(folder) / "picture.png"
        write_image(path, picture)
        return path.read_bytes()


def equally_long(videos: Sequence[bytes], random_bytes: RandomBytes) -> list[bytes]:
    """MP4 files padded to one length, a little above that of the longest.

    The size of a video grows with its motion, and would name the model that moves more. The
    padding is a `free` box at the end, which players skip; its bytes are random, so that
    compression on the way does not undo it.
    """
    length = max(map(len, videos)) + _BOX
    return [video + _free_box(length - len(video), random_bytes) for video in videos]


def _free_box(length: int, random_bytes: RandomBytes) -> bytes:
    return struct.pack(">I4s", length, b"free") + random_bytes(length - _BOX)
