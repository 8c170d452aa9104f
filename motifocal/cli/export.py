"""`motifocal export`: write mask videos or cached weights that fit a trainer's latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import ANY_PATH, output_option
from motifocal.cli.options.frames import FAMILIES, frame_options, request_of
from motifocal.cli.options.scale import (
    check_table,
    part_of,
    scale_options,
    table_options,
    workers_of,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.measured_clips import (
    end_with_left_out,
    measured,
    name_gone,
    threads_a_clip,
    why_left_out,
    write_filmstrips,
)
from motifocal.cli.output.progress import quiet_option
from motifocal.files.remote import absolute

if TYPE_CHECKING:
    from motifocal.bridges.export_samples import ExportConfig, ExportJob
    from motifocal.bridges.export_table import SampleRow
    from motifocal.data.captions import CaptionedFolder, CaptionedVideo
    from motifocal.data.clip_files import HashRow
    from motifocal.data.workers.items import Part, Workers

SETTINGS = "export.json"
HEATMAP = "heatmap "  # before the names of its settings
TABLES = {"masks": "masks.jsonl", "latents": "weights.jsonl"}


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal export clips/ -o weights/ --as latents --family wan-5b --size 704x1280 --frames 81
  motifocal export clips/ -o weights/ --as latents --family wan --size 480x832 --frames 81 --fps 16
  motifocal export clips/ -o masks/ --as masks --family ltx --size 512x768 --frames 49 --with-clips
  motifocal export c.jsonl -o w --as latents --family ltx-2 --size 512x768 --frames 25 --trainer ltx
""")
@click.argument("clips", type=ANY_PATH)
@output_option("Folder for the files; run again to resume.", metavar="DIR")
@click.option("--as", "kind", type=click.Choice(["latents", "masks"]), required=True,
              help="latents: a weight per latent, for a training loop that loads them. masks: "
              "grey videos, for a trainer that multiplies its loss by a mask.")
@click.option("--family", type=click.Choice(FAMILIES), required=True,
              help="The model family, whose autoencoder decides which frames and pixels a latent "
              "covers.")
@frame_options()
@click.option("--values", type=click.Choice(["loss", "heat"]), default="loss", show_default=True,
              help="Masks: with loss, a trainer that multiplies its loss by the mask computes the "
              "motion focal loss; heat is the heatmap itself, 0 where nothing moves.")
@click.option("--motif-weight", type=click.FloatRange(min=0, min_open=True), default=1.0,
              show_default=True, help="Masks: lambda of --values loss.")
@click.option("--with-clips", is_flag=True,
              help="Masks: also write each sample's frames, so that clips and masks are sure to "
              "agree.")
@click.option("--workers", type=click.IntRange(1),
              help="Clips processed at the same time.  [default: the number of cores]")
@heatmap_options
@table_options
@scale_options
@quiet_option
def export(clips: Path, output: Path, kind: str, family: str, values: str, motif_weight: float,
           with_clips: bool, workers: int | None, ray: str | None, shard: tuple[int, int],
           table: str | None, errors: str, **options: Any) -> None:
    # fmt: on
    """Write motion weights of CLIPS for a trainer, for its frames, rate, crop and latents.

    CLIPS is a video, a folder of videos with or without captions, or a table of captions. DIR gets
    a file for each sample, a table of them, and filmstrip.png, a picture of a few samples to check.
    Clips that cannot be used are listed, and the exit code is 1; the others are done. Run the
    command again to add what is missing.
    """
    from motifocal.bridges.export_samples import ExportConfig, files_of
    from motifocal.bridges.export_table import check_names
    from motifocal.data.captions import read_clips
    from motifocal.data.workers.threads import Threads
    from motifocal.files.atomic import remove_temporaries
    from motifocal.motion.flow import usable_cores

    if (options["size"] is None) == (options["max_pixels"] is None):
        raise click.UsageError("give either --size or --max-pixels")
    if with_clips and kind != "masks":
        raise click.BadParameter("is for --as masks", param_hint="--with-clips")
    trainer, request = request_of(options, family)
    check_table(table)
    config = ExportConfig(output, kind, family, trainer, request, settings_of(options), values,
                          motif_weight, with_clips)
    folder = read_clips(clips, output)
    check_names(folder.videos if kind == "masks" else ())
    part = part_of(shard)
    lock_output(output, part.word)
    lock_folder(config, clips)
    who = workers_of(ray, workers, Threads(workers or usable_cores()))
    rows, refused = export_clips(folder, config, who, part)
    if part.word:
        click.echo(output / part.file(TABLES[kind]))
    else:
        remove_temporaries(*{(output / name).parent for of_clip in rows.values()
                             for row in of_clip for name in files_of(row, config)})
        print_results(folder.videos, rows, config)
    rejected = [clip for clip in folder.rejected if part.holds(clip.name)]
    left_out = [*((clip.name, clip.reason) for clip in rejected), *refused]
    if table is not None:
        from motifocal.bridges.export_table import write_described

        # Not weights-1-of-2.samples.jsonl, which the whole would take for a part's own table.
        path = output / part.file(f"{Path(TABLES[kind]).stem}.samples.{table}")
        write_described(path, rows, left_out, deciding_settings(config, clips))
        click.echo(path)
    end_with_left_out(left_out, len(rows) + len(left_out), "exported",
                      keep=errors == "keep")


