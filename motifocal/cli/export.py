"""`motifocal export`: clips become mask videos or cached weights that fit a trainer's latents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.bridges.export_samples import How, asked, exported, shown
from motifocal.bridges.export_table import (
    Clip,
    Row,
    check_names,
    clips_of,
    read_table,
    write_clip_captions,
    write_table,
)
from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.frames import (
    FAMILIES,
    check_grid,
    division_of,
    frame_options,
    later_of,
    square_of,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import quiet_option, tracked

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from motifocal.media.arrays import Frames, Image


SETTINGS, STRIP = "export.json", "filmstrip.png"
TABLES = {"masks": "masks.jsonl", "latents": "weights.jsonl"}
STRIP_SAMPLES, STRIP_COLUMNS, STRIP_HEIGHT = 6, 6, 128
SAVED_EVERY = 50  # clips: what a killed run has to find out again at most


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal export clips/ -o weights/ --as latents --family wan-5b --size 704x1280 --frames 81
  motifocal export clips/ -o weights/ --as latents --family wan --size 480x832 --frames 81 --fps 16
  motifocal export clips/ -o masks/ --as masks --family ltx --size 512x768 --frames 49 --with-clips
  motifocal export c.jsonl -o w --as latents --family ltx-2 --size 512x768 --frames 25 --trainer ltx
""")
@click.argument("clips", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              metavar="DIR", help="Folder for the files; run again to go on.")
@click.option("--as", "kind", type=click.Choice(["latents", "masks"]), required=True,
              help="latents: a weight per latent, for a loop that loads it. masks: grey videos, "
              "for a trainer that multiplies its loss by a mask.")
@click.option("--family", type=click.Choice(FAMILIES), required=True,
              help="The model's autoencoder: which frames and pixels a latent covers.")
@frame_options()
@click.option("--values", type=click.Choice(["loss", "heat"]), default="loss", show_default=True,
              help="Masks: loss gives a trainer that multiplies its loss by the mask the motion "
              "focal loss; heat is the heatmap as it is, 0 where nothing moves.")
@click.option("--motif-weight", type=click.FloatRange(min=0, min_open=True), default=1.0,
              show_default=True, help="Masks: lambda of --values loss.")
@click.option("--with-clips", is_flag=True,
              help="Masks: also write each sample's own frames, so that both are sure to agree.")
@click.option("--workers", type=click.IntRange(1),
              help="Clips measured at a time.  [default: the cores of this machine]")
@heatmap_options
@quiet_option
def export(clips: Path, output: Path, kind: str, family: str, size: tuple[int, int] | None,
           max_pixels: int | None, frames: tuple[int, ...], fps: float | None, rule: str,
           step: int, samples: int, trainer: str, source_fps: float | None, values: str,
           motif_weight: float, with_clips: bool, workers: int | None, **given: Any) -> None:
    # fmt: on
    """Make weights of CLIPS for a trainer: of the frames, rate, crop and latents that it has.

    CLIPS is a video, a folder of videos with or without captions, or a table of captions. DIR will
    hold a file for each sample, a table of them, and filmstrip.png: look at it. Clips that cannot
    be used are listed, and the exit code is 1; the others are done. Running again does what is
    missing.
    """
    from motifocal.data.trainer_rules import Request
    from motifocal.files.settings import lock_settings
    from motifocal.motion.flow import usable_cores

    if (size is None) == (max_pixels is None):
        raise click.UsageError("give either --size or --max-pixels")
    size = size or square_of(max_pixels, family)
    check_grid(family, size, frames)
    if with_clips and kind != "masks":
        raise click.BadParameter("is for --as masks", param_hint="--with-clips")
    request = Request(tuple((count, *size) for count in frames), rule, step, samples, fps,
                      source_fps, later=later_of(family), max_pixels=max_pixels,
                      division=division_of(family))  # fmt: skip
    request = asked(trainer, family, request)
    how = How(output, kind, family, trainer, request, settings_of(given), values, motif_weight,
              with_clips)  # fmt: skip
    found, bad = clips_of(clips, output)
    check_names(found if kind == "masks" else ())
    lock_output(output)
    lock_settings(output / SETTINGS, claimed(how, clips))
    rows = run(found, how, bad, workers or usable_cores())
    tell(found, rows, bad, how)


def claimed(how: How, clips: Path) -> dict[str, Any]:
    """All that decides the files; masks are named after clips, so these are part of it."""
    request = asdict(how.request)
    request["buckets"] = [list(bucket) for bucket in how.request.buckets]
    if how.request.max_pixels is None:  # as folders of version 0.1 have it
        del request["max_pixels"], request["division"]
    chosen = {"as": how.kind, "family": how.family, "trainer": how.trainer, **request}
    # One level, so that a refusal names just what differs.
    chosen |= {f"heatmap {name}": value for name, value in asdict(how.settings).items()}
    if how.kind == "masks":
        chosen |= {"values": how.values, "motif_weight": how.motif_weight,
                   "with_clips": how.with_clips, "clips": os.path.abspath(clips)}  # fmt: skip
    return chosen


