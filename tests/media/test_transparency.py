"""Clips with an alpha channel are told from others, and refused for trainers that drop it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from command_line import CommandLine
from export_options import latents
from made_videos import encode, scene

from motifocal.data.trainer_rules import Request
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import InspectSettings
from motifocal.media.codec import stored_display
from motifocal.motion.heatmap import HeatmapSettings


def with_alpha(path: Path, name: str, pixels: str) -> Path:
    """A clip of which the left half is not to be seen."""
    frames = np.dstack([np.full((64, 64, 3), 90, np.uint8), np.full((64, 64), 255, np.uint8)])
    frames[:, :32, 3] = 0
    with av.open(path, "w") as container:
        stream = container.add_stream(name, rate=8)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 64, pixels
        if path.suffix == ".webm":
            stream.metadata["alpha_mode"] = "1"
        for _ in range(12):
            frame = av.VideoFrame.from_ndarray(frames, format="rgba")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "png", "rgba"), ("a.mkv", "ffv1", "yuva420p")],
)
def test_transparency_is_named_and_refused_for_trainers_that_drop_it(
    name: str, codec: str, pixels: str, export: CommandLine, tmp_path: Path
) -> None:
    clip = with_alpha(tmp_path / name, codec, pixels)
    assert stored_display(clip).transparent
    settings = InspectSettings("plain", Request(((9, 64, 64),)), HeatmapSettings())
    assert examine(Job(clip, clip.with_suffix(".webp")), settings).transparent
    ended = export(clip, "-o", tmp_path / "x", *latents(frames=9), "--trainer", "musubi")
    assert ended.code == 1
    assert "has transparency, which the trainer drops" in ended.err
    assert export(clip, "-o", tmp_path / "y", *latents(frames=9)).code == 0


def test_a_clip_without_an_alpha_channel_is_not_transparent(tmp_path: Path) -> None:
    for name, encoder in (("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")):
        assert not stored_display(encode(tmp_path / name, scene(12), name=encoder)).transparent
