"""Clips that tests of the doctor draw: what moves, what stands still, what is damaged."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from motifocal.data.trainer_rules import Request
from motifocal.inspection import decode_pass as watching
from motifocal.inspection.finding import InspectSettings
from motifocal.media.picture import Pixels
from motifocal.media.video import write_video
from motifocal.motion.heatmap import HeatmapSettings

FPS = 8
SETTINGS = InspectSettings("plain", Request(((5, 48, 64),)), HeatmapSettings())


def world(seed: int, height: int = 160, width: int = 224) -> Pixels:
    """A picture (H, W, 3) with structure at all scales, another one for each seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (3, 9, 27):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def moving(seed: int, frames: int = 12, speed: float = 3.0, height: int = 80, width: int = 112,
           light: float = 1.0) -> Pixels:  # fmt: skip
    """A square with a pattern of its own goes to and fro over a resting picture: (F, H, W, 3)."""
    ground, thing = world(seed, height, width), world(seed + 1_000_003, 40, 40)[:24, :24]
    clip = np.repeat(ground[None], frames, axis=0)
    for k in range(frames):
        x = round(abs((8 + speed * k + width - 24) % (2 * (width - 24)) - (width - 24)))
        clip[k, 20:44, x : x + 24] = thing
    return np.clip(clip * light, 0, 255).astype(np.uint8)


def still(seed: int, frames: int = 12, height: int = 80, width: int = 112) -> Pixels:
    return np.repeat(world(seed, height, width)[None], frames, axis=0)


def pan(seed: int, frames: int = 12, speed: float = 3.0, height: int = 80, width: int = 112
        ) -> Pixels:  # fmt: skip
    """The camera moves over a picture in which nothing moves."""
    ground = world(seed, 2 * height, 2 * width)
    shots = []
    for k in range(frames):
        matrix = np.array([[1, 0, -20 - speed * k], [0, 1, -20 - speed * k / 3]], np.float32)
        shots.append(cv2.warpAffine(ground, matrix, (width, height), flags=cv2.INTER_CUBIC))
    return np.stack(shots).astype(np.uint8)


def joined(*clips: Pixels) -> Pixels:
    return np.concatenate(clips)


def tiny(frames: Pixels) -> Pixels:
    """Return the frames as small as the doctor looks for cuts and duplicates."""
    return np.stack([watching.scaled(frame, watching.TINY_SIDE, max) for frame in frames])


def save(path: Path, frames: Pixels, fps: float = FPS, crf: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps, crf=crf)
    return path


def encode(path: Path, frames: Pixels, codec: str, pix_fmt: str = "yuv420p",
           times: list[int] | None = None, rate: int = FPS) -> Path:  # fmt: skip
    """Any codec, at a rate or at times in milliseconds."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, pixels in enumerate(frames):
            picture = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
            picture.pts = index if times is None else times[index]
            picture.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000)
        sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        sound.sample_rate = 8000
        sound.planes[0].update(bytes(sound.planes[0].buffer_size))
        out.mux(stream.encode(sound))
        out.mux(stream.encode(None))
    return path


def huge(path: Path) -> Path:
    """A header that declares 60000 x 60000 pixels, and nothing behind it."""
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(64))
    return path


def keep(pixels: Pixels) -> Pixels:
    return pixels
