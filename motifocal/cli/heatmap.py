"""`motifocal heatmap`: write motion heatmaps, overlays, and a table of moving fractions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import ANY_PATH, FOLDER, NEW_LOCATION, RATE, Size, output_option
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.masks import GivenMasks, Ids, given_masks, object_ids
from motifocal.cli.options.scale import (
    GPU_SHARE,
    check_table,
    part_of,
    scale_options,
    table_options,
    workers_of,
)
from motifocal.cli.output.clip_table import (
    ClipRow,
    list_clips,
    name_clips,
    plan_rows,
    read_table,
    without_gone,
    write_described,
    write_table,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.measured_clips import (
    check_size,
    end_with_left_out,
    measured,
    read_stored_map,
    summary,
    threads_a_clip,
    why_left_out,
    write_filmstrips,
)
from motifocal.cli.output.progress import phase, quiet_option
from motifocal.files.remote import fetched, to_path

if TYPE_CHECKING:
    from motifocal.data.workers.items import Workers
    from motifocal.media.arrays import Frames
    from motifocal.motion.heatmap import Heatmap, HeatmapSettings

TABLE, SETTINGS = "clips.csv", "heatmap.json"


@dataclass(frozen=True)
class MapConfig:
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
  motifocal heatmap clips/ -o maps/ --source vectors
  motifocal heatmap clips/ -o maps/ --source raft-large --raft-precision bfloat16
  motifocal heatmap clips/ -o maps/ --masks segmented/ --objects 1,3
""")
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...",
                type=ANY_PATH)
@output_option("Folder for the maps; run again to resume.", metavar="DIR", type=NEW_LOCATION)
@click.option("--overlay", is_flag=True, help="Also write an .mp4 of each clip with its heatmap "
                                         "over the frames.")
@click.option("--masks", type=FOLDER, metavar="FOLDER",
              help="Use masks from FOLDER instead of flow: for each clip a grey video, an .npz or "
              "a folder of PNGs with the clip's name.")
@click.option("--objects", type=object_ids, metavar="IDS",
              help="The masks contain object ids: which of them count, e.g. 1,3, or all.")
@heatmap_options
@click.option("--format", "suffix", type=click.Choice(["npz", "mp4"]), default="npz",
              show_default=True, help="npz has 8 bits per pixel and the settings; mp4 is for "
                                 "viewing.")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
              help="Scale and crop the clips to this first.  [default: as they are]")
@click.option("--fps", type=RATE,
              help="Resample the clips to this rate first.  [default: as they are]")
@click.option("--workers", type=click.IntRange(1),
              help="Clips processed at the same time.  [default: the number of cores]")
