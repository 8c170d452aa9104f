"""Read masks of a clip made elsewhere, grey or object ids, as its heatmap in [0, 1].

F frames, H W pixels, h w pixels of the mask's own size. A mask may be a grey video, a folder of
pictures or an .npz; object masks, from any segmenter, are the paper's ablation: what is segmented
weighs 1, all else 0.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from motifocal.files.names import stored_name
from motifocal.media.arrays import Frames
from motifocal.media.picture import (
    PICTURE_SUFFIXES,
    VideoError,
    natural_key,
    one_line,
    open_picture,
    resize_crop,
)
from motifocal.media.video import MAX_CLIP_BYTES, read_video
from motifocal.media.video_files import VIDEO_SUFFIXES
from motifocal.motion.heatmap_files import read_npz

#: Which objects weigh 1: some ids, all of them, or None, where masks are grey and no ids.
Objects: TypeAlias = Collection[int] | Literal["all"] | None

# Indexed pictures of the usual data sets (PASCAL VOC, DAVIS) mark with this what is undecided.
VOID = 255
# Grey masks with nothing between this, on the scale of 8 bits, and white look like ids that were
# taken for grey: white may be what is undecided.
_LEAST_GREY = 32
# Grey levels between channels up to which a picture counts as grey: codecs change them a little.
_MOST_COLOUR = 32
# Arrays of an .npz that hold a mask, in this order; else its only array.
_NAMES = ("mask", "masks", "heatmap")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error)


def mask_heatmap(
    path: str | Path, clip: tuple[int, int, int], *, size: tuple[int, int] | None = None,
    indices: Sequence[int] | None = None, objects: Objects = None, fps: float | None = None,
) -> NDArray[np.float32]:
    """Read a mask of a clip as a heatmap (F, H, W) float32 in [0, 1].

    A mask of another size than the clip's is scaled if it has the clip's proportions, up to a
    pixel, and cropped like the clip (``picture.resize_crop``).

    Args:
        path: a grey video; a folder of pictures, one a frame, in natural order; or an .npz with
            an array (F, h, w), bool, uint8, uint16 or float in [0, 1], "mask" or its only one.
        clip: (frames, H, W) of the clip.
        size: (H, W) that the clip is scaled to and cropped; None leaves it as it is.
        indices: which frames of the clip are taken; None takes all. The mask may be of all frames
            of the clip, or of exactly these.
        objects: ids that weigh 1, or "all" but 0. Ids are read from indexed PNGs, where 255 is
            undecided and no object, from grey PNGs of 8 or 16 bits, and from an .npz of integers,
            in both of which 255 is an id like others. With None indexed and 1-bit pictures mean all
            objects, other pictures a grey weight.
        fps: a video is resampled to this, as the clip was.

    Raises:
        VideoError: one line with the path and what is wrong: no mask, unreadable, another number
            of frames, other proportions, ids that look grey or grey that looks like ids, indexed
            pictures among others or all undecided, transparency, or an object that is in no frame.
    """
    path = Path(path)
    mask = _read(path, objects, fps)
    count, height, width = clip
    chosen = range(count) if indices is None else indices
    if len(mask) == count:
        mask = mask if indices is None else mask[list(chosen)]
    elif len(mask) != len(chosen):
        expected = f"{count}" if indices is None else f"{count} or {len(chosen)}"
        raise VideoError(f"{path}: should have {expected} frames as the clip has, got {len(mask)}")
    fitted = _fitted(path, mask, (height, width), size or (height, width))
    return np.divide(fitted, np.float32(255), dtype=np.float32)


def find_mask(folder: str | Path, name: str) -> Path:
    """Find a clip's mask in a folder of masks: ``name`` + .npz or a video's suffix, or a folder.

    Raises VideoError where there is none, more than one, or the name leads out of the folder.
    """
    stem = Path(folder) / name
    if Path(os.path.abspath(folder)) not in Path(os.path.abspath(stem)).parents:
        raise VideoError(f"{stem}: lies outside of {folder}")
    names = [name, *(name + suffix for suffix in (".npz", *sorted(VIDEO_SUFFIXES)))]
    paths = [Path(folder, stored_name(folder, file_name)) for file_name in names]
    masks = [path for path in paths[:1] if path.is_dir()] + [p for p in paths[1:] if p.is_file()]
    if not masks:
        raise VideoError(f"{stem}: there is no mask of this name, .npz, video or folder")
    if len(masks) > 1:
        raise VideoError(f"{stem}: there should be one mask, got {' and '.join(map(str, masks))}")
    return masks[0]


def _read(path: Path, objects: Objects, fps: float | None) -> NDArray[np.uint8]:
    """Read a mask as (F, h, w) uint8, 255 is 1."""
    if path.is_dir():
        return _of_folder(path, objects)
    if path.suffix.lower() == ".npz":
        return _of_array(path, _array(path), objects)
    if objects is not None:
        raise VideoError(f"{path}: objects need PNGs or an .npz, a video's codec changes their ids")
    return _grey(path, read_video(path, fps=fps).frames)


def _of_folder(path: Path, objects: Objects) -> NDArray[np.uint8]:
    files = [
        file
        for file in sorted(path.iterdir(), key=natural_key)
        if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")
    ]
    if not files:
        raise VideoError(f"{path}: the folder holds no pictures")
    if any(file.suffix.lower() != ".png" for file in files):
        if objects is not None:
            raise VideoError(f"{path}: objects need PNGs, got {files[0].name}")
        return _grey(path, read_video(path).frames)
    pictures = _pngs(path, files)
    # 255 is white in a grey picture and undecided in an indexed one: they are not mixed either.
    kinds = {f"{values.shape} {values.dtype}{' indexed' * ids}" for values, ids in pictures}
    if len(kinds) > 1:
        raise VideoError(f"{path}: pictures should be of one kind, got {', '.join(sorted(kinds))}")
    values = np.stack([values for values, _ in pictures])
    if pictures[0][1]:
        decided = np.where(values == VOID, 0, values)
        if values.any() and not decided.any():
            raise VideoError(f"{path}: indexed pictures of nothing but {VOID}, which is undecided")
        return _of_ids(path, decided, objects or "all")
    return _of_array(path, values, objects)


def _pngs(folder: Path, files: Sequence[Path]) -> list[tuple[NDArray[Any], bool]]:
    """Read each by `_png`. VideoError where they take more memory than an .npz may (`read_npz`)."""
    pictures, needed = [], 0
    for file in files:
        pictures.append(_png(file))
        values = pictures[-1][0]
        needed += values.nbytes + 4 * values.size  # and the float32 that each value becomes
        if needed > MAX_CLIP_BYTES:
            raise VideoError(f"{folder}: needs more than {MAX_CLIP_BYTES / 2**30:g} GiB of memory")
    return pictures


def _png(path: Path) -> tuple[NDArray[Any], bool]:
    """Read (h, w) uint8 or uint16, and whether these are ids for sure: indexed or 1-bit."""
    try:
        with open_picture(path, ("PNG",)) as image:
            mode, values = image.mode, np.array(image)
    except VideoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, *_DAMAGE) as error:
        raise VideoError(f"{path}: cannot be read as a PNG ({one_line(error)})") from error
    if mode in ("P", "1"):
        return values.astype(np.uint8), True
    if mode in ("LA", "RGBA") and values[..., -1].min() < 255:
        raise VideoError(f"{path}: should be opaque, got transparency: it may be the mask or not")
    if mode in ("RGB", "RGBA"):
        return _grey(path, values[None, ..., :3])[0], False
    if mode == "LA":
        values = values[..., 0]
    return values.astype(np.uint8 if mode in ("L", "LA") else np.uint16), False


def _grey(path: Path, frames: Frames) -> NDArray[np.uint8]:
    """Average the channels of (F, h, w, 3) that shows grey. VideoError where it shows colours."""
    spread = int((frames.max(axis=-1) - frames.min(axis=-1)).max())
    if spread > _MOST_COLOUR:
        raise VideoError(f"{path}: should be grey, got colours; objects need ids, not colours")
    return np.rint(frames.mean(axis=-1, dtype=np.float32)).astype(np.uint8)


def _array(path: Path) -> NDArray[Any]:
    """Read the mask in an .npz: bool, integers or floats, (F, h, w)."""
    try:
        arrays = read_npz(path)
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: cannot be read ({one_line(error)})") from error
    name = next((name for name in _NAMES if name in arrays), None)
    if name is None and len(arrays) != 1:
        raise VideoError(f"{path}: should hold one array 'mask', got {sorted(arrays)}")
    array = arrays[name] if name else next(iter(arrays.values()))
    if array.ndim != 3 or not array.size or array.dtype.kind not in "buif":
        kind = f"{array.shape} {array.dtype}"
        raise VideoError(f"{path}: mask should be (F, H, W) of numbers, got {kind}")
    return array


def _of_array(path: Path, array: NDArray[Any], objects: Objects) -> NDArray[np.uint8]:
    """Convert grey values, booleans or ids (F, h, w) to uint8, 255 is 1."""
    if array.dtype == np.bool_:
        return _of_ids(path, array.astype(np.uint8), objects or "all")
    if objects is not None:
        if array.dtype.kind == "f":
            raise VideoError(f"{path}: objects should be integers, got {array.dtype}")
        # Of two values, 0 and 255, the brighter one is the object.
        binary = array.dtype == np.uint8 and np.isin(array, (0, 255)).all()
        return _of_ids(path, np.minimum(array, 1) if binary else array, objects)
    if array.dtype.kind == "f":
        least, most = float(array.min()), float(array.max())
        if not (least >= 0 and most <= 1):  # nan is neither
            raise VideoError(f"{path}: mask should be in [0, 1], got {least} to {most}")
        return _by_frame(array, lambda frame: np.rint(frame * 255))
    if array.dtype not in (np.uint8, np.uint16):
        raise VideoError(f"{path}: grey should be uint8 or uint16, got {array.dtype}")
    _refuse_ids(path, array)
    return array if array.dtype == np.uint8 else _by_frame(array, lambda f: np.rint(f / 257))


def _refuse_ids(path: Path, grey: NDArray[Any]) -> None:
    """Raise VideoError where grey values (F, h, w), uint8 or uint16, look like ids of objects."""
    values = np.unique(grey)
    least = _LEAST_GREY * (257 if grey.dtype == np.uint16 else 1)
    dark = values[(values > 0) & (values < least)]
    if len(dark) and np.isin(values[values >= least], (VOID, np.iinfo(grey.dtype).max)).all():
        raise VideoError(f"{path}: values up to {dark.max()} look like ids, name objects or 'all'")


def _by_frame(
    array: NDArray[Any], grey: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.uint8]:
    """Make grey values (F, h, w) a frame at a time: what comes between takes 8 bytes a value."""
    made = np.empty(array.shape, np.uint8)
    for frame, here in zip(array, made, strict=True):
        here[:] = grey(frame)
    return made


def _of_ids(path: Path, ids: NDArray[Any], objects: Objects) -> NDArray[np.uint8]:
    """Return 255 where one of the objects is. VideoError where one of them is in no frame."""
    if objects == "all" or objects is None:
        return _by_frame(ids, lambda frame: np.where(frame > 0, 255, 0))
    known = {number for frame in ids for number in np.unique(frame).tolist()} - {0}
    if missing := sorted(set(objects) - known):
        raise VideoError(f"{path}: has no object {missing[0]}, but {sorted(known) or 'none'}")
    return _by_frame(ids, lambda frame: np.where(np.isin(frame, list(objects)), 255, 0))


def _fitted(
    path: Path, mask: NDArray[np.uint8], clip: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Scale the mask (F, h, w) to the size, (F, H, W), cropped as the clip is."""
    height, width = mask.shape[1:]
    if (height, width) == size:
        return mask
    # Half of 45 rows is 22 or 23.
    if abs(width - height * clip[1] / clip[0]) > 1 and abs(height - width * clip[0] / clip[1]) > 1:
        is_, of = f"{width}x{height}", f"{clip[1]}x{clip[0]}"
        raise VideoError(f"{path}: {is_} does not scale to the clip's {of}")
    colours = (np.repeat(frame[..., None], 3, axis=-1) for frame in mask)
    return np.stack([resize_crop(frame, *size)[..., 0] for frame in colours])