def run(
    clips: Sequence[Clip], how: How, bad: list[tuple[str, str]], workers: int
) -> dict[str, list[Row]]:
    """The rows of every clip that could be exported; the others are added to `bad`.

    However it ends, the table then holds all clips that are done.
    """
    from concurrent.futures import as_completed

    from motifocal.data.clip_files import HASHES, ClipHashes
    from motifocal.files.disk import NO_ROOM
    from motifocal.media.picture import VideoError, one_line

    table = how.output / TABLES[how.kind]
    before, hashes = read_table(table), ClipHashes(how.output / HASHES)
    rows: dict[str, list[Row]] = {}
    reasons: dict[str, str] = {}
    threads = max(1, workers // max(1, len(clips)))  # in a clip, where clips are few

    def work(clip: Clip) -> None:
        try:
            rows[clip.name] = exported(clip, how, hashes, before.get(clip.name, []), threads)
        except (VideoError, OSError) as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            reasons[clip.name] = one_line(error).removeprefix(f"{clip.path}: ")

    def save() -> None:
        # A clip that is refused now has changed since: nothing of it is there any more.
        held = {name: found for name, found in before.items() if name not in reasons}
        write_table(table, {**held, **rows})
        hashes.save()

    with pool_of(workers) as pool:
        try:
            futures = [pool.submit(work, clip) for clip in clips]
            done = tracked(as_completed(futures), "measuring clips", len(clips))
            for number, future in enumerate(done, start=1):
                future.result()
                if number % SAVED_EVERY == 0:
                    save()
        finally:
            pool.shutdown(cancel_futures=True)
            save()
    bad += [(clip.name, reasons[clip.name]) for clip in clips if clip.name in reasons]
    return {clip.name: rows[clip.name] for clip in clips if clip.name in rows}


@contextmanager
def pool_of(workers: int) -> Iterator[Executor]:
    """Threads, not processes: decoder, flow and encoder let go of the interpreter lock."""
    from concurrent.futures import ThreadPoolExecutor

    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a thread a clip is enough; OpenCV would start more in each
    try:
        with ThreadPoolExecutor(workers) as pool:
            yield pool
    finally:
        cv2.setNumThreads(before)


def tell(
    clips: Sequence[Clip],
    rows: Mapping[str, Sequence[Row]],
    bad: Sequence[tuple[str, str]],
    how: How,
) -> None:
    """Print the samples, a picture to look at, and what was left out; exit code 1 if there is."""
    samples = [row for found in rows.values() for row in found]
    for row in samples:
        click.echo(f"{row.moves:7.1%}  {how.output / row.file}")
    if samples:
        if how.with_clips:
            write_clip_captions(how.output / "clips", rows)
        click.echo(how.output / TABLES[how.kind])
        click.echo(filmstrips(samples, {clip.name: clip for clip in clips}, how))
        still = sum(row.moves < 0.01 for row in samples)
        mean = sum(row.moves for row in samples) / len(samples)
        click.echo(f"{len(samples)} samples of {len(rows)} clips: {mean:.1%} of their latents' "
                   f"area moves; under 1% in {still}", err=True)  # fmt: skip
    if bad:
        total = len(rows) + len(bad)
        click.echo(f"left out, {len(bad)} of {total} clips:", err=True)
        for name, reason in bad:
            click.echo(f"  {name}: {reason}", err=True)
        raise click.ClickException(f"{len(bad)} of {total} clips could not be exported")


def filmstrips(samples: Sequence[Row], clips: Mapping[str, Clip], how: How) -> Path:
    """Write a picture of a few samples, from the least to the most that moves, as exported."""
    import numpy as np

    from motifocal.media.labelled import labelled
    from motifocal.media.video import write_image

    ranked = sorted(samples, key=lambda row: row.moves)
    chosen = np.unique(np.rint(np.linspace(0, len(ranked) - 1, STRIP_SAMPLES)).astype(int))
    strips = [(f"{row.clip}, {row.fps:.4g} frames/s: {row.moves:.1%} moves",
               strip(*shown(row, clips[row.clip], how)))
              for row in (ranked[index] for index in chosen)]  # fmt: skip
    write_image(how.output / STRIP, labelled(strips))
    return how.output / STRIP


def strip(frames: Frames, heat: Any) -> Image:
    """Frames (F, H, W, 3) over their heat (F, H, W), all of one height whatever the clip's."""
    import cv2
    import numpy as np

    from motifocal.media.video import resize_crop
    from motifocal.motion.overlay import filmstrip

    spread = np.unique(np.rint(np.linspace(0, len(frames) - 1, STRIP_COLUMNS)).astype(int))
    _, height, width, _ = frames.shape
    size = (max(1, round(width * STRIP_HEIGHT / height)), STRIP_HEIGHT)
    small = [cv2.resize(heat[index], size, interpolation=cv2.INTER_AREA) for index in spread]
    return filmstrip(resize_crop(frames[spread], size[1], size[0]), np.clip(np.stack(small), 0, 1),
                     STRIP_COLUMNS)  # fmt: skip
