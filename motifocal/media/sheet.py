"""Lay out clips and images with lines of text: contact sheets, labelled rows, animated grids.

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
READABLE = 480  # a narrower image is enlarged, or its text would not fit


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


def in_row(
    images: Sequence[Image] | Frames, gap: int = GAP, between: tuple[int, int, int] = PAPER
) -> Image:
    """Lay images of one size side by side, `gap` pixels apart."""
    height, width, _ = images[0].shape
    row = np.full((height, len(images) * (width + gap) - gap, 3), between, np.uint8)
    for column, image in enumerate(images):
        row[:, column * (width + gap) :][:, :width] = image
    return row


def labelled(rows: Sequence[tuple[str, Image]]) -> Image:
    """Stack images, each under its text.

    Raises ValueError for no row at all.
    """
    if not rows:
        raise ValueError("rows should hold at least one image, got none")
    images = [_enlarged(image) for _, image in rows]
    width = max(image.shape[1] for image in images)
    parts = []
    for (text, _), image in zip(rows, images, strict=True):
        parts += [label([text], width), _padded(image, GAP, width - image.shape[1])]
    return np.concatenate(parts)


def side_by_side(frames: Frames, columns: int) -> Image:
    """Lay at most `columns` frames of (F, H, W, 3), spread over the clip, in one row."""
    return in_row(frames[evenly_spaced(len(frames), columns)])


def contact_sheet(
    blocks: Sequence[tuple[str, Sequence[tuple[str, Sequence[Frames]]]]], *, columns: int = 8,
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
            for clip in clips:
                picked = np.rint(np.linspace(0, len(clip) - 1, columns)).astype(int)
                row = in_row([_scaled(clip[index], side) for index in picked])
                parts.append(_padded(row, GAP))
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


def _scaled(image: Image, side: int) -> Image:
    method = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=method), np.uint8)


def _padded(image: Image, below: int, right: int = 0, before: int = 0) -> Image:
    """Add paper around an image, `before` pixels of it above and to the left."""
    return np.asarray(cv2.copyMakeBorder(image, before, below, before, right,
                                         cv2.BORDER_CONSTANT, value=PAPER), np.uint8)


def _framed(image: Image) -> Image:
    """Add a margin; both sides of the result are even, as a video needs them."""
    height, width, _ = image.shape
    return _padded(image, 2 * GAP + height % 2, 2 * GAP + width % 2, 2 * GAP)


def _enlarged(image: Image) -> Image:
    factor = -(-READABLE // image.shape[1])
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
