"""Clips are read as they are shown: square pixels, SDR; who trains on something else is told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream
from command_line import CommandLine
from export_options import latents, masks
from made_videos import encode, numbered, scene
from PIL import Image

from motifocal.data.captions import CaptionedVideo
from motifocal.data.sources import VideoFolderClips
from motifocal.data.trainer_rules import TRAINERS, Request
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.media import codec
from motifocal.media.codec import stored_display
from motifocal.media.video import VideoError, count_frames, list_videos, read_video, write_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap

WHITE, GREY = 255, 100  # of 203 and of 26 cd/m²; (26 / 203) in sRGB is 0.394


def wide(path: Path, aspect: Fraction, height: int = 64, width: int = 128) -> Path:
    """A disc that is round where pixels have this aspect, of another brightness in each frame."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "8"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for index in range(20):
            frame = np.full((height, width, 3), 32, np.uint8)
            radii = (round(20 / min(1, aspect) / max(1, aspect)), 20)
            cv2.ellipse(frame, (width // 2, height // 2), radii, 0, 0, 360, (200 + index,) * 3, -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def disc(frame: np.ndarray) -> tuple[int, int]:
    """Height and width of what is bright."""
    y, x = np.nonzero(frame[..., 0] > 120)
    return int(np.ptp(y)) + 1, int(np.ptp(x)) + 1


def faults_of(path: Path, trainer: str = "plain") -> tuple[Finding, dict[str, str]]:
    settings = InspectSettings(trainer, Request(((9, 64, 64),)), HeatmapSettings())
    finding = examine(Job(path, path.with_suffix(".webp")), settings)
    return finding, dict(diagnose(Entry("a", path, None), finding, captioned=False, frames=9))


def test_a_stream_is_asked_how_it_is_shown_before_its_memory_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def decode_another(stream: VideoStream, frame: av.VideoFrame) -> codec.Display:
        decoded.append(next(stream.container.decode(stream)))  # AssertionError where it is closed
        return display_of(stream, frame)

    display_of = codec.display_of
    monkeypatch.setattr(codec, "display_of", decode_another)
    path = wide(tmp_path / "a.mp4", Fraction(4, 3))
    assert stored_display(path).aspect == Fraction(4, 3)
    assert len(decoded) == 1


# Pixels that are not square


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("aspect", [Fraction(1, 2), Fraction(4, 3)])
def test_pixels_are_made_square(tmp_path: Path, suffix: str, aspect: Fraction) -> None:
    path = wide(tmp_path / f"a{suffix}", aspect)
    frames = read_video(path).frames
    assert frames.shape == (20, 64, round(128 * aspect), 3)
    height, width = disc(frames[0])
    assert abs(height - width) <= 2


def test_pixels_that_are_square_but_for_rounding_stay_as_stored(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.mp4", Fraction(160, 159))
    assert stored_display(path).aspect == 1
    assert read_video(path).frames.shape[2] == 128


def test_preparation_takes_the_size_that_is_shown(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.mp4", Fraction(1, 2))
    clips = VideoFolderClips(
        (CaptionedVideo(path, "a disc", "a.mp4"),), (20,), ("",), frames=9, height=64, width=64,
        max_stride=1, windows=1, seed=0,
    )  # fmt: skip
    height, width = disc(clips[0].frames[0])
    assert abs(height - width) <= 2
    assert 38 <= height <= 44


def test_inspect_names_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.mp4", Fraction(1, 2))
    for trainer in ("musubi", "plain"):
        finding, faults = faults_of(path, trainer)
        assert faults["non-square-pixels"] == "pixels of 1:2, shown as 64x64"
        assert (finding.width, finding.height) == (64, 64)
    assert "non-square-pixels" not in faults_of(wide(tmp_path / "b.mp4", Fraction(1)))[1]


def test_export_refuses_what_a_trainer_would_stretch(
    export: CommandLine,
    tmp_path: Path,
) -> None:
    clip = wide(tmp_path / "a.mp4", Fraction(1, 2))
    for trainer, code in (("musubi", 1), ("ltx", 1), ("finetrainers", 1), ("plain", 0)):
        ended = export(clip, "-o", tmp_path / trainer, *latents(frames=9), "--trainer", trainer)
        assert ended.code == code, ended.err
        assert ("has pixels of 1:2" in ended.err) == bool(code)
    beside = [*masks(frames=9), "--trainer", "musubi", "--with-clips"]
    assert export(clip, "-o", tmp_path / "m", *beside).code == 0


# HDR


def graded(path: Path, levels: list[float], transfer: int) -> Path:
    """A column for each level of the signal, in [0, 1], tagged as BT.2020 with a transfer."""
    row = np.repeat(np.rint(np.array(levels) * 65535), 16).astype(np.uint16)
    frame = np.broadcast_to(row[None, :, None], (32, len(row), 3)).copy()
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "gbrp16le"
        stream.color_trc, stream.color_primaries = transfer, 9
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb48le")))
        container.mux(stream.encode(None))
    return path


# ITU-R BT.2408-7, table 1: 203 cd/m² is 58 % of PQ and 75 % of HLG, 26 cd/m² 38 % of both.
@pytest.mark.parametrize(("transfer", "white", "name"), [(16, 0.5807, "PQ"), (18, 0.75, "HLG")])
def test_reference_white_of_hdr_becomes_white(
    tmp_path: Path, transfer: int, white: float, name: str
) -> None:
    path = graded(tmp_path / "a.mkv", [0.0, 0.38, white, 1.0], transfer)
    frame = read_video(path).frames[0].astype(int)
    columns = frame[16, 8::16]
    assert np.ptp(columns, axis=1).max() <= 1  # grey stays grey
    np.testing.assert_allclose(columns[:, 0], [0, GREY, WHITE, WHITE], atol=3)
    assert stored_display(path).transfer == name
    assert name in faults_of(path)[1]["hdr"]


def as_telephones_store(path: Path, colours: list[tuple[float, float, float]]) -> Path:
    """A column of 16 pixels for each non-linear colour, PQ, as YUV of 10 bits (BT.2020)."""
    rgb = np.repeat(np.array(colours), 16, axis=0)
    luma = rgb @ [0.2627, 0.6780, 0.0593]
    blue, red = (rgb[:, 2] - luma) / 1.8814, (rgb[:, 0] - luma) / 1.4746
    planes = [64 + 876 * luma, 512 + 896 * blue[::2], 512 + 896 * red[::2]]
    frame = av.VideoFrame(len(rgb), 32, "yuv420p10le")
    for plane, row in zip(frame.planes, planes, strict=True):
        pixels = np.zeros((plane.height, plane.line_size // 2), "<u2")
        pixels[:, : len(row)] = np.rint(row)
        plane.update(pixels.tobytes())
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        stream.color_trc, stream.color_primaries = 16, 9
        stream.colorspace, stream.color_range = 9, 1
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_hdr_is_read_from_yuv_too(tmp_path: Path) -> None:
    white, grey = (0.5807,) * 3, (0.38,) * 3
    path = as_telephones_store(tmp_path / "a.mkv", [white, grey, (0.58, 0, 0), (0, 0, 0.58)])
    columns = read_video(path).frames[0, 16, 8::16].astype(int)
    expected = [[255] * 3, [GREY] * 3, [255, 0, 0], [0, 0, 255]]
    np.testing.assert_allclose(columns, expected, atol=2)


def test_sdr_of_16_bits_is_left_as_it_is(tmp_path: Path) -> None:
    path = graded(tmp_path / "a.mkv", [0.0, 0.5, 1.0], 1)
    assert read_video(path).frames[0, 16, 8::16, 0].tolist() == [0, 128, 255]
    assert "hdr" not in faults_of(path)[1]


def test_export_refuses_hdr_for_trainers_that_take_it_for_sdr(
    export: CommandLine,
    tmp_path: Path,
) -> None:
    clip = graded(tmp_path / "a.mkv", [0.1, 0.3, 0.5, 0.7], 16)
    ended = export(clip, "-o", tmp_path / "x", *latents(), "--trainer", "musubi")
    assert ended.code == 1
    assert "is HDR (PQ)" in ended.err


# Fields


def test_inspect_names_interlaced_clips(tmp_path: Path) -> None:
    woven = encode(tmp_path / "a.mp4", scene(12), options={"x264-params": "tff=1"})
    assert "interlaced" in faults_of(woven)[1]
    assert "interlaced" not in faults_of(encode(tmp_path / "b.mp4", scene(12)))[1]


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 5), (7, 7), (7, 64), (2, 300)])
def test_clips_of_few_pixels_are_looked_at(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, *size, 3), np.uint8)
    path = encode(tmp_path / "a.mov", frames, name="png", pixels="rgb24")
    np.testing.assert_array_equal(read_video(path).frames, frames)
    for trainer in TRAINERS:
        finding, faults = faults_of(path, trainer)
        assert (finding.height, finding.width, finding.problem) == (*size, None)
        assert "small" in faults
    for camera in (False, True):
        assert clip_heatmap(frames, HeatmapSettings(camera=camera)).shape == frames.shape[:3]


def test_a_size_that_makes_no_bucket_is_refused(
    export: CommandLine,
    tmp_path: Path,
) -> None:
    write_video(tmp_path / "a.mp4", numbered(20), 8)
    given = ["--as", "latents", "--family", "wan", "--frames", 9, "--trainer", "musubi"]
    ended = export(tmp_path / "a.mp4", "-o", tmp_path / "x", *given, "--size", "8x8")
    assert ended.code == 2
    assert "8x8 is too small for musubi-tuner's buckets" in " ".join(ended.err.split())


# What a file is


@pytest.mark.parametrize("name", ["a.MTS", "a.m2ts", "a.f4v", "a.qt", "a.3g2", "a.vob", "a.mxf"])
def test_containers_of_cameras_are_found_and_read(tmp_path: Path, name: str) -> None:
    kind = {".qt": ".mov", ".3g2": ".mp4"}.get(Path(name).suffix, Path(name).suffix)
    codec = "mpeg2video" if kind in (".vob", ".mxf") else "libx264"
    written = encode(tmp_path / f"written{kind}", scene(12), name=codec, rate=25)
    written.rename(tmp_path / name)
    assert list_videos(tmp_path) == [tmp_path / name]
    assert count_frames(tmp_path / name) == 12


def test_the_content_tells_a_picture_from_a_video_whatever_the_name(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", numbered(5), 10)
    write_video(tmp_path / "b.mp4", numbered(5), 10)
    (tmp_path / "a.gif").rename(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").rename(tmp_path / "b.gif")
    for name in ("a.mp4", "b.gif"):
        clip = read_video(tmp_path / name)
        assert (len(clip.frames), clip.fps) == (5, 10)
        assert stored_display(tmp_path / name).turned is False
    Image.fromarray(numbered(1)[0]).save(tmp_path / "c.mp4", format="PNG")
    assert len(read_video(tmp_path / "c.mp4").frames) == 1
    (tmp_path / "d.gif").write_text("no picture")
    with pytest.raises(VideoError, match="not an image in a known format"):
        read_video(tmp_path / "d.gif")
