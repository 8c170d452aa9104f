"""The lines on stderr that say how much of an image or of clips is cropped.

Shapes and sizes are (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from motifocal.data.captions import CaptionedVideo

LEAST_CROP = 0.05  # share of an image whose loss is worth a note
LEAST_TURNED = 1 / 3  # share of clips whose loss, at a size of the other orientation, is
LOOKED_AT = 8  # clips that stand for all


def cropped_share(shape: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the share of an image that is lost where it is scaled to cover a size, and cropped."""
    before, after = shape[1] / shape[0], size[1] / size[0]
    return 1 - min(before / after, after / before)


def note_cropped(shape: tuple[int, int], size: tuple[int, int] | None) -> None:
    """Say what is lost of an image that is cropped to frames of a size, None if not known."""
    if size is None:
        return
    lost = cropped_share(shape, size)
    if lost < LEAST_CROP:
        return
    where = "top and bottom" if shape[1] * size[0] < size[1] * shape[0] else "left and right"
    click.echo(f"note: the image is cropped to the shape of the video: {lost:.0%} of it, at its "
               f"{where}, is left out; crop it yourself to choose what stays", err=True)


def note_turned(videos: Sequence[CaptionedVideo], size: tuple[int, int]) -> None:
    """Say where most clips lie across a size, as where width and height were exchanged.

    A few clips are looked at, spread over all; none in a bucket, from where each is fetched whole.
    """
    height, width = size
    shapes = list(_shapes(videos))
    turned = [shape for shape in shapes if (shape[0] - shape[1]) * (height - width) < 0
              and cropped_share(shape, size) > LEAST_TURNED]
    if 2 * len(turned) <= len(shapes):
        return
    tall, wide = turned[0]
    lost = cropped_share((tall, wide), size)
    click.echo(f"note: --size is height x width: {height}x{width} crops {lost:.0%} of clips of "
               f"{tall}x{wide}; --size {width}x{height} has their orientation", err=True)


def _shapes(videos: Sequence[CaptionedVideo]) -> Iterator[tuple[int, int]]:
    """Yield the shapes of a few clips; what cannot be read is named where all clips are."""
    from motifocal.files.remote import RemotePath
    from motifocal.media.video import VideoError, read_video

    for video in videos[:: -(-len(videos) // LOOKED_AT) or 1]:
        if isinstance(video.path, RemotePath):
            continue
        try:
            height, width = read_video(video.path, num_frames=1).frames.shape[1:3]
        except (VideoError, OSError):
            continue
        yield height, width
