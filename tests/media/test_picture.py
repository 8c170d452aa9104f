"""Pictures of every kind come in as the viewer sees them, or are refused in one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from noise import noise
from PIL import Image

from motifocal.media import picture
from motifocal.media.video import (
    VideoError,
    count_frames,
    read_image,
    read_video,
    resize_crop,
    write_image,
)

ORIENTATIONS = {
    1: lambda shown: shown,
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.transpose(1, 0, 2),
    6: lambda shown: np.rot90(shown, 1),
    7: lambda shown: shown[::-1, ::-1].transpose(1, 0, 2),
    8: lambda shown: np.rot90(shown, -1),
}


def png_header_only(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_exif_orientation_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    shown = noise(4, 6, 3)
    stored = np.ascontiguousarray(ORIENTATIONS[orientation](shown))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), shown)


def test_png_round_trip_is_exact(tmp_path: Path) -> None:
    image = noise(5, 7, 3)
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_lossy_pictures_stay_close(tmp_path: Path, suffix: str) -> None:
    image = resize_crop(noise(6, 8, 3), 48, 64)
    write_image(tmp_path / f"a{suffix}", image)
    error = np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - image)
    assert error.mean() < 4


def test_pictures_are_written_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".webp"):
        write_image(tmp_path / f"a{suffix}", noise(9, 9, 3))
        write_image(tmp_path / f"b{suffix}", noise(9, 9, 3))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_alpha_is_composited_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [255, 127, 0])


def test_grey_with_alpha_is_composited_on_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[10, 0], [10, 255]]], np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [255, 10])


def test_a_transparent_palette_entry_turns_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[255, 255, 255], [0, 0, 255]]])


def test_grey_and_one_bit_pictures_become_three_equal_channels(tmp_path: Path) -> None:
    grey = noise(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey > 127).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, -1))
    bits = np.where(grey > 127, 255, 0)
    np.testing.assert_array_equal(read_image(tmp_path / "bit.png"), np.stack([bits] * 3, -1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    read = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read, np.stack([np.rint(values / 257)] * 3, -1))


def test_sixteen_bit_colour_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = noise(4, 5, 3)
    cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), values)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 255): (0, 0, 0)}
    for ink, expected in inks.items():
        Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=100)
        assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - expected).max() <= 3


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=r"a\.tif: .*floating point"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (60_000, 60_000), (0, 5)])
def test_absurd_sizes_are_refused_before_any_pixel_is_decoded(
    tmp_path: Path, width: int, height: int
) -> None:
    (tmp_path / "a.png").write_bytes(png_header_only(width, height))
    for read in (read_image, read_video):
        with pytest.raises(VideoError, match=r"a\.png: [^\n]*$"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp"])
def test_pictures_cut_anywhere_are_refused(tmp_path: Path, suffix: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(40, 40, 3)).save(buffer, {".jpg": "JPEG"}.get(suffix, suffix[1:]))
    whole = buffer.getvalue()
    file = tmp_path / f"a{suffix}"
    for part in (1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 60):
        file.write_bytes(whole[:part])
        with pytest.raises(VideoError) as caught:
            read_image(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_refused_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    causes = {"gone": "no such", "empty": "empty", "text": "not an image", "folder": "be a file"}
    for name, cause in causes.items():
        with pytest.raises(VideoError, match=rf"{name}\.png: .*{cause}"):
            read_image(tmp_path / f"{name}.png")


def test_an_eps_file_is_not_handed_to_ghostscript(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(VideoError, match="not an image in a known format"):
        read_image(tmp_path / "a.png")


def test_write_image_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should be \(H, W, 3\) uint8, got \(2, 2, 4\) uint8"):
        write_image(tmp_path / "a.png", noise(2, 2, 4))
    with pytest.raises(ValueError, match="float64"):
        write_image(tmp_path / "a.png", np.zeros((2, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(VideoError, match=r"a\.xyz: should end in one of \.png"):
        write_image(tmp_path / "a.xyz", noise(2, 2, 3))
    with pytest.raises(VideoError, match="does not exist"):
        write_image(tmp_path / "gone" / "a.png", noise(2, 2, 3))
    for name in ("a.jpg", "a.webp"):
        with pytest.raises(VideoError, match=rf"{name}: cannot be written"):
            write_image(tmp_path / name, np.zeros((1, 70_000, 3), np.uint8))
    (tmp_path / "b.png").mkdir()
    with pytest.raises(VideoError, match="is a folder"):
        write_image(tmp_path / "b.png", noise(2, 2, 3))
    assert [file.name for file in tmp_path.iterdir()] == ["b.png"]


def test_resize_crop_returns_a_fitting_input_untouched() -> None:
    frames = noise(2, 4, 6, 3)
    assert resize_crop(frames, 4, 6) is frames
    assert resize_crop(frames[0], 4, 6).base is frames


@pytest.mark.parametrize("size", [(32, 32), (50, 20), (20, 50), (200, 300), (301, 77)])
def test_resize_crop_gives_the_size_and_keeps_the_rank(size: tuple[int, int]) -> None:
    frames = noise(2, 60, 90, 3)
    assert resize_crop(frames, *size).shape == (2, *size, 3)
    np.testing.assert_array_equal(resize_crop(frames[1], *size), resize_crop(frames, *size)[1])


def test_resize_crop_keeps_circles_round_and_the_centre_in_the_centre() -> None:
    image = np.zeros((121, 301, 3), np.uint8)
    cv2.circle(image, (150, 60), 40, (255, 255, 255), -1)
    for height, width in ((60, 60), (240, 300)):
        rows, columns = np.nonzero(resize_crop(image, height, width)[..., 0] > 127)
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
        assert abs(rows.mean() - (height - 1) / 2) < 1
        assert abs(columns.mean() - (width - 1) / 2) < 1


def test_resize_crop_averages_when_it_shrinks() -> None:
    checkers = np.repeat((np.indices((60, 60)).sum(0) % 2 * 255)[..., None], 3, -1).astype(np.uint8)
    # Blocks of 5 x 5 pixels: picking the middle one would leave black and white.
    assert np.abs(resize_crop(checkers, 12, 12).astype(int) - 127.5).max() <= 6


def test_resize_crop_refuses_other_arrays() -> None:
    with pytest.raises(ValueError, match=r"got \(4, 4\) uint8"):
        resize_crop(noise(4, 4), 2, 2)
    with pytest.raises(ValueError, match="float32"):
        resize_crop(noise(4, 4, 3).astype(np.float32), 2, 2)
    with pytest.raises(ValueError, match="at least 1, got 0 and 2"):
        resize_crop(noise(4, 4, 3), 0, 2)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, the checksums of colour profiles and texts wrong."""
    written = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        checksum = zlib.crc32(name + content) ^ (name in (b"iCCP", b"tEXt"))
        written += struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
    return written


def test_a_damaged_colour_profile_or_text_in_a_png_is_passed_over(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = (b"IHDR", struct.pack(">IIBBBBB", 6, 4, 8, 2, 0, 0, 0))
    damaged = [(b"iCCP", b"profile\0\0" + zlib.compress(bytes(90))), (b"tEXt", b"Title\0me")]
    path = tmp_path / "a.png"
    path.write_bytes(png(header, *damaged, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    np.testing.assert_array_equal(read_image(path), pixels)
    np.testing.assert_array_equal(read_video(path).frames[0], pixels)
    path.write_bytes(png(header, *damaged, (b"IDAT", zlib.compress(rows)))[:-30])
    with pytest.raises(VideoError, match="cannot be decoded"):
        read_image(path)


def test_a_picture_with_more_pixels_than_memory_takes_is_refused(tmp_path: Path) -> None:
    header = (b"IHDR", struct.pack(">IIBBBBB", picture.MAX_PIXELS, 1, 8, 2, 0, 0, 0))
    path = tmp_path / "wide.png"
    path.write_bytes(png(header, (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")))
    for read in (read_image, read_video, count_frames):
        with pytest.raises(VideoError, match=r"wide\.png: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)
