"""Clips are read at the right times, upright, and as tensors and back."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream
from made_videos import (
    encode,
    encode_sound,
    lossless,
    numbered,
    numbers,
    psnr,
    scene,
    with_clock_jump,
)

from motifocal.media import codec
from motifocal.media.video import (
    VideoError,
    count_frames,
    list_videos,
    read_video,
    to_frames,
    to_tensor,
    write_video,
)


def test_names_that_look_like_protocols_are_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video("http:a%03d.mp4", scene(2), 8)
    assert count_frames("http:a%03d.mp4") == 2


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


def test_a_clock_that_jumps_is_refused_where_frames_would_be_repeated(tmp_path: Path) -> None:
    path = with_clock_jump(tmp_path / "a.mkv", numbered(8))
    for count in (read_video, count_frames):
        with pytest.raises(VideoError, match=r"a\.mkv: its times jump: frame 3 would be repeated"):
            count(path, fps=8)
    assert numbers(read_video(path).frames) == list(range(8))
    pause = lossless(tmp_path / "b.mkv", numbered(2), [0, 3_600_000])
    assert count_frames(pause, fps=1) == 3601


def test_a_repeated_frame_is_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lossless(tmp_path / "a.mkv", numbered(3), [0, 1000, 2000])
    converted = []
    real = codec.frame_pixels
    monkeypatch.setattr(codec, "frame_pixels",
                        lambda *given: converted.append(given) or real(*given))
    assert numbers(read_video(path, fps=10).frames) == [0] * 10 + [1] * 10 + [2]
    assert len(converted) == 3


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


def test_list_videos_finds_all_videos_in_natural_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".trash").mkdir()
    names = ["clip10.mp4", "clip2.MP4", "sub/a.gif", "sub/b.webm"]
    for name in [*names, "a.txt", "a.png", ".hidden.mp4", ".trash/a.mp4"]:
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


@pytest.mark.slow
def test_every_generated_clip_is_read(shared: Path) -> None:
    clips = list_videos(shared / "ti2v-clips" / "videos")
    assert len(clips) == 254
    for path in clips:
        clip = read_video(path, fps=8)
        assert clip.frames.shape == (16, 320, 320, 3), path
        assert clip.fps == 8, path
