"""What is no video, damaged or cut off says so in one line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import encode, encode_sound, numbered, scene

from motifocal.media import picture, video
from motifocal.media.video import VideoError, read_video, write_video


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
    assert_refused(tmp_path / "folder", "holds no images")
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
