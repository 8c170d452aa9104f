"""`motifocal heatmap`: clips become motion heatmaps, overlays to look at, and a table of shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.masks import GivenMasks, Ids, ObjectIds, given_masks
from motifocal.cli.options.size import Size
from motifocal.cli.output.clip_table import (
    Row,
    find,
    names_of,
    planned,
    read_table,
    write_table,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import phase, quiet_option, tracked

if TYPE_CHECKING:
    from motifocal.media.arrays import Image
    from motifocal.motion.heatmap import Heatmap, HeatmapSettings

TABLE, SETTINGS, STRIP = "clips.csv", "heatmap.json", "filmstrip.png"
STRIP_CLIPS, STRIP_COLUMNS, STRIP_HEIGHT = 6, 6, 128
MOST_PIXELS = 2**27  # of a clip, all frames together: some 5 GB while its motion is measured


@dataclass(frozen=True)
class How:
    """What decides the maps, and where they go. Given masks take the place of the settings."""

    output: Path
    suffix: str
    settings: HeatmapSettings | None
    masks: GivenMasks | None
    size: tuple[int, int] | None
    fps: float | None
    overlay: bool
    device: str | None


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal heatmap clip.mp4 -o maps/ --overlay
  motifocal heatmap clips/ -o maps/ --size 320x512 --fps 8
  motifocal heatmap clips/ -o maps/ --unit pixels --threshold 0.5
  motifocal heatmap lamps/ -o maps/ --change 12
  motifocal heatmap walks/ -o maps/ --camera --flow-size 256
  motifocal heatmap clips/ -o maps/ --source raft-large --raft-precision bfloat16
  motifocal heatmap clips/ -o maps/ --masks segmented/ --objects 1,3
""")
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...",
                type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              metavar="DIR", help="Folder for the maps; run again to go on.")
@click.option("--overlay", is_flag=True, help="Also write an .mp4 of each clip with its map on it.")
@click.option("--masks", type=click.Path(exists=True, file_okay=False, path_type=Path),
              metavar="FOLDER",
              help="No flow: take the clips' masks from FOLDER, each a grey video, an .npz or a "
              "folder of PNGs called like its clip.")
@click.option("--objects", type=ObjectIds(), metavar="IDS",
              help="Masks hold ids of objects: which of them are hot, as 1,3, or all.")
@heatmap_options
@click.option("--format", "suffix", type=click.Choice(["npz", "mp4"]), default="npz",
              show_default=True, help="npz holds 8 bits a pixel and the settings; mp4 is for eyes.")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
              help="Scale and crop the clips to this first.  [default: as they are]")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True),
              help="Resample the clips to this rate first.  [default: as they are]")
@click.option("--workers", type=click.IntRange(1),
              help="Clips measured at a time.  [default: the cores of this machine]")
@device_option("Where RAFT runs")
@quiet_option
def heatmap(clips: tuple[Path, ...], output: Path, overlay: bool, suffix: str,
            size: tuple[int, int] | None, fps: float | None, workers: int | None,
            device: str, masks: Path | None, objects: Ids, **given: Any) -> None:
    # fmt: on
    """Write a motion heatmap of every CLIP, and print how much of it is hot.

    A CLIP is a video, a folder to search for videos, or a folder of pictures. DIR will hold a map
    for each, clips.csv with all of them, and filmstrip.png: look at it. Clips that cannot be read
    are listed, and the exit code is 1; the others are done. Running again does what is missing.
    """
    from motifocal.motion.flow import usable_cores
    from motifocal.motion.raft import NETWORKS

    if size and suffix == "mp4" and (size[0] % 2 or size[1] % 2):
        raise click.BadParameter(f"should be even for .mp4, got {size[0]}x{size[1]}",
                                 param_hint="--size")  # fmt: skip
    settings = None if masks else settings_of(dict(given))
    called = names_of(find(clips, output))
    given_ones = given_masks(masks, objects, called, given)
    place = chosen_device(device) if settings and settings.source in NETWORKS else None
    how = How(output, f".{suffix}", settings, given_ones, size, fps, overlay, place)
    lock_output(output)
    lock_folder(how)
    table = read_table(output / TABLE)
    rows = planned(called, output, how.suffix, table, given_ones.found() if given_ones else {})
    write_table(output / TABLE, {**table, **rows}.values())
    todo = [row for row in rows.values() if not is_done(row, how)]
    rows |= {row.clip: row for row in measured(todo, how, workers or usable_cores())}
    write_table(output / TABLE, {**table, **rows}.values())
    tell(list(rows.values()), len(rows) - len(todo), how)


