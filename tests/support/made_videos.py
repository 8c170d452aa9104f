"""Small videos of known frames, times and containers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream


def scene(count: int = 16, height: int = 96, width: int = 128) -> np.ndarray:
    """A red disc that moves to the right over a still gradient, (F, H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    backdrop = np.stack([x * 200 / width, y * 200 / height, (x + y) * 100 / (height + width)], -1)
    frames = [backdrop.astype(np.uint8).copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        cv2.circle(frame, (20 + 3 * index, height // 2), 10, (230, 40, 40), -1, cv2.LINE_AA)
    return np.stack(frames)


def numbered(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frame i is filled with grey 8 i."""
    return np.stack([np.full((height, width, 3), 8 * index, np.uint8) for index in range(count)])


def numbers(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean((1, 2, 3)) / 8).astype(int).tolist()


def encode(
    path: Path,
    frames: np.ndarray,
    *,
    rate: Fraction | int = 8,
    name: str = "libx264",
    pixels: str = "yuv420p",
    ticks: Sequence[int] | None = None,
    tick: Fraction | None = None,
    matrix: tuple[int, ...] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes what `write_video` does not: other codecs, frame times and display matrices."""
    tick = tick or 1 / Fraction(rate)
    with av.open(path, "w", container_options=container_options or {}) as container:
        stream = container.add_stream(name, rate=rate, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.codec_context.time_base = pixels, tick
        if matrix is not None:
            if not hasattr(stream, "set_display_matrix"):
                pytest.skip("this PyAV cannot write a display matrix")
            stream.set_display_matrix(matrix)
        for index, frame in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            shown.pts, shown.time_base = (ticks[index] if ticks else index), tick
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


def lossless(path: Path, frames: np.ndarray, milliseconds: Sequence[int]) -> Path:
    tick = Fraction(1, 1000)
    return encode(path, frames, name="ffv1", pixels="bgr0", ticks=milliseconds, tick=tick, rate=25)


def with_clock_jump(path: Path, frames: np.ndarray) -> Path:
    """Frames at 8 a second, the second half of which has the time of day: years later."""
    day = 1_690_000_000_000
    times = [125 * k + (day if k >= len(frames) // 2 else 0) for k in range(len(frames))]
    return lossless(path, frames, times)


def encode_sound(path: Path, cover: bool = False) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=44100)
        art = None
        if cover:
            art = container.add_stream("mjpeg", rate=1)
            art.height, art.width, art.pix_fmt = 32, 32, "yuvj420p"
            if not hasattr(art, "disposition"):  # PyAV 14.0
                pytest.skip("this PyAV cannot mark a stream as a cover")
            art.disposition = type(art.disposition)(0x400)
            picture = av.VideoFrame.from_ndarray(numbered(1, 32, 32)[0], format="rgb24")
            packets = [*art.encode(picture.reformat(format="yuvj420p")), *art.encode(None)]
        for index in range(20):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.rate, sound.pts = 44100, 1024 * index
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
        if art:
            container.mux(packets)
    return path


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))
