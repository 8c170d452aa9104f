"""Pictures with a line of text each become one picture to look at, of any shape of frame.

Letters: F frames, H W pixels. A picture is (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from motifocal.media.arrays import Frames, Image
from motifocal.media.sheet import GAP, PAPER, label

READABLE = 480  # a narrower picture is enlarged, or its text would not fit


def labelled(rows: Sequence[tuple[str, Image]]) -> Image:
    """Pictures one below the other, each under its text.

    Raises ValueError for no row at all.
    """
    if not rows:
        raise ValueError("rows should hold at least one picture, got none")
    pictures = [_enlarged(picture) for _, picture in rows]
    width = max(picture.shape[1] for picture in pictures)
    parts = []
    for (text, _), picture in zip(rows, pictures, strict=True):
        row = np.full((picture.shape[0] + GAP, width, 3), PAPER, np.uint8)
        row[: picture.shape[0], : picture.shape[1]] = picture
        parts += [label([text], width), row]
    return np.concatenate(parts)


def side_by_side(frames: Frames, columns: int) -> Image:
    """Frames (F, H, W, 3) spread over a clip in one row, at most `columns` of them."""
    count, height, width, _ = frames.shape
    chosen = np.unique(np.rint(np.linspace(0, count - 1, columns)).astype(int))
    row = np.full((height, len(chosen) * (width + GAP) - GAP, 3), PAPER, np.uint8)
    for column, k in enumerate(chosen):
        row[:, column * (width + GAP) :][:, :width] = frames[k]
    return row


def _enlarged(picture: Image) -> Image:
    factor = -(-READABLE // picture.shape[1])
    if factor == 1:
        return picture
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