def lock_folder(how: How) -> None:
    """Write down what decides the maps, or compare with what is written; ValueError if it differs.

    A folder of a version with fewer settings was made with the values that they had then.
    """
    from motifocal.files.settings import lock_settings
    from motifocal.motion.heatmap import settings_from

    def upgrade(stored: dict[str, Any]) -> dict[str, Any]:
        if how.settings and stored.get("heatmap"):
            return {**stored, "heatmap": asdict(settings_from(stored["heatmap"]))}
        return stored

    now = {"heatmap": asdict(how.settings) if how.settings else None, "format": how.suffix[1:],
           "fps": how.fps, "size": list(how.size) if how.size else None,
           **(how.masks.described() if how.masks else {})}  # fmt: skip
    lock_settings(how.output / SETTINGS, now, upgrade=upgrade)


def is_done(row: Row, how: How) -> bool:
    """Whether all that is wanted of this clip is there, and known."""
    wanted = (row.heatmap, row.overlay) if how.overlay else (row.heatmap,)
    return row.moving_fraction is not None and all((how.output / name).exists() for name in wanted)


def measured(rows: Sequence[Row], how: How, workers: int) -> Iterator[Row]:
    """The rows with what was found in their clips, in the order in which they are done."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    import cv2

    threads = max(1, workers // max(1, len(rows)))  # in a clip, where clips are few
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a thread a clip is enough; OpenCV would start more in each
    # Threads, not processes: decoder, flow and encoder let go of the interpreter lock.
    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(measure, row, how, threads) for row in rows]
            for future in tracked(as_completed(futures), "measuring clips", len(rows)):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            cv2.setNumThreads(before)


def measure(row: Row, how: How, threads: int) -> Row:
    """Write what is missing of a clip; the row says how much of it moves, or why there is no map.

    Raises OSError where no other clip could be written either: the disk is full.
    """
    from motifocal.files.disk import NO_ROOM
    from motifocal.media.picture import one_line
    from motifocal.media.video import VideoError

    try:
        return measured_row(row, how, threads)
    except (VideoError, OSError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = one_line(error).removeprefix(f"{row.clip}: ")
        return replace(row, moving_fraction=None, reason=reason)


def measured_row(row: Row, how: How, threads: int) -> Row:
    """The same; VideoError or OSError where the clip cannot be read or its map not be written."""
    from motifocal.media.video import write_video
    from motifocal.motion.heatmap import clip_heatmap, save_heatmap
    from motifocal.motion.moving_fraction import moving_fraction
    from motifocal.motion.overlay import heatmap_overlay

    path, overlay = how.output / row.heatmap, how.output / row.overlay
    shown = how.overlay and not overlay.exists()
    heat = stored_map(path)
    if heat is None or shown:
        frames, fps, stored = read(Path(row.clip), how)
        if heat is None:
            if how.masks:
                shape = (len(frames), *stored)
                heat = how.masks.heatmap(Path(row.clip), shape, how.size, how.fps)
            else:
                assert how.settings is not None
                heat = clip_heatmap(frames, how.settings, workers=threads, device=how.device)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_heatmap(path, heat, how.settings, fps=fps)
        if shown:
            write_video(overlay, heatmap_overlay(frames, heat), fps)
    count, height, width = heat.shape
    return replace(row, frames=count, height=height, width=width,
                   moving_fraction=moving_fraction(heat), reason="")  # fmt: skip


def stored_map(path: Path) -> Heatmap | None:
    """The map of an earlier run; None where there is none, or it is damaged: it is made anew."""
    from motifocal.motion.heatmap import load_heatmap

    try:
        return load_heatmap(path)[0] if path.exists() else None
    except ValueError:
        return None


def read(clip: Path, how: How) -> tuple[Image, float, tuple[int, int]]:
    """Frames as they are measured, their rate, and (H, W) before any crop; VideoError if none."""
    from motifocal.media.video import VideoError, read_video, resize_crop

    found = read_video(clip, fps=how.fps)
    frames = resize_crop(found.frames, *how.size) if how.size else found.frames
    count, height, width, _ = frames.shape
    if count * height * width > MOST_PIXELS:
        raise VideoError(f"{clip}: {count} frames of {width}x{height} are too much, add --size")
    if how.suffix == ".mp4" and (height % 2 or width % 2):
        raise VideoError(f"{clip}: an .mp4 cannot hold {width}x{height}, add --size")
    return frames, found.fps, found.frames.shape[1:3]


def tell(rows: Sequence[Row], before: int, how: How) -> None:
    """Print the shares, what was left out, and a picture to look at; exit code 1 with bad clips."""
    good = [row for row in rows if row.moving_fraction is not None]
    bad = [row for row in rows if row.moving_fraction is None]
    for row in good:
        click.echo(f"{row.moving_fraction:7.1%}  {how.output / row.heatmap}")
    if good:
        click.echo(how.output / TABLE)
        with phase("drawing a picture of a few clips"):
            picture = filmstrips(good, how)
        click.echo(picture)
        click.echo(in_sum(good, before, how.settings), err=True)
    if bad:
        click.echo(f"left out, {len(bad)} of {len(rows)} clips:", err=True)
        for row in bad:
            click.echo(f"  {row.clip}: {row.reason}", err=True)
        raise click.ClickException(f"{len(bad)} of {len(rows)} clips could not be measured")


def in_sum(rows: Sequence[Row], before: int, settings: HeatmapSettings | None) -> str:
    """The mean moving fraction of the clips, and how they differ."""
    from motifocal.motion.moving_fraction import mean_moving_fraction

    fractions = [row.moving_fraction or 0.0 for row in rows]
    number = f"{len(rows)} clip{'s' if len(rows) > 1 else ''}"
    number += f" ({before} done before)" if before else ""
    half = sum(fraction > 0.5 for fraction in fractions)
    words = (
        f"{number}: moving fraction mean {mean_moving_fraction(fractions):.1%}, least "
        f"{min(fractions):.1%}, most {max(fractions):.1%}; nothing moves in "
        f"{sum(fraction == 0 for fraction in fractions)}, more than half in {half}"
    )
    hint = half > len(rows) / 2 and settings is not None and not settings.camera
    return f"{words}; if the camera moves, try --camera" if hint else words


def filmstrips(rows: Sequence[Row], how: How) -> Path:
    """Write a picture of a few clips, from the least hot to the hottest: frames over maps."""
    import numpy as np

    from motifocal.media.labelled import labelled
    from motifocal.media.video import write_image

    ranked = sorted(rows, key=lambda row: row.moving_fraction or 0.0)
    chosen = np.unique(np.rint(np.linspace(0, len(ranked) - 1, STRIP_CLIPS)).astype(int))
    strips = [(f"{row.heatmap}: {row.moving_fraction:.1%} moves", strip(row, how))
              for row in (ranked[index] for index in chosen)]  # fmt: skip
    write_image(how.output / STRIP, labelled(strips))
    return how.output / STRIP


def strip(row: Row, how: How) -> Image:
    """Frames of a clip over their maps, all of one height whatever the clip's."""
    import cv2
    import numpy as np

    from motifocal.media.video import resize_crop
    from motifocal.motion.heatmap import load_heatmap
    from motifocal.motion.overlay import filmstrip

    frames, _, _ = read(Path(row.clip), how)
    heat, _ = load_heatmap(how.output / row.heatmap)
    spread = np.unique(np.rint(np.linspace(0, len(frames) - 1, STRIP_COLUMNS)).astype(int))
    size = (max(1, round(row.width * STRIP_HEIGHT / row.height)), STRIP_HEIGHT)
    small = [cv2.resize(heat[index], size, interpolation=cv2.INTER_AREA) for index in spread]
    shown = resize_crop(frames[spread], size[1], size[0])
    return filmstrip(shown, np.clip(np.stack(small), 0, 1), STRIP_COLUMNS)
