"""Lay out clips and images with lines of text: contact sheets, labelled rows, a grid that plays.

Letters: F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from motifocal.media.arrays import Frames, Image

PAPER, INK, TITLE = (250, 249, 246), (40, 42, 48), (178, 58, 40)
FONT_SIZE = 14
GAP = 6
READABLE = 480  # a narrower picture is enlarged, or its text would not fit


def label(lines: Sequence[str], width: int, colour: tuple[int, int, int] = INK) -> Image:
    """Write lines of text on a strip of paper, (H, width, 3)."""
    line_height = FONT_SIZE + 4
    strip = PillowImage.new("RGB", (width, line_height * len(lines) + 2), PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(FONT_SIZE)
    for row, line in enumerate(lines):
        draw.text((2, row * line_height), line, fill=colour, font=font)
    return np.array(strip)


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """Choose at most `most` of `count` indices, from the first to the last, each once."""
    return np.unique(np.rint(np.linspace(0, count - 1, most)).astype(np.int64))


def spread(frames: Frames, columns: int, side: int) -> Image:
    """Lay `columns` frames from first to last side by side, each `side` pixels wide."""
    picked = np.rint(np.linspace(0, len(frames) - 1, columns)).astype(int)
    strip = np.full((side, columns * (side + GAP) - GAP, 3), PAPER, np.uint8)
    for column, index in enumerate(picked):
        left = column * (side + GAP)
        strip[:, left : left + side] = _scaled(frames[index], side)
    return strip


def labelled(rows: Sequence[tuple[str, Image]]) -> Image:
    """Stack images, each under its text.

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
    """Lay at most `columns` frames of (F, H, W, 3), spread over the clip, in one row."""
    count, height, width, _ = frames.shape
    chosen = evenly_spaced(count, columns)
    row = np.full((height, len(chosen) * (width + GAP) - GAP, 3), PAPER, np.uint8)
    for column, k in enumerate(chosen):
        row[:, column * (width + GAP) :][:, :width] = frames[k]
    return row


def contact_sheet(
    blocks: Sequence[tuple[str, Sequence[tuple[str, Sequence[Frames]]]]],
    *,
    columns: int = 8,
    side: int = 112,
) -> Image:
    """Stack blocks with a title; in each, rows of a text above one strip of frames per clip."""
    if not blocks or columns < 2:
        raise ValueError(f"there should be blocks and 2 columns, got {len(blocks)} and {columns}")
    width = columns * (side + GAP) - GAP
    parts: list[Image] = []
    for title, rows in blocks:
        parts.append(label([title], width, TITLE))
        for text, clips in rows:
            parts.append(label([text], width))
            parts += [_below(spread(clip, columns, side)) for clip in clips]
    return _framed(np.concatenate(parts))


def moving_grid(rows: Sequence[Sequence[tuple[str, Frames]]], *, side: int = 144) -> Frames:
    """Lay all clips out in a grid, (F, H, W, 3): a row per row given, texts below the clips."""
    if not rows or not all(rows):
        raise ValueError("there should be at least one row of clips, got an empty one")
    wrapped = [[textwrap.wrap(text, side // 7) for text, _ in row] for row in rows]
    height = max(len(lines) for row in wrapped for lines in row)
    texts = [[label([*lines, *[""] * (height - len(lines))], side) for lines in row]
             for row in wrapped]
    columns = max(len(row) for row in rows)
    cell_height = side + texts[0][0].shape[0] + GAP
    shape = (len(rows) * cell_height - GAP, columns * (side + GAP) - GAP, 3)

    def at(frame: int) -> Image:
        page = np.full(shape, PAPER, np.uint8)
        for r, (row, row_texts) in enumerate(zip(rows, texts, strict=True)):
            for c, ((_, clip), text) in enumerate(zip(row, row_texts, strict=True)):
                cell = np.concatenate([_scaled(clip[frame], side), text])
                y, x = r * cell_height, c * (side + GAP)
                page[y : y + len(cell), x : x + side] = cell
        return _framed(page)

    return np.stack([at(frame) for frame in range(len(rows[0][0][1]))])


def _scaled(picture: Image, side: int) -> Image:
    method = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)


def _below(picture: Image) -> Image:
    return np.concatenate([picture, np.full((GAP, picture.shape[1], 3), PAPER, np.uint8)])


def _framed(picture: Image) -> Image:
    margin = 2 * GAP
    height, width = picture.shape[0] + 2 * margin, picture.shape[1] + 2 * margin
    page = np.full((height + height % 2, width + width % 2, 3), PAPER, np.uint8)
    page[margin : margin + picture.shape[0], margin : margin + picture.shape[1]] = picture
    return page


def _enlarged(picture: Image) -> Image:
    factor = -(-READABLE // picture.shape[1])
    if factor == 1:
        return picture
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
