"""Measure clips in parallel, and show the results: a picture of a few, and failures by reason.

F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from motifocal.cli.options.frames import MOST_PIXELS
from motifocal.cli.output.progress import tracked
from motifocal.files.names import printable

if TYPE_CHECKING:
    from motifocal.data.workers.items import Done, Workers
    from motifocal.media.arrays import Frames, Image
    from motifocal.motion.heatmap import Heatmap

T = TypeVar("T")
R = TypeVar("R")

_NAMED = 20  # clips in a line

FILMSTRIP = "filmstrip.png"
_STRIPS, _COLUMNS, _HEIGHT = 6, 6, 128


def measured(
    work: Callable[[T], R], clips: Iterable[T], count: int, workers: Workers
) -> Generator[Done[T, R], None, None]:
    """Yield `work(clip)` of every clip as it is done, with progress on stderr."""
    from motifocal.motion.flow import one_opencv_thread

    with one_opencv_thread():
        yield from tracked(workers.run(work, clips), "measuring clips", count)


def threads_a_clip(workers: Workers, clips: int) -> int:
    """Return how many threads each clip may use by itself: several where clips are few."""
    return max(1, getattr(workers, "count", 1) // max(1, clips))


def why_left_out(error: ValueError | OSError, clip: str | Path) -> str:
    """Say in one line what is wrong with a clip.

    Raises the error again where no other clip could be written either: the disk is full.
    """
    from motifocal.files.disk import NO_ROOM
    from motifocal.media.picture import one_line

    if isinstance(error, OSError) and error.errno in NO_ROOM:
        raise error
    return one_line(error).removeprefix(f"{clip}: ")


def end_with_left_out(
    left_out: Sequence[tuple[str, str]], clips: int, participle: str, *, keep: bool = False
) -> None:
    """List (name, reason) of the clips that were left out.

    If there are any, end with exit code 1, unless `keep` asks to go on.
    """
    if not left_out:
        return
    count = f"{len(left_out)} of {clips} clips"
    click.echo(f"left out, {count}:", err=True)
    for name, reason in left_out:
        click.echo(printable(f"  {name}: {reason}"), err=True)
    if not keep:
        raise click.ClickException(f"{count} could not be {participle}")


def name_gone(clips: Sequence[str]) -> None:
    """Say in a line which clips of earlier runs are not there any more, if any."""
    if clips:
        names = ", ".join(clips[:_NAMED]) + (", ..." if len(clips) > _NAMED else "")
        click.echo(printable(f"{len(clips)} no longer in CLIPS, taken out: {names}"), err=True)


def write_filmstrips(
    folder: Path, samples: Sequence[T], moving: Callable[[T], float],
    load: Callable[[T], tuple[str, Frames, Heatmap]],
) -> Path:  # fmt: skip
    """Write a picture of a few samples, ranked by `moving`, from the least to the most.

    `load` gives a sample's name, its frames (F, H, W, 3) and its heatmap (F, H, W). Returns the
    picture's path.
    """
    from motifocal.media.sheet import evenly_spaced, labelled
    from motifocal.media.video import write_image

    ranked = sorted(samples, key=moving)
    rows = []
    for sample in (ranked[index] for index in evenly_spaced(len(ranked), _STRIPS)):
        name, frames, heatmap = load(sample)
        rows.append((f"{name}: {moving(sample):.1%} moves", _strip(frames, heatmap)))
    write_image(folder / FILMSTRIP, labelled(rows))
    return folder / FILMSTRIP


def _strip(frames: Frames, heatmap: Heatmap) -> Image:
    """Lay frames over their maps, all of one height whatever the clip's."""
    import cv2
    import numpy as np

    from motifocal.media.sheet import evenly_spaced
    from motifocal.media.video import resize_crop
    from motifocal.motion.overlay import filmstrip

    chosen = evenly_spaced(len(frames), _COLUMNS)
    _, height, width, _ = frames.shape
    size = (max(1, round(width * _HEIGHT / height)), _HEIGHT)
    small = [cv2.resize(heatmap[index], size, interpolation=cv2.INTER_AREA) for index in chosen]
    frames = resize_crop(frames[chosen], size[1], size[0])
    return filmstrip(frames, np.clip(np.stack(small), 0, 1), _COLUMNS)


def summary(fractions: Sequence[float], before: int, *, camera: bool) -> str:
    """Sum up the moving fractions of clips in a line.

    `before`: how many were done before; `camera`: whether the camera's motion was taken out, or
    does not count.
    """
    from motifocal.motion.heatmap import mean_moving_fraction

    number = f"{len(fractions)} clip{'s' if len(fractions) > 1 else ''}"
    number += f" ({before} done before)" if before else ""
    half = sum(fraction > 0.5 for fraction in fractions)
    words = (
        f"{number}: moving fraction mean {mean_moving_fraction(fractions):.1%}, least "
        f"{min(fractions):.1%}, most {max(fractions):.1%}; nothing moves in "
        f"{sum(fraction == 0 for fraction in fractions)}, more than half in {half}"
    )
    hint = half > len(fractions) / 2 and not camera
    return f"{words}; if the camera moves, try --camera" if hint else words


def read_stored_map(path: Path) -> Heatmap | None:
    """Read the map of an earlier run; None where there is none, or it is damaged."""
    from motifocal.files.remote import fetched
    from motifocal.motion.heatmap_files import load_heatmap

    if not path.exists():
        return None
    try:
        with fetched(path) as local:
            return load_heatmap(local)[0]
    except ValueError:
        return None


def check_size(clip: Path, count: int, height: int, width: int, *, mp4: bool) -> None:
    """Raise VideoError where a map of so many frames of this size cannot be made or written."""
    from motifocal.media.video import VideoError

    if count * height * width > MOST_PIXELS:
        raise VideoError(f"{clip}: {count} frames of {width}x{height} are too much, add --size")
    if mp4 and (height % 2 or width % 2):
        raise VideoError(f"{clip}: an .mp4 cannot hold {width}x{height}, add --size")
