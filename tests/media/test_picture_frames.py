"""Folders of pictures and animated ones are read as frames, at their own times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noise import noise
from PIL import Image

from motifocal.media.video import VideoError, count_frames, read_image, read_video, write_image


def test_a_folder_of_png_frames_comes_back_exactly_in_natural_order(tmp_path: Path) -> None:
    frames = noise(12, 6, 8, 3)
    for index in np.random.default_rng(1).permutation(12):
        write_image(tmp_path / f"frame{index}.png", frames[index])
    (tmp_path / "notes.txt").write_text("left alone")
    (tmp_path / ".frame3.png").write_text("left alone")
    clip = read_video(tmp_path)
    np.testing.assert_array_equal(clip.frames, frames)
    assert clip.fps == 8
    np.testing.assert_allclose(clip.timestamps, np.arange(12) / 8)
    assert read_video(tmp_path, fps=24, num_frames=12).fps == 24
    assert read_video(tmp_path, stride=2).fps == 4


def test_a_folder_with_frames_of_two_sizes_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", noise(4, 6, 3))
    write_image(tmp_path / "1.png", noise(4, 8, 3))
    with pytest.raises(VideoError, match="frame 1 is 8x4, the first is 6x4"):
        read_video(tmp_path)


def test_a_damaged_frame_in_a_folder_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", noise(4, 6, 3))
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with pytest.raises(VideoError, match=r"1\.png: cannot be decoded"):
        read_video(tmp_path)


def test_a_single_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    image = noise(4, 6, 3)
    write_image(tmp_path / "a.png", image)
    clip = read_video(tmp_path / "a.png")
    np.testing.assert_array_equal(clip.frames, image[None])
    assert (clip.fps, clip.timestamps.tolist()) == (8, [0])
    with pytest.raises(VideoError, match="holds 1 of 2 frames"):
        read_video(tmp_path / "a.png", num_frames=2)


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_animated_pictures_are_read_at_their_own_times(tmp_path: Path, suffix: str) -> None:
    frames = noise(4, 6, 8, 3)
    first, *others = map(Image.fromarray, frames)
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    file = tmp_path / f"a{suffix}"
    first.save(file, save_all=True, append_images=others, duration=[100, 50, 200, 50], **options)
    clip = read_video(file)
    np.testing.assert_array_equal(clip.frames, frames)
    np.testing.assert_allclose(clip.timestamps, [0, 0.1, 0.15, 0.35])
    resampled = read_video(file, fps=20)
    np.testing.assert_array_equal(resampled.frames, frames[[0, 0, 1, 2, 2, 2, 2, 3]])
    np.testing.assert_array_equal(read_image(file), frames[0])


def test_gif_durations_are_times_and_tiny_ones_count_as_a_tenth_of_a_second(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (0, 80, 160, 240)]
    file = tmp_path / "a.gif"
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=[200, 0, 10, 50])
    np.testing.assert_allclose(read_video(file).timestamps, [0, 0.2, 0.3, 0.4])
    seen = read_video(file, fps=10).frames[:, 0, 0, 0]
    np.testing.assert_array_equal(seen, [0, 0, 80, 160, 240])
    assert count_frames(file, fps=10) == 5


def test_transparent_gif_frames_are_drawn_over_the_ones_before_and_on_white(tmp_path: Path) -> None:
    empty, dot = Image.new("RGBA", (4, 4)), Image.new("RGBA", (4, 4))
    dot.putpixel((1, 2), (255, 0, 0, 255))
    empty.putpixel((0, 0), (0, 0, 255, 255))
    file = tmp_path / "a.gif"
    empty.save(file, save_all=True, append_images=[dot], duration=100, disposal=1)
    frames = read_video(file).frames
    np.testing.assert_array_equal(frames[0, 3, 3], [255, 255, 255])
    np.testing.assert_array_equal(frames[1, 2, 1], [255, 0, 0])
    np.testing.assert_array_equal(frames[1, 0, 0], [0, 0, 255])


def test_only_the_first_page_of_a_tiff_is_a_frame(tmp_path: Path) -> None:
    pages = [Image.fromarray(noise(3, 3, 3, seed=seed)) for seed in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_video(tmp_path / "a.tif").frames.shape == (1, 3, 3, 3)
