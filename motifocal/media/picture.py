"""Read and write images; read animated images and folders of images as frames.

F frames, H W pixels. An image is `(H, W, 3)` uint8 RGB.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from motifocal.files import disk
from motifocal.files.atomic import replacing
from motifocal.files.remote import RemoteError, to_path
from motifocal.media.arrays import Frames, Image, check_image
from motifocal.media.png_chunks import is_png, without_unused_chunks

#: The earlier name of frames and images alike.
Pixels: TypeAlias = NDArray[np.uint8]

PICTURE_SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
)

# Pillow reads more formats than these, some by starting other programs (EPS).
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# A TIFF may hold pages and a phone's JPEG a second view; neither is a film.
_ANIMATED_FORMATS = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
_SAVE_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95}),
}

# The size at which Pillow starts to warn of a decompression bomb; video frames keep to it too.
MAX_PIXELS = 89_478_485

# What Pillow's decoders raise on damaged files: it has no one type for that (IndexError comes
# from GIF palettes, RuntimeError from AVIF, SyntaxError from PNG).
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip


class VideoError(ValueError):
    """A video or image that cannot be read or written: one line with the file and the cause."""


class Shot(NamedTuple):
    """One frame on screen from `start` until `end`, in seconds since the first frame.

    `number` counts the frames of a video file as stored.
    """

    start: Fraction
    end: Fraction
    pixels: Callable[[], Image]
    number: int = 0


class Source(NamedTuple):
    """Frames with times, which are stored to `grain` s, and their declared rate in frames/s."""

    shots: Iterator[Shot]
    rate: Fraction | None
    grain: Fraction
    seconds: Fraction | None = None  # of the whole file as it says, its sound included


def one_line(error: BaseException) -> str:
    """Return the message of a foreign error without line breaks, or its type when it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def check_file(path: Path) -> None:
    """Raise VideoError unless `path` is a file with something in it."""
    if not path.exists():
        raise VideoError(f"{path}: no such file or folder")
    if not path.is_file():
        raise VideoError(f"{path}: should be a file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty")