@device_option("Where RAFT runs")
@table_options
@scale_options
@quiet_option
def heatmap(clips: tuple[Path, ...], output: Path, overlay: bool, suffix: str,
            size: tuple[int, int] | None, fps: float | None, workers: int | None,
            device: str, masks: Path | None, objects: Ids, ray: str | None,
            shard: tuple[int, int], table: str | None, errors: str, **given: Any) -> None:
    # fmt: on
    """Write a motion heatmap of every CLIP, and print how much of it moves.

    A CLIP is a video, a folder to search for videos, or a folder of images. DIR gets a heatmap for
    each, clips.csv with a row for each, and filmstrip.png, a picture of a few clips to check. Clips
    that cannot be read are listed, and the exit code is 1. Run it again to add what is missing.
    """
    from motifocal.data.workers.items import files_of_parts
    from motifocal.data.workers.threads import Threads
    from motifocal.files.atomic import remove_temporaries
    from motifocal.motion.flow import usable_cores
    from motifocal.motion.raft import NETWORKS

    if size and suffix == "mp4" and (size[0] % 2 or size[1] % 2):
        raise click.BadParameter(f"should be even for .mp4, got {size[0]}x{size[1]}",
                                 param_hint="--size")  # fmt: skip
    check_table(table)
    settings = None if masks else settings_of(dict(given))
    found, unnamed = list_clips(clips, output)
    names = name_clips(found)
    mask_folder = given_masks(masks, objects, names, given)
    raft_device = chosen_device(device) if settings and settings.source in NETWORKS else None
    config = MapConfig(output, f".{suffix}", settings, mask_folder, size, fps, overlay, raft_device)
    part = part_of(shard)
    lock_output(output, part.word)
    lock_folder(config)
    before, parts = read_table(output / TABLE), sorted(output.glob(files_of_parts(TABLE)))
    for path in parts:
        before |= read_table(path)
    mask_files = mask_folder.find_all() if mask_folder else {}
    rows = plan_rows(names, output, config.suffix, before, mask_files, part)
    path = output / part.file(TABLE)
    others = read_table(path) if part.word else without_gone(before, clips, names)
    write_table(path, {**others, **rows}.values())
    todo = [row for row in rows.values() if not is_done(row, config)]
    who = workers_of(ray, workers, Threads(workers or usable_cores()),
                     gpus=GPU_SHARE if raft_device == "cuda" else 0)
    rows |= measure_all(todo, config, who)
    write_table(path, {**others, **rows}.values())
    if table is not None:
        write_described(path.with_suffix(f".{table}"), rows.values(),
                        {"heatmap": asdict(settings) if settings else None})
    if part.word:
        click.echo(path)
    else:
        remove_temporaries(*{(output / row.heatmap).parent for row in rows.values()})
        for merged in parts:  # all that is in them is in the table now
            merged.unlink(missing_ok=True)
        print_results(list(rows.values()), len(rows) - len(todo), config)
    end_with_left_out([*left_out(rows.values()), *unnamed], len(rows) + len(unnamed), "measured",
                      keep=errors == "keep")


def measure_all(
    rows: Sequence[ClipRow], config: MapConfig, workers: Workers
) -> dict[str, ClipRow]:
    """Measure clips, and return their rows by clip."""
    work = partial(measure, config=config, threads=threads_a_clip(workers, len(rows)))
    return {done.job.clip: done.result or replace(done.job, reason=str(done.reason))
            for done in measured(work, rows, len(rows), workers)}


def left_out(rows: Iterable[ClipRow]) -> list[tuple[str, str]]:
    """List (clip, reason) of the clips without a map."""
    return [(row.clip, row.reason) for row in rows if row.moving_fraction is None]


def lock_folder(config: MapConfig) -> None:
    """Write down what decides the maps, or compare with what is written; ValueError if it differs.

    A folder of a version with fewer settings was made with the values that they had then.
    """
    from motifocal.files.settings import lock_settings
    from motifocal.motion.heatmap import settings_from

    def upgrade(stored: dict[str, Any]) -> dict[str, Any]:
        if config.settings and stored.get("heatmap"):
            return {**stored, "heatmap": asdict(settings_from(stored["heatmap"]))}
        return stored

    now = {"heatmap": asdict(config.settings) if config.settings else None,
           "format": config.suffix[1:], "fps": config.fps,
           "size": list(config.size) if config.size else None,
           **(config.masks.to_json() if config.masks else {})}  # fmt: skip
    lock_settings(config.output / SETTINGS, now, upgrade=upgrade)


def is_done(row: ClipRow, config: MapConfig) -> bool:
    """Whether all files of this clip are there, and its moving fraction is known."""
    if row.moving_fraction is None:
        return False
    names = (row.heatmap, row.overlay) if config.overlay else (row.heatmap,)
    return all((config.output / name).exists() for name in names)


def measure(row: ClipRow, config: MapConfig, threads: int) -> ClipRow:
    """Write what is missing of a clip; the row says how much of it moves, or why there is no map.

    Raises OSError where no other clip could be written either: the disk is full.
    """
    from motifocal.media.video import VideoError

    try:
        with fetched(to_path(row.clip)) as clip:
            return make_map(row, clip, config, threads)
    except (VideoError, OSError) as error:
        return replace(row, moving_fraction=None, reason=why_left_out(error, row.clip))