def lock_folder(config: ExportConfig, clips: Path) -> None:
    """Write down what decides the files, or compare with what is written; ValueError if it differs.

    A folder that was begun without some of it is bound by all of it from then on.
    """
    from motifocal.files.json_text import read_json_object
    from motifocal.files.settings import lock_settings, write_settings

    path, now = config.output / SETTINGS, deciding_settings(config, clips)
    lock_settings(path, now, upgrade=partial(_upgraded, clips=clips))
    if read_json_object(path) != now:
        write_settings(path, now)


def deciding_settings(config: ExportConfig, clips: Path) -> dict[str, Any]:
    """Return all that decides the files and their table, which names clips by their paths below
    CLIPS: so these are part of it."""
    request = asdict(config.request)
    request["buckets"] = [list(bucket) for bucket in config.request.buckets]
    if config.request.max_pixels is None:  # as folders of version 0.1 have it
        del request["max_pixels"], request["division"]
    chosen = {"as": config.kind, "family": config.family, "trainer": config.trainer, **request}
    # One level, so that a refusal names just what differs.
    chosen |= {HEATMAP + name: value for name, value in asdict(config.settings).items()}
    chosen["clips"] = str(absolute(clips))
    if config.kind == "masks":
        chosen |= {"values": config.values, "motif_weight": config.motif_weight,
                   "with_clips": config.with_clips}  # fmt: skip
    return chosen


def _upgraded(stored: dict[str, Any], clips: Path) -> dict[str, Any]:
    """Fill in the settings that there were not yet when a folder was made."""
    from motifocal.motion.heatmap import settings_from

    heatmap = {name.removeprefix(HEATMAP): value for name, value in stored.items()
               if name.startswith(HEATMAP)}  # fmt: skip
    whole = asdict(settings_from(heatmap))
    return {"clips": str(absolute(clips)), **stored,
            **{HEATMAP + name: value for name, value in whole.items()}}  # fmt: skip


def export_clips(
    folder: CaptionedFolder, config: ExportConfig, workers: Workers, part: Part
) -> tuple[dict[str, list[SampleRow]], list[tuple[str, str]]]:
    """Export every clip of a part; return the rows of each, and (name, reason) of those that cannot
    be.

    However it ends, the table then holds all clips that are done.
    """
    from contextlib import closing

    from motifocal.bridges.export_samples import ExportJob, forget_gone
    from motifocal.bridges.export_table import ExportTable

    clips = [video for video in folder.videos if part.holds(video.name)]
    table = ExportTable(config.output, TABLES[config.kind], part)
    jobs = (ExportJob(clip, tuple(table.rows.get(clip.name, ())), table.hashes.known(clip.path))
            for clip in clips)
    work = partial(export_or_refuse, config=config, threads=threads_a_clip(workers, len(clips)))
    rows: dict[str, list[SampleRow]] = {}
    reasons: dict[str, str] = {}
    with (table.journal() as journal,
          closing(measured(work, jobs, len(clips), workers)) as all_done):
        if not part.word:
            name_gone(forget_gone(table, journal, folder, config))
        for done in all_done:
            clip = done.job.clip
            if done.result is None or isinstance(done.result, str):
                # Refused now, it has changed since: nothing of it is there any more.
                reasons[clip.name] = str(done.reason or done.result)
                table.forget(journal, clip.name)
            else:
                rows[clip.name], hashed = done.result
                table.add(journal, clip, rows[clip.name], hashed)
    return ({clip.name: rows[clip.name] for clip in clips if clip.name in rows},
            [(clip.name, reasons[clip.name]) for clip in clips if clip.name in reasons])


def export_or_refuse(
    job: ExportJob, config: ExportConfig, threads: int
) -> tuple[list[SampleRow], HashRow] | str:
    """Export a clip, or say why it cannot be."""
    from motifocal.bridges import export_samples
    from motifocal.media.picture import VideoError

    try:
        return export_samples.export_clip(job, config, threads)
    except (VideoError, OSError) as error:
        return why_left_out(error, job.clip.path)


def print_results(
    clips: Sequence[CaptionedVideo], rows: Mapping[str, Sequence[SampleRow]], config: ExportConfig
) -> None:
    """Print the samples, and a picture to look at."""
    from motifocal.bridges.export_samples import frames_and_heatmap
    from motifocal.bridges.export_table import write_clip_captions

    samples = [row for of_clip in rows.values() for row in of_clip]
    for row in samples:
        click.echo(f"{row.mean_weight:7.1%}  {config.output / row.file}")
    if not samples:
        return
    if config.with_clips:
        write_clip_captions(config.output / "clips", rows)
    click.echo(config.output / TABLES[config.kind])
    by_name = {clip.name: clip for clip in clips}
    click.echo(write_filmstrips(
        config.output, samples, lambda row: row.mean_weight,
        lambda row: (f"{row.clip}, {row.fps:.4g} frames/s",
                     *frames_and_heatmap(row, by_name[row.clip], config)),
    ))  # fmt: skip
    still = sum(row.mean_weight < 0.01 for row in samples)
    mean = sum(row.mean_weight for row in samples) / len(samples)
    click.echo(f"{len(samples)} samples of {len(rows)} clips: {mean:.1%} of their latents' "
               f"area moves; under 1% in {still}", err=True)  # fmt: skip
