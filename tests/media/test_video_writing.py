"""Videos are written with their frames, rate and colours, and with the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from made_videos import numbered, psnr, scene
from PIL import Image, ImageSequence

from motifocal.media import video
from motifocal.media.video import count_frames, read_video, write_video


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
