"""One reading of times, sizes and colours for every command; a missing end does not pass as a clip.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from made_videos import encode, numbered, numbers, scene

from motifocal.data.clip_files import timeline_of
from motifocal.inspection.decode_pass import decode_clip
from motifocal.media.codec import stored_display
from motifocal.media.video import VideoError, count_frames, read_video


def refusals(path: Path) -> list[str]:
    """What each way of reading says of a file that none of them should take."""
    readers: list[Callable[[], object]] = [
        lambda: read_video(path),
        lambda: read_video(path, fps=25),
        lambda: count_frames(path),
        lambda: timeline_of(path),
        lambda: decode_clip(path, lambda pixels: pixels),
    ]
    said = []
    for reader in readers:
        with pytest.raises(VideoError) as caught:
            reader()
        said.append(str(caught.value).removeprefix(f"{path}: "))
    return said


def assert_refused_by_all(path: Path, cause: str) -> None:
    assert all(cause in words for words in refusals(path)), refusals(path)


def assert_times(path: Path, milliseconds: list[int], fps: float) -> None:
    clip, timeline = read_video(path), timeline_of(path)
    np.testing.assert_allclose(clip.timestamps * 1000, milliseconds, atol=0.5)
    np.testing.assert_allclose(np.array(timeline.starts) * 1000, milliseconds, atol=0.5)
    assert decode_clip(path, lambda pixels: pixels).timeline == timeline
    assert clip.fps == timeline.fps == fps


# Times


@pytest.mark.parametrize("suffix", [".avi", ".asf"])
def test_frames_stored_out_of_order_are_timed_in_order(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"a{suffix}", scene(16), rate=25, options={"bf": "3"})
    with av.open(path) as container:
        made_up = [frame.pts for frame in container.decode(video=0)]
    assert made_up != sorted(made_up)
    assert_times(path, [40 * k for k in range(16)], 25)


def test_an_avi_that_counts_by_a_faster_clock_is_whole(tmp_path: Path) -> None:
    ticks = list(range(0, 30, 2))
    path = encode(tmp_path / "a.avi", numbered(15), rate=50, ticks=ticks, name="mpeg4")
    with av.open(path) as container:
        assert container.streams.video[0].frames >= 29  # every second chunk is empty
    assert numbers(read_video(path).frames) == list(range(15))
    assert_times(path, [40 * k for k in range(15)], 25)


def test_an_avi_that_repeats_frames_by_empty_chunks_keeps_their_times(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 3, 7, 8, 12, 13]
    path = encode(tmp_path / "a.avi", numbered(8), rate=25, ticks=ticks, name="mpeg4")
    clip = read_video(path)
    np.testing.assert_allclose(clip.timestamps, np.array(ticks) / 25)
    assert numbers(read_video(path, fps=25).frames) == [0, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 7]


def test_a_raw_stream_is_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", scene(16), rate=25, options={"bf": "2"})
    assert_times(path, [40 * k for k in range(16)], 25)


def test_frames_without_times_before_a_cut_are_refused_by_all(tmp_path: Path) -> None:
    path = encode(
        tmp_path / "a.mkv", scene(12), rate=25, ticks=[40 * k - 120 for k in range(12)],
        tick=Fraction(1, 1000), options={"bf": "0"},
        container_options={"avoid_negative_ts": "disabled"},
    )  # fmt: skip
    with av.open(path) as container:
        assert [frame.pts for frame in container.decode(video=0)][:4] == [None, None, None, 0]
    assert_refused_by_all(path, "its first frames have no time")


def patched(path: Path, box: bytes, at: int, old: bytes, new: bytes) -> Path:
    """The same MP4 with other bytes at an offset from the contents of a box."""
    data = bytearray(path.read_bytes())
    place = data.index(box) + 4 + at
    assert data[place : place + len(old)] == old
    data[place : place + len(old)] = new
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ticks", [2**31 - 1, 3072, 768])
def test_an_index_with_a_damaged_duration_is_refused(tmp_path: Path, ticks: int) -> None:
    path = encode(tmp_path / "a.mp4", scene(12), rate=8, options={"bf": "0"})
    # One entry: 12 frames of 2048 / 16384 s.
    patched(path, b"stts", 8, struct.pack(">II", 12, 2048), struct.pack(">II", 12, ticks))
    assert_refused_by_all(path, "its index is damaged, 12 frames take")


def test_a_last_frame_of_another_length_is_no_damage(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 3, 4, 5, 6, 9]
    path = encode(tmp_path / "a.mp4", numbered(8), rate=8, ticks=ticks, options={"bf": "0"})
    np.testing.assert_allclose(read_video(path).timestamps, np.array(ticks) / 8)


def test_a_long_frame_near_the_end_of_reordered_ones_is_no_damage(tmp_path: Path) -> None:
    ticks = [*range(14), 24, 25]
    path = encode(tmp_path / "a.mp4", numbered(16), rate=8, ticks=ticks,
                  options={"bf": "3", "b-adapt": "0"})  # fmt: skip
    # As FFmpeg writes it since 7.0: the header has the time from the first frame to the last's end.
    data = path.read_bytes()
    clock, declared = struct.unpack_from(">II", data, data.index(b"mdhd") + 4 + 12)
    patched(path, b"mdhd", 16, struct.pack(">I", declared), struct.pack(">I", clock * 26 // 8))
    np.testing.assert_allclose(read_video(path).timestamps, np.array(ticks) / 8)
    patched(path, b"mdhd", 16, struct.pack(">I", clock * 26 // 8), struct.pack(">I", clock * 5))
    assert_refused_by_all(path, "its index is damaged, 16 frames take")


def test_times_that_run_backwards_are_refused_by_all(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", scene(12), rate=8, options={"bf": "2", "b-adapt": "0"})
    data = bytearray(path.read_bytes())
    place = data.index(b"ctts") + 12
    entries = [struct.unpack_from(">II", data, place + 8 * k) for k in range(4)]
    assert len(set(entries)) > 1
    struct.pack_into(">II", data, place, entries[0][0], 9 * 2048)
    path.write_bytes(data)
    assert_refused_by_all(path, "its times are damaged")


# Missing ends


CONTAINERS = [
    (".ts", "libx264"),
    (".m2ts", "libx264"),
    (".mpg", "mpeg1video"),
    (".vob", "mpeg2video"),
    (".ogv", "libvpx"),
    (".wmv", "wmv2"),
    (".mkv", "libx264"),
    (".webm", "libvpx-vp9"),
]


@pytest.mark.parametrize(("suffix", "name"), CONTAINERS)
def test_a_missing_end_is_seen_by_the_structure_of_the_container(
    tmp_path: Path, suffix: str, name: str
) -> None:
    path = encode(tmp_path / f"a{suffix}", scene(12), name=name, rate=25)
    whole = path.read_bytes()
    assert len(read_video(path).frames) == 12
    for share in (0.3, 0.5, 0.7, 0.9, 0.99):
        kept = int(len(whole) * share)
        # A cut between two packets of a transport stream cannot be told from the end of a clip.
        path.write_bytes(whole[: kept + (kept % 188 == 0 or kept % 192 == 0)])
        with pytest.raises(VideoError, match=r"a\.\w+: "):
            read_video(path)


@pytest.mark.parametrize("flags", ["frag_keyframe", "frag_keyframe+empty_moov"])
def test_a_cut_inside_a_fragment_of_an_mp4_is_seen(tmp_path: Path, flags: str) -> None:
    path = encode(tmp_path / "a.mp4", scene(24), rate=25, options={"g": "4"},
                  container_options={"movflags": flags})  # fmt: skip
    whole = path.read_bytes()
    ends = [at - 4 for at in range(len(whole)) if whole[at : at + 4] in (b"moof", b"mfra")]
    path.write_bytes(whole + b"\0\0\0\x08free")  # an empty box at the end
    assert len(read_video(path).frames) == 24
    for kept in range(len(whole) // 5, ends[-1], 97):
        if kept not in ends:
            path.write_bytes(whole[:kept])
            with pytest.raises(VideoError):
                read_video(path)


@pytest.mark.parametrize(("suffix", "name"), [*CONTAINERS, (".mp4", "libx264"), (".avi", "mpeg4")])
def test_damage_to_the_structure_raises_nothing_but_a_video_error(
    tmp_path: Path, suffix: str, name: str
) -> None:
    path = encode(tmp_path / f"a{suffix}", scene(6, 32, 48), name=name, rate=25)
    whole, generator = path.read_bytes(), np.random.default_rng(len(suffix) + len(name))
    for _ in range(25):
        damaged = bytearray(whole[: generator.integers(len(whole) // 2, len(whole) + 1)])
        for place in (*generator.integers(0, 400, 6), *generator.integers(-400, 0, 6)):
            damaged[place % len(damaged)] = generator.integers(256)
        path.write_bytes(damaged)
        for read in (count_frames, stored_display, timeline_of):
            with suppress(VideoError):
                read(path)


def test_a_recording_that_declares_no_size_is_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", scene(12), rate=25, container_options={"live": "1"})
    assert len(read_video(path).frames) == 12


def test_a_cut_matroska_with_sound_that_lasts_longer_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        picture = container.add_stream("ffv1", rate=25)
        sound = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(picture, VideoStream)
        picture.height, picture.width = 96, 128
        for frame in scene(12):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        silence.rate = 8000
        container.mux([*sound.encode(silence), *picture.encode(None), *sound.encode(None)])
    whole = path.read_bytes().replace(b"DURATION", b"duration-")  # other programs write no such tag
    assert len(read_video(path).frames) == 12
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match="truncated"):
        read_video(path)


# Transparency


@pytest.mark.parametrize("name", ["libvpx", "libvpx-vp9"])
def test_transparency_of_vp8_and_vp9_is_composited_on_white(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.webm"
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32, 0], rgba[:, :32, 3] = 200, 255
    with av.open(path, "w") as container:
        options = {"crf": "4", "b": "1M", "auto-alt-ref": "0"}
        stream = container.add_stream(name, rate=8, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode(None))
    clip = read_video(path)
    assert clip.frames.shape == (4, 64, 64, 3)
    assert clip.fps == 8
    assert clip.frames[:, :, 40:].min() >= 250
    np.testing.assert_allclose(clip.frames[:, 8:56, 4:24].mean((0, 1, 2)), [200, 0, 0], atol=6)