def check_size(path: Path, width: int, height: int) -> None:
    """Raise VideoError when a frame has no pixels or more than MAX_PIXELS."""
    if not 0 < width * height <= MAX_PIXELS:
        limit = f"1 to {MAX_PIXELS} pixels"
        raise VideoError(f"{path}: a frame should have {limit}, got {width}x{height}")


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a key that sorts frame2 before frame10."""
    pieces = re.split(r"(\d+)", path.as_posix().casefold())
    # The split alternates text and digits, so equal positions always hold equal types.
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], path.as_posix()


def read_image(path: str | Path) -> Image:
    """Read an image as `(H, W, 3)` uint8 RGB, upright as its EXIF orientation says.

    Alpha is composited on white, 16 bit grey and colour are scaled to 8 bit, CMYK and palettes
    are converted; of an animation the first frame is taken. ICC profiles are not applied.

    Raises VideoError when the file is missing, empty, damaged, no image or too large.
    """
    path = Path(path)
    check_file(path)
    with _opened(path) as image:
        return upright_rgb(image)


def upright_rgb(image: PillowImage.Image) -> Image:
    """Return a Pillow image as `read_image` returns its file. ValueError for float pixels."""
    return _to_rgb(ImageOps.exif_transpose(image))


def write_image(path: str | Path, image: Image) -> None:
    """Write `(H, W, 3)` uint8 RGB as .png (lossless), .jpg, .jpeg or .webp (quality 95).

    The file appears whole or not at all. Raises ValueError for another shape or type and
    VideoError for another suffix or a folder that does not exist.
    """
    path = to_path(path)
    check_image(image, "image")
    if path.suffix.lower() not in _SAVE_OPTIONS:
        raise VideoError(f"{path}: should end in one of {', '.join(_SAVE_OPTIONS)}")
    name, options = _SAVE_OPTIONS[path.suffix.lower()]
    try:
        with replacing(path) as temporary:
            PillowImage.fromarray(image).save(temporary, format=name, **options)
    except (OSError, ValueError) as error:  # ValueError: more pixels than WebP takes
        if isinstance(error, RemoteError) or getattr(error, "errno", None) in disk.NO_ROOM:
            raise
        raise VideoError(f"{path}: cannot be written ({one_line(error)})") from error


def resize_crop(frames: Frames, height: int, width: int) -> Frames:
    """Scale without distortion until `height` x `width` is covered, then crop the centre.

    `frames` is `(F, H, W, 3)` or `(H, W, 3)` uint8; the result has the same rank. Shrinking
    averages over the area, enlarging is cubic. A size that fits already is returned untouched.
    """
    if frames.ndim not in (3, 4) or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        expected = "(F, H, W, 3) or (H, W, 3) uint8"
        raise ValueError(f"frames should be {expected}, got {frames.shape} {frames.dtype}")
    if min(height, width) < 1:
        raise ValueError(f"height and width should be at least 1, got {height} and {width}")
    if frames.shape[-3:-1] == (height, width):
        return frames
    if frames.ndim == 3:
        return _resize_crop_one(frames, height, width)
    return np.stack([_resize_crop_one(frame, height, width) for frame in frames])


def _resize_crop_one(frame: Image, height: int, width: int) -> Image:
    scale = max(height / frame.shape[0], width / frame.shape[1])
    scaled_height = max(height, round(frame.shape[0] * scale))
    scaled_width = max(width, round(frame.shape[1] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(frame, (scaled_width, scaled_height), interpolation=method)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width], dtype=np.uint8)


def picture_shots(path: Path, rate: Fraction) -> Iterator[Shot]:
    """Yield the frames of an animated image at their own times; one of `1 / rate` s otherwise.

    Durations up to 10 ms count as 100 ms, as in web browsers.
    """
    with _opened(path) as image:
        count = getattr(image, "n_frames", 1) if image.format in _ANIMATED_FORMATS else 1
        start = Fraction(0)
        for index in range(count):
            image.seek(index)
            pixels = upright_rgb(image)
            milliseconds = Fraction(image.info.get("duration") or 0).limit_denominator(1000)
            if count == 1:
                end = 1 / rate
            else:
                end = start + (milliseconds if milliseconds > 10 else 100) / Fraction(1000)
            yield Shot(start, end, partial(np.asarray, pixels))
            start = end


def folder_shots(path: Path, rate: Fraction) -> Iterator[Shot]:
    """Yield the images in a folder as frames in natural order, each shown for `1 / rate` s."""
    pictures = [
        file
        for file in path.iterdir()
        if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")
    ]
    if not pictures:
        raise VideoError(f"{path}: the folder holds no images to read as frames")
    for index, file in enumerate(sorted(pictures, key=natural_key)):
        yield Shot(index / rate, (index + 1) / rate, partial(read_image, file))


@contextmanager
def _opened(path: Path) -> Iterator[PillowImage.Image]:
    """Open with Pillow; whatever Pillow raises inside the block becomes a VideoError."""
    try:
        with open_picture(path) as image:
            yield image
    except VideoError:
        raise
    except UnidentifiedImageError as error:
        fault = f"{path}: not an image in a known format (PNG, JPEG, WebP, ...)"
        raise VideoError(fault) from error
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise VideoError(f"{path}: too many pixels ({one_line(error)})") from error
    except MemoryError as error:  # Pillow has no room for a line of so many pixels
        raise VideoError(f"{path}: too large to be decoded") from error
    except _DAMAGE as error:
        raise VideoError(f"{path}: cannot be decoded ({one_line(error)})") from error


def open_picture(path: Path, formats: tuple[str, ...] = _FORMATS) -> PillowImage.Image:
    """Open with Pillow, pixels not yet decoded; VideoError where they are too many.

    Raises what Pillow raises as well.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", PillowImage.DecompressionBombWarning)
        try:
            image = PillowImage.open(path, formats=formats)
        except UnidentifiedImageError:
            if not is_png(path):
                raise
            # Pillow, unlike libpng and browsers, gives up on a damaged colour profile or text.
            image = PillowImage.open(without_unused_chunks(path), formats=("PNG",))
    check_size(path, *image.size)
    return image


def _to_rgb(image: PillowImage.Image) -> Image:
    if image.mode.startswith("I"):
        return _sixteen_bit_to_rgb(np.asarray(image))
    if image.mode == "F":
        raise ValueError("floating point pixels have no agreed white")
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def on_white(rgba: Image) -> Image:
    """Composite `(H, W, 4)` with straight alpha on white: `(H, W, 3)`."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _sixteen_bit_to_rgb(values: NDArray[Any]) -> Image:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"grey values should be 16 bit, got {values.min()} to {values.max()}")
    # 65535 = 255 * 257, so this is round(value / 257): the extremes stay the extremes.
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
