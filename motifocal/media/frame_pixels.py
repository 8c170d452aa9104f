"""Convert decoded frames to `(H, W, 3)` uint8 RGB as a viewer sees them.

H W pixels. The display matrix is applied, pixels are made square, transparency is composited on
white, HDR is brought to SDR. docs/reading.md states the rules for users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Image
from motifocal.media.frame_times import announces_alpha
from motifocal.media.hdr import TRANSFERS, to_sdr
from motifocal.media.picture import VideoError, check_size, on_white
from motifocal.media.pyav_versions import colours_of, matrix_of, one_thread

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Flags of FFmpeg's scaler (libswscale/swscale.h), as numbers because PyAV names some of them only
# since version 18. Interpolating chroma up, where the default flags repeat it, takes smooth frames
# through 4:2:0 and back at 52 dB instead of 40 dB.
SWS_ACCURATE = 0x40000
_SWS_BICUBIC, _SWS_FULL_CHROMA = 0x4, 0x2000
_TO_RGB = _SWS_BICUBIC | _SWS_FULL_CHROMA | SWS_ACCURATE
_SWS_AREA = 0x20
#: (H, W) of a frame as displayed -> the (h, w) that it is to be scaled to.
Shape: TypeAlias = Callable[[int, int], tuple[int, int]]
# Pixels this close to square count as square: rounding a size to a multiple of 2 or 16 leaves an
# aspect such as 1280:1281, and scaling by it would blur for nothing.
_NEARLY_SQUARE = Fraction(1, 100)


@dataclass(frozen=True)
class Display:
    """What a file says about how its frames are to be shown.

    turned: whether its display matrix turns or mirrors them.
    aspect: width of a pixel over its height, 1 if nearly so.
    transfer: "PQ" or "HLG" where they are HDR, else "".
    interlaced: whether the first frame is made of two fields, taken one after the other.
    transparent: whether they have an alpha channel, opaque or not.
    """

    turned: bool = False
    aspect: Fraction = Fraction(1)
    transfer: str = ""
    interlaced: bool = False
    transparent: bool = False

    @property
    def aspect_ratio(self) -> str:
        """The width to height of a pixel, as "4:3"."""
        return f"{self.aspect.numerator}:{self.aspect.denominator}"


@contextmanager
def naming(path: Path, failure: str) -> Iterator[None]:
    """Turn what FFmpeg raises inside the block, or a missing folder, into a VideoError."""
    import av

    try:
        yield
    except (av.FFmpegError, FileNotFoundError, IsADirectoryError) as error:
        reason = error.strerror or " ".join(map(str, error.args))
        raise VideoError(f"{path}: {failure} ({reason})") from error


def display_of(stream: VideoStream, frame: VideoFrame) -> Display:
    """Read how the frame, the first of its stream, is to be shown."""
    turned = False
    if "DISPLAYMATRIX" in frame.side_data:
        a, _, _, d = _display_matrix(frame)
        turned = _is_on_its_side(frame) or a < 0 or d < 0
    transfer = TRANSFERS.get(colours_of(stream, frame)[0], "")
    transparent = announces_alpha(stream) or _has_alpha(frame)
    return Display(turned, pixel_aspect(stream), transfer, frame.interlaced_frame, transparent)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height, 1 if nearly so or not stored."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect < 0 or abs(aspect - 1) <= _NEARLY_SQUARE:
        return Fraction(1)
    return Fraction(aspect)


class StoredShapes(NamedTuple):
    """Sizes of a frame, (H, W): as displayed, the same scaled, and that before it is turned."""

    displayed: tuple[int, int]
    reduced: tuple[int, int]
    converted: tuple[int, int]


def stored_shapes(stream: VideoStream, frame: VideoFrame, shape: Shape | None) -> StoredShapes:
    """Tell the sizes of a frame; without `shape` it is not scaled."""
    height, width = frame.height, max(1, round(frame.width * pixel_aspect(stream)))
    on_its_side = _is_on_its_side(frame)
    displayed = (width, height) if on_its_side else (height, width)
    h, w = displayed if shape is None else shape(*displayed)
    return StoredShapes(displayed, (h, w), (w, h) if on_its_side else (h, w))


def frame_pixels(
    path: Path, stream: VideoStream, frame: VideoFrame, shape: Shape | None = None,
    grey: bool = False,
) -> Image:
    """Convert a frame of the stream to (H, W, 3) RGB, upright and with square pixels.

    With `shape` it is scaled to what that says, averaging over the area; `grey` makes it luma
    alone, (H, W), which takes a third of the time.

    Raises VideoError for a frame without pixels, or with too many, and one that cannot be read.
    """
    check_size(path, frame.width, frame.height)
    displayed, _, (height, width) = stored_shapes(stream, frame, shape)
    check_size(path, *displayed)
    scaler = _TO_RGB if shape is None else _SWS_AREA
    transparent = _has_alpha(frame)
    transfer, primaries = colours_of(stream, frame)
    high = transfer in TRANSFERS
    plain = "gray" if grey else "rgb24"
    kind = {(False, False): plain, (True, False): "rgba"}.get((transparent, high), "rgb48le")
    with naming(path, "pixels cannot be converted"):
        array = frame.to_ndarray(format=kind, width=width, height=height, interpolation=scaler,
                                 **one_thread(), **matrix_of(frame))  # fmt: skip
    if high:
        codes = array.astype(np.uint32)
        if not frame.format.is_rgb:  # FFmpeg's scaler makes 255 * 256 of the white of YUV
            codes = np.minimum(codes * 257 // 256, 65535)
        rgb = to_sdr(codes.astype(np.uint16), transfer, primaries)
    else:
        pixels: Image = array.astype(np.uint8, copy=False)
        rgb = on_white(pixels) if transparent else pixels
    if grey and rgb.ndim == 3:
        rgb = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    return _upright(rgb, frame) if "DISPLAYMATRIX" in frame.side_data else rgb


def _upright(image: Image, frame: VideoFrame) -> Image:
    """Turn and mirror as the display matrix says, to the nearest quarter turn."""
    a, b, c, d = _display_matrix(frame)
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    image = image[:, ::-1] if a < 0 else image
    return np.ascontiguousarray(image[::-1] if d < 0 else image)


def upright_vectors(fields: NDArray[np.float32], frame: VideoFrame) -> NDArray[np.float32]:
    """Turn and mirror vectors (F-1, 2, h, w), x and y, as `frame_pixels` does with pixels."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return fields
    a, b, c, d = _display_matrix(frame)
    if abs(b) > abs(a):
        fields, a, d = fields[:, ::-1].swapaxes(2, 3), c, b
    across, down = -1 if a < 0 else 1, -1 if d < 0 else 1
    signs = np.array([across, down], np.float32)[:, None, None]
    return np.ascontiguousarray(fields[..., ::down, ::across] * signs)


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _is_on_its_side(frame: VideoFrame) -> bool:
    """Tell whether the display matrix turns the frame by a quarter."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return False
    a, b, _, _ = _display_matrix(frame)
    return abs(b) > abs(a)


def _display_matrix(frame: VideoFrame) -> list[int]:
    """Return a, b, c, d: the stored point (x, y) is shown at (a x + c y, b x + d y)."""
    side_data = cast("Mapping[str, Buffer]", frame.side_data)  # PyAV's hints know only one key
    # 9 numbers of 32 bits, row by row.
    matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32).reshape(3, 3)
    numbers: list[int] = matrix[:2, :2].ravel().tolist()
    return numbers