def make_map(row: ClipRow, clip: Path, config: MapConfig, threads: int) -> ClipRow:
    """Do so; VideoError or OSError where the clip cannot be read or its map not be written."""
    from motifocal.media.video import write_video
    from motifocal.motion.heatmap import clip_heatmap, moving_fraction
    from motifocal.motion.heatmap_files import save_heatmap
    from motifocal.motion.overlay import heatmap_overlay
    from motifocal.motion.settings import VECTORS

    path, overlay = config.output / row.heatmap, config.output / row.overlay
    with_overlay = config.overlay and not overlay.exists()
    heatmap = read_stored_map(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if heatmap is None and config.settings and config.settings.source == VECTORS:
        heatmap, fps = map_of_vectors(clip, config)
        save_heatmap(path, heatmap, config.settings, fps=fps)
    if heatmap is None or with_overlay:
        frames, fps, stored = read_clip(clip, config)
        if heatmap is None:
            if config.masks:
                shape = (len(frames), *stored)
                heatmap = config.masks.heatmap(Path(row.clip), shape, config.size, config.fps)
            else:
                assert config.settings is not None
                heatmap = clip_heatmap(frames, config.settings, workers=threads,
                                       device=config.device)  # fmt: skip
            save_heatmap(path, heatmap, config.settings, fps=fps)
        if with_overlay:
            write_video(overlay, heatmap_overlay(frames, heatmap), fps)
    count, height, width = heatmap.shape
    return replace(row, frames=count, height=height, width=width,
                   moving_fraction=moving_fraction(heatmap), reason="")  # fmt: skip


def map_of_vectors(clip: Path, config: MapConfig) -> tuple[Heatmap, float]:
    """Make the map of a clip's motion vectors, and return its rate too."""
    from motifocal.data.resizing import cropped
    from motifocal.motion.vectors import read_vector_motion, whole

    assert config.settings is not None
    crop = cropped(*config.size) if config.size else whole
    grey = not config.settings.sees_colour
    moved = read_vector_motion(clip, fps=config.fps, crop=crop, grey=grey)
    check_size(clip, len(moved.frames), *moved.size, mp4=config.suffix == ".mp4")
    return moved.heatmap(config.settings), moved.fps


def read_clip(clip: Path, config: MapConfig) -> tuple[Frames, float, tuple[int, int]]:
    """Read frames as measured, their rate, and (H, W) before any crop; VideoError if none."""
    from motifocal.media.video import read_video, resize_crop

    source = read_video(clip, fps=config.fps)
    frames = resize_crop(source.frames, *config.size) if config.size else source.frames
    count, height, width, _ = frames.shape
    check_size(clip, count, height, width, mp4=config.suffix == ".mp4")
    return frames, source.fps, source.frames.shape[1:3]


def print_results(rows: Sequence[ClipRow], before: int, config: MapConfig) -> None:
    """Print the fractions and a picture."""
    good = [row for row in rows if row.moving_fraction is not None]
    for row in good:
        click.echo(f"{row.moving_fraction:7.1%}  {config.output / row.heatmap}")
    if good:
        click.echo(config.output / TABLE)
        with phase("drawing a picture of a few clips"):
            picture = write_filmstrips(config.output, good, lambda row: row.moving_fraction or 0.0,
                                       lambda row: frames_and_map(row, config))  # fmt: skip
        click.echo(picture)
        camera = config.settings is None or config.settings.camera
        click.echo(summary([row.moving_fraction or 0.0 for row in good], before, camera=camera),
                   err=True)  # fmt: skip


def frames_and_map(row: ClipRow, config: MapConfig) -> tuple[str, Frames, Heatmap]:
    """Read a row's map and the frames that it is of."""
    from motifocal.motion.heatmap_files import load_heatmap

    with fetched(to_path(row.clip)) as clip, fetched(config.output / row.heatmap) as path:
        return row.heatmap, read_clip(clip, config)[0], load_heatmap(path)[0]
