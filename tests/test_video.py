"""Clips come back as they were written, at the right times; what is damaged says so in one line."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream
from PIL import Image, ImageSequence

from motifocal.media import codec, picture, video
from motifocal.media.video import (
    VideoError,
    count_frames,
    list_videos,
    read_video,
    to_frames,
    to_tensor,
    write_video,
)


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


# Writing and reading back


def test_mp4_round_trip_keeps_frames_rate_and_times(tmp_path: Path) -> None:
    frames = scene()
    write_video(tmp_path / "a.mp4", frames, 8)
    clip = read_video(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert clip.frames.dtype == np.uint8
    assert psnr(clip.frames, frames) > 38
    assert clip.fps == 8
    np.testing.assert_allclose(clip.timestamps, np.arange(16) / 8)


def test_a_lower_crf_gives_a_better_and_larger_mp4(tmp_path: Path) -> None:
    frames = scene(4)
    for crf in (10, 35):
        write_video(tmp_path / f"{crf}.mp4", frames, 8, crf=crf)
    best, worst = tmp_path / "10.mp4", tmp_path / "35.mp4"
    assert best.stat().st_size > worst.stat().st_size
    assert psnr(read_video(best).frames, frames) > psnr(read_video(worst).frames, frames)


def test_colours_survive_readers_that_know_the_matrix_and_readers_that_assume_bt601(
    tmp_path: Path,
) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)]
    frames = np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in colours])
    write_video(tmp_path / "a.mp4", frames, 8, crf=1)
    assert np.abs(read_video(tmp_path / "a.mp4").frames.astype(int) - frames).max() <= 3
    with av.open(tmp_path / "a.mp4") as container:
        for frame, expected in zip(container.decode(video=0), frames, strict=True):
            ignorant = frame.to_ndarray(format="rgb24", src_colorspace="ITU601")
            assert np.abs(ignorant.astype(int) - expected).max() <= 3


def test_the_colour_matrix_that_a_file_names_is_used(tmp_path: Path) -> None:
    frames = np.full((2, 32, 32, 3), (200, 30, 60), np.uint8)
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "1"})
        stream.height, stream.width, stream.colorspace, stream.color_range = 32, 32, 1, 1
        for frame in frames:
            rgb = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    assert np.abs(read_video(tmp_path / "a.mp4").frames.astype(int) - frames).max() <= 3


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 47), (1, 1)])
def test_odd_sizes_gain_a_copy_of_the_last_row_and_column(
    tmp_path: Path, height: int, width: int
) -> None:
    frames = scene(3, height, width)
    write_video(tmp_path / "a.mp4", frames, 8, crf=5)
    read = read_video(tmp_path / "a.mp4").frames
    assert read.shape == (3, height + height % 2, width + width % 2, 3)
    pad = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    assert psnr(read, np.pad(frames, pad, mode="edge")) > 30


@pytest.mark.parametrize("fps", [8, 23.976, 24000 / 1001, 29.97, 12.5, 60, 0.5])
def test_mp4_keeps_the_frame_rate(tmp_path: Path, fps: float) -> None:
    write_video(tmp_path / "a.mp4", numbered(10), fps)
    clip = read_video(tmp_path / "a.mp4")
    assert clip.fps == pytest.approx(fps, rel=1e-6)
    np.testing.assert_allclose(clip.timestamps, np.arange(10) / fps, atol=1e-4)


def test_gif_round_trip_keeps_frames_rate_and_length(tmp_path: Path) -> None:
    frames = scene()
    write_video(tmp_path / "a.gif", frames, 8)
    clip = read_video(tmp_path / "a.gif")
    assert psnr(clip.frames, frames) > 30
    assert clip.fps == 8
    assert count_frames(tmp_path / "a.gif", fps=8) == 16
    with Image.open(tmp_path / "a.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert durations == [130, 120] * 8


def test_what_stands_still_stays_still_in_a_gif(tmp_path: Path) -> None:
    frames = scene()
    write_video(tmp_path / "a.gif", frames, 8)
    still = (frames == frames[0]).all((0, 3))
    assert 0.4 < still.mean() < 1
    read = read_video(tmp_path / "a.gif").frames
    assert (read == read[0])[:, still].all()


def test_a_gif_without_motion_keeps_all_its_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", np.repeat(scene(1), 5, axis=0), 10)
    clip = read_video(tmp_path / "a.gif")
    assert len(clip.frames) == 5
    assert (clip.frames == clip.frames[0]).all()


def test_a_gif_with_few_colours_is_exact(tmp_path: Path) -> None:
    frames = numbered(12)
    write_video(tmp_path / "a.gif", frames, 25)
    np.testing.assert_array_equal(read_video(tmp_path / "a.gif").frames, frames)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    frames = scene(4, 320, 320)
    write_video(tmp_path / f"a{suffix}", frames, 8)
    write_video(tmp_path / f"another{suffix}", iter(frames), 8.0)
    written = (tmp_path / f"a{suffix}").read_bytes()
    assert written == (tmp_path / f"another{suffix}").read_bytes()
    assert b"Lavf" not in written
    if suffix == ".mp4":  # nor do the bytes depend on how many cores there are
        assert b" threads=1 " in written


@pytest.mark.parametrize("side", [32, 96])
def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path, side: int) -> None:
    small = np.random.default_rng(1).integers(0, 256, (10, 12, 3), np.uint8)
    drawn = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([np.roll(drawn, 2 * index, 1) for index in range(8)])
    path, seen = tmp_path / "a.mp4", set()
    for _ in range(40):
        video.write_video(path, frames, 8.0)
        seen.add(path.read_bytes())
        video.read_video(path)  # leaves its own bytes in the memory that the next round gets
    assert len(seen) == 1



def test_the_index_of_an_mp4_stands_before_its_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", scene(4), 8)
    written = (tmp_path / "a.mp4").read_bytes()
    assert 0 < written.index(b"moov") < written.index(b"mdat")


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("good_frames", [0, 1, 80])  # 80: more than the encoder looks ahead
def test_a_failing_source_of_frames_leaves_nothing_behind(
    tmp_path: Path, suffix: str, failure: type[BaseException], good_frames: int
) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from scene(80, 32, 48)[:good_frames]
        raise failure("no more")

    with pytest.raises(failure, match="no more"):
        write_video(tmp_path / f"a{suffix}", frames(), 8)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", scene(2), 8)
    before = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(ValueError, match="frame 2 should be"):
        write_video(tmp_path / "a.mp4", [*scene(2), scene(1, 10, 10)[0]], 8)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.mp4", before)]


def test_write_video_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    def refuses(match: str, frames: object = scene(1), name: str = "a.mp4", fps: float = 8) -> None:
        with pytest.raises(ValueError, match=match):
            write_video(tmp_path / name, frames, fps)  # type: ignore[arg-type]

    refuses(r"a\.webm: should end in \.mp4 or \.gif", name="a.webm")
    refuses("does not exist", name="gone/a.mp4")
    refuses("at least one", frames=[])
    refuses(r"frame 0 should be \(H, W, 3\) uint8, got \(96, 128, 3\) float64", scene(1) / 255)
    refuses(r"frame 0 should be \(H, W, 3\) uint8, got \(128, 3\)", scene(1)[0])
    refuses("fps should be positive and finite, got nan", fps=float("nan"))
    refuses("fps should be positive and finite, got 0", fps=0)
    refuses("at most 50 in a GIF, got 60", name="a.gif", fps=60)
    refuses(r"a\.mp4: cannot be written", np.zeros((1, 2, 20_000, 3), np.uint8))
    with pytest.raises(ValueError, match="crf should be from 0 to 51, got 52"):
        write_video(tmp_path / "a.mp4", scene(1), 8, crf=52)
    assert list(tmp_path.iterdir()) == []


def test_names_that_look_like_protocols_are_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video("http:a%03d.mp4", scene(2), 8)
    assert count_frames("http:a%03d.mp4") == 2


# Reading


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        (".mkv", "libx264"),
        (".webm", "libvpx-vp9"),
        (".mov", "libx264"),
        (".avi", "mpeg4"),
        (".ts", "libx264"),
        (".flv", "libx264"),
        (".wmv", "wmv2"),
        (".h264", "libx264"),
    ],
)
def test_common_containers_are_read(tmp_path: Path, suffix: str, name: str) -> None:
    path = encode(tmp_path / f"a{suffix}", numbered(16), name=name)
    clip = read_video(path)
    assert numbers(clip.frames) == list(range(16))
    assert clip.fps == 8
    assert numbers(read_video(path, fps=4).frames) == list(range(0, 16, 2))
    assert count_frames(path, fps=16) == 32


def test_start_stride_and_num_frames_pick_source_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(20), 8, crf=1)
    clip = read_video(tmp_path / "a.mp4", start=3, stride=4, num_frames=3)
    assert numbers(clip.frames) == [3, 7, 11]
    assert clip.fps == 2
    np.testing.assert_allclose(clip.timestamps, [3 / 8, 7 / 8, 11 / 8])
    assert numbers(read_video(tmp_path / "a.mp4", start=15, stride=2).frames) == [15, 17, 19]
    assert numbers(read_video(tmp_path / "a.mp4", fps=4, start=1, stride=2).frames) == [
        2,
        6,
        10,
        14,
        18,
    ]
    assert read_video(tmp_path / "a.mp4", start=7, num_frames=1).fps == 8


def test_variable_frame_rates_are_resampled_by_timestamps(tmp_path: Path) -> None:
    path = lossless(tmp_path / "a.mkv", numbered(6), [0, 40, 100, 300, 320, 700])
    clip = read_video(path, fps=10)
    assert numbers(clip.frames) == [0, 2, 2, 3, 4, 4, 4, 5]
    np.testing.assert_allclose(clip.timestamps, np.arange(8) / 10)
    assert clip.fps == 10
    unchanged = read_video(path)
    np.testing.assert_allclose(unchanged.timestamps, [0, 0.04, 0.1, 0.3, 0.32, 0.7])
    assert unchanged.fps == pytest.approx(5 / 0.7)


@pytest.mark.parametrize("seed", range(4))
def test_resampling_shows_the_latest_frame_that_has_started(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    # Multiples of 10 ms against 1 / 7 s: never within the 1 ms to which Matroska keeps time.
    starts = np.cumsum(generator.integers(1, 30, 12)) * 10
    path = lossless(tmp_path / "a.mkv", numbered(12), (starts + 500).tolist())
    times = np.arange(count_frames(path, fps=7)) / 7
    elapsed = (starts - starts[0]) / 1000
    expected = np.searchsorted(elapsed, times + 1e-9, side="right") - 1
    assert numbers(read_video(path, fps=7).frames) == expected.tolist()
    assert elapsed[-1] <= times[-1] + 1 / 7 <= elapsed[-1] + 2 / 7


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24), Fraction(60), Fraction(30000, 1001)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_resampling_to_the_same_rate_neither_repeats_nor_drops(
    tmp_path: Path, rate: Fraction, suffix: str
) -> None:
    path = encode(tmp_path / f"a{suffix}", numbered(31), rate=rate)
    assert numbers(read_video(path, fps=float(rate)).frames) == list(range(31))


def test_times_that_a_container_stores_exactly_are_taken_exactly(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", numbered(16), name="mpeg4")
    expected = [int(Fraction(k * 8 * 10, 84)) for k in range(16)]
    assert numbers(read_video(path, fps=8.4, num_frames=16).frames) == expected


def test_24_of_a_23_976_video_repeats_no_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", numbered(30), rate=Fraction(24000, 1001))
    clip = read_video(path, fps=24)
    assert numbers(clip.frames) == list(range(30))
    assert clip.fps == pytest.approx(24000 / 1001)


SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
MATRICES = [(a, 0, 0, d) for a, d in SIGNS] + [(0, b, c, 0) for b, c in SIGNS]


@pytest.mark.parametrize("matrix", MATRICES)
def test_all_eight_display_matrices_turn_the_frames(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    a, b, c, d = matrix
    stored = cv2.resize(np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8), (48, 32))
    fixed = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path = encode(tmp_path / "a.mp4", stored[None], matrix=fixed, options={"crf": "4"})
    y, x = np.indices(stored.shape[:2])
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    expected = np.zeros((shown_y.max() + 1, shown_x.max() + 1, 3), np.uint8)
    expected[shown_y, shown_x] = stored
    read = read_video(path).frames[0]
    assert read.shape == expected.shape
    assert psnr(read, expected) > 30


def test_transparent_video_is_composited_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:16, :, 3] = 255
    with av.open(tmp_path / "a.mov", "w") as container:
        stream = container.add_stream("png", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "rgba"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode(None))
    read = read_video(tmp_path / "a.mov").frames[0]
    assert (read[:16] == 0).all()
    assert (read[16:] == 255).all()


def test_no_more_frames_are_converted_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = []
    convert = codec.frame_pixels

    def counting(path: Path, stream: VideoStream, frame: av.VideoFrame) -> np.ndarray:
        converted.append(frame.pts)
        return convert(path, stream, frame)

    monkeypatch.setattr(codec, "frame_pixels", counting)
    write_video(tmp_path / "a.mp4", numbered(30), 8)
    read_video(tmp_path / "a.mp4", start=5, stride=3, num_frames=4)
    assert len(converted) == 4
    count_frames(tmp_path / "a.mp4")
    assert len(converted) == 4


def test_decoding_stops_at_the_last_frame_asked_for(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", numbered(20), name="ffv1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match="truncated"):
        read_video(path)
    assert numbers(read_video(path, num_frames=4).frames) == [0, 1, 2, 3]


def test_a_song_cover_is_no_video(tmp_path: Path) -> None:
    path = encode_sound(tmp_path / "a.mp4", cover=True)
    with av.open(path) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(VideoError, match=r"a\.mp4: holds no moving video, only audio, video"):
        read_video(path)


def test_frames_that_an_edit_list_cuts_off_are_not_missed(tmp_path: Path) -> None:
    options = {"g": "32", "bf": "0"}
    path = encode(tmp_path / "a.mp4", numbered(32), options=options)
    bytes_ = bytearray(path.read_bytes())
    entry = bytes_.index(b"elst") + 12
    duration, start = struct.unpack(">Ii", bytes_[entry : entry + 8])
    # 8 frames/s are stored in 1/16384 s: begin at frame 20, twelve frames long.
    bytes_[entry : entry + 8] = struct.pack(">Ii", duration * 12 // 32, start + 20 * 2048)
    path.write_bytes(bytes_)
    assert numbers(read_video(path).frames) == list(range(20, 32))


def test_metadata_that_is_no_unicode_is_no_reason_to_fail(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        container.metadata["title"] = "Xanadu"
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width = 32, 48
        for frame in numbered(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Xanadu", b"X\xff\xfe\xe9du"))
    assert count_frames(path) == 3


# What cannot be read


def assert_refused(path: Path, cause: str, **options: object) -> None:
    with pytest.raises(VideoError) as caught:
        read_video(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert "\n" not in message


def test_what_is_no_video_is_refused_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is a text\n" * 1000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "readme.txt").write_text("no frames here")
    encode_sound(tmp_path / "sound.mp4")
    assert_refused(tmp_path / "gone.mp4", "no such file or folder")
    assert_refused(tmp_path / "gone", "no such file or folder")
    assert_refused(tmp_path / "empty.mp4", "the file is empty")
    assert_refused(tmp_path / "text.mp4", "cannot be opened as a video")
    assert_refused(tmp_path / "folder", "holds no pictures")
    assert_refused(tmp_path / "sound.mp4", "holds no moving video, only audio")


@pytest.mark.parametrize(
    ("suffix", "name", "cause"),
    [
        (".mp4", "libx264", "of 16 declared frames, then decoding fails"),
        (".mkv", "ffv1", "truncated, holds 7 of 16 declared frames"),
        (".webm", "libvpx-vp9", "of 16 declared frames"),
        (".avi", "mpeg4", ""),
        (".mov", "libx264", ""),
    ],
)
def test_a_truncated_video_says_how_much_of_it_there_is(
    tmp_path: Path, suffix: str, name: str, cause: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 48, 3), dtype=np.uint8)
    front = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    path = encode(tmp_path / f"a{suffix}", noise, name=name, container_options=front)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(path, cause)


def test_an_mp4_whose_index_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", scene())
    whole = path.read_bytes()
    for kept in (whole.index(b"moov") - 4, whole.index(b"moov") + 60, len(whole) - 100):
        path.write_bytes(whole[:kept])
        assert_refused(path, "")


def test_a_video_that_ends_between_two_frames_is_truncated(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", scene(), name="ffv1")
    with av.open(path) as container:
        cut = [packet.pos for packet in container.demux(video=0)][9]
    assert cut is not None
    path.write_bytes(path.read_bytes()[: cut - 1])
    assert_refused(path, "truncated, holds 9 of 16 declared frames")


def test_damage_inside_a_frame_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", scene(), container_options={"movflags": "+faststart"})
    damaged = bytearray(path.read_bytes())
    for index in range(len(damaged) * 3 // 4, len(damaged) * 3 // 4 + 40):
        damaged[index] ^= 0x55
    path.write_bytes(damaged)
    assert_refused(path, "")


def test_random_damage_raises_nothing_but_a_video_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = {".mp4": "libx264", ".mkv": "ffv1", ".webm": "libvpx-vp9", ".avi": "mpeg4"}
    for suffix, name in names.items():
        whole = encode(tmp_path / f"a{suffix}", scene(6, 32, 48), name=name).read_bytes()
        for _ in range(25):
            damaged = bytearray(whole)
            for index in generator.integers(0, len(whole), 20):
                damaged[index] = generator.integers(256)
            (tmp_path / f"a{suffix}").write_bytes(damaged)
            with suppress(VideoError):
                assert read_video(tmp_path / f"a{suffix}").frames.ndim == 4


def test_a_size_that_changes_on_the_way_is_refused(tmp_path: Path) -> None:
    small = encode(tmp_path / "small.h264", numbered(4))
    large = encode(tmp_path / "large.h264", numbered(4, 64, 64))
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert_refused(both, "frame 4 is 64x64, the first is 48x32")


def test_a_playlist_under_the_name_of_a_video_is_not_followed(tmp_path: Path) -> None:
    encode(tmp_path / "secret.ts", numbered(3))
    script = tmp_path / "a.mp4"
    script.write_text("ffconcat version 1.0\nfile 'secret.ts'\n")
    with av.open(script) as container:  # what FFmpeg does unless told otherwise
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert_refused(script, "cannot be opened as a video")


def test_frames_with_too_many_pixels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", numbered(3), 8)
    monkeypatch.setattr(picture, "MAX_PIXELS", 48 * 32 - 1)
    assert_refused(tmp_path / "a.mp4", "a frame should have 1 to 1535 pixels, got 48x32")


def test_clips_too_large_for_memory_are_refused_unless_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", numbered(10), 8)
    monkeypatch.setattr(video, "MAX_CLIP_BYTES", 5 * 48 * 32 * 3)
    assert_refused(tmp_path / "a.mp4", "set num_frames or a larger stride")
    assert len(read_video(tmp_path / "a.mp4", num_frames=5).frames) == 5


def test_too_short_a_video_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(10), 8)
    assert_refused(tmp_path / "a.mp4", "too short, holds 4 of 5 frames", num_frames=5, stride=3)
    assert_refused(tmp_path / "a.mp4", "too short, holds 0 of the frames from frame 10", start=10)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 0},
        {"start": -1},
        {"num_frames": 0},
        {"fps": -1},
        {"fps": 1e-9},
        {"fps": float("inf")},
    ],
)
def test_read_video_refuses_impossible_arguments(tmp_path: Path, options: dict[str, float]) -> None:
    write_video(tmp_path / "a.mp4", numbered(2), 8)
    with pytest.raises(ValueError, match="should be"):
        read_video(tmp_path / "a.mp4", **options)  # type: ignore[arg-type]


# Lists, strides, tensors


def test_list_videos_finds_all_videos_in_natural_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = ["clip10.mp4", "clip2.MP4", "sub/a.gif", "sub/b.webm"]
    for name in [*names, "a.txt", "a.png", ".hidden.mp4"]:
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    found = [file.relative_to(tmp_path).as_posix() for file in list_videos(tmp_path)]
    assert found == ["clip2.MP4", "clip10.mp4", "sub/a.gif", "sub/b.webm"]
    assert list_videos(tmp_path / "a.txt") == [tmp_path / "a.txt"]
    with pytest.raises(VideoError, match="no such"):
        list_videos(tmp_path / "gone")
    with pytest.raises(VideoError, match=r"folder.mp4 should hold videos \(.mp4, .*, got none"):
        list_videos(tmp_path / "folder.mp4")


def test_every_byte_survives_the_way_to_a_tensor_and_back() -> None:
    frames = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(2, 8, 16, 3)
    frames.setflags(write=False)
    tensor = to_tensor(frames)
    assert (tensor.shape, tensor.dtype) == ((3, 2, 8, 16), torch.float32)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert tensor[1, 1, 2, 3] == frames[1, 2, 3, 1] / np.float32(127.5) - 1
    np.testing.assert_array_equal(to_frames(tensor), frames)


def test_to_frames_rounds_clamps_and_takes_half_precision() -> None:
    values = torch.tensor([-5.0, -1.0, 0.0039, 1.0, 7.0]).expand(3, 1, 1, 5)
    np.testing.assert_array_equal(to_frames(values)[0, 0, :, 0], [0, 0, 128, 255, 255])
    assert to_frames(values.half().requires_grad_()).dtype == np.uint8


def test_tensors_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"should be \(3, F, H, W\), got \(1, 2, 4, 4\)"):
        to_frames(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="got NaN"):
        to_frames(torch.full((3, 1, 2, 2), torch.nan))
    with pytest.raises(ValueError, match=r"got \(4, 4, 3\) uint8"):
        to_tensor(np.zeros((4, 4, 3), np.uint8))


# Real clips


@pytest.mark.slow
def test_every_real_clip_is_read(shared: Path) -> None:
    clips = list_videos(shared / "ti2v-clips" / "videos")
    assert len(clips) == 254
    for path in clips:
        clip = read_video(path, fps=8)
        assert clip.frames.shape == (16, 320, 320, 3), path
        assert clip.fps == 8, path
