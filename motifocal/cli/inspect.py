"""`motifocal inspect`: report what is in a folder of clips, and what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import ANY_PATH, FOLDER, output_option
from motifocal.cli.options.frames import FAMILIES, frame_options, request_of
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, phase, quiet_option, tracked

if TYPE_CHECKING:
    from motifocal.inspection.entries import Folder
    from motifocal.inspection.finding import InspectSettings
    from motifocal.inspection.run import Look

REPORT = "inspect.json"
LEVELS = ("error", "warning", "note", "never")


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal inspect clips/
  motifocal inspect clips/ --frames 81 --fps 16 --size 480x832 --family wan
  motifocal inspect clips.jsonl -o report/ --trainer musubi --frames 25 --frames 49 --rule chunk
  motifocal inspect clips/ --fail-on warning && run-the-training
""")
@click.argument("clips", type=ANY_PATH, metavar="CLIPS")
@output_option("Folder for the report; run again to go on.  [default: inspect-NAME, not in CLIPS]",
               metavar="DIR", required=False)
@frame_options(size="480x832", frames=81)
@click.option("--family", type=click.Choice(FAMILIES),
              help="The model's autoencoder: refuse frames and sizes that it cannot take.")
@click.option("--model", type=FOLDER, metavar="FOLDER",
              help="The diffusers or Motifocal folder that will be trained: name captions that its "
              "text encoder does not read to their end.")
@click.option("--heat-size", type=click.IntRange(0), metavar="PIXELS", default=256,
              show_default=True,
              help="Measure heat on frames whose shorter side is reduced to at most this. 0: as "
              "they are trained on, several times slower.")
@click.option("--workers", type=click.IntRange(1),
              help="Clips looked at at a time.  [default: the cores of this machine]")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              default=300.0, show_default=True,
              help="For one clip, and a second more for each megabyte; then it is given up.")
@click.option("--fail-on", type=click.Choice(LEVELS), default="error", show_default=True,
              help="Exit code 1 where a fault of this level, or a worse one, is found.")
@heatmap_options
@quiet_option
def inspect(clips: Path, output: Path | None, family: str | None, model: Path | None,
            heat_size: int, workers: int | None, time_limit: float, fail_on: str, **options: Any
            ) -> None:
    # fmt: on
    """Look at every clip of CLIPS before a model is trained on it.

    CLIPS is a folder of videos, with captions in the format of any common trainer or without, or
    one table of captions. Says of each clip which frames will be trained on, how much of them
    moves, and what is wrong: damage, cuts, stills, duplicates, sizes, rates, captions. DIR will
    hold inspect.html to look at and inspect.json for scripts. CLIPS itself is only read. A second
    run looks at new and changed files alone.
    """
    from motifocal.inspection.checks.collisions import mark_collisions
    from motifocal.inspection.entries import gather, mark_unread
    from motifocal.inspection.finding import InspectSettings
    from motifocal.inspection.run import look_at
    from motifocal.motion.flow import usable_cores

    source = click.get_current_context().get_parameter_source("frames")
    trainer, request = request_of(options, family)
    settings = InspectSettings(trainer, request, settings_of(options), heat_size)
    announce(f"listing {clips}")
    folder = gather(clips)
    if model is not None:
        from motifocal.generate.text_limit import limit_of_folder

        if (limit := limit_of_folder(model)) is not None:
            mark_unread(folder.entries, limit)
    mark_collisions(folder, trainer)
    output = _output(output, folder.path)
    lock_output(output)
    looks = look_at(folder.entries, settings, output, workers=workers or usable_cores(),
                    seconds=time_limit)
    clips_there = sum(entry.path is not None for entry in folder.entries)
    by_place = {look.place: look for look in tracked(looks, "looking at clips", clips_there)}
    report = _written(folder, by_place, settings, output,
                      default_frames=source is ParameterSource.DEFAULT)
    worst = {clip["level"] for clip in report["clips"]}
    if worst & set(LEVELS[: LEVELS.index(fail_on) + 1]) and fail_on != "never":
        sys.exit(1)


def _output(output: Path | None, folder: Path) -> Path:
    """Choose where the report goes: never into the clips unless that was asked for."""
    whole = folder.resolve()
    if output is not None:
        if output.resolve() == whole:
            raise click.BadParameter("should be another folder than that of the clips",
                                     param_hint="-o")  # fmt: skip
        return output
    here = Path.cwd()
    inside = here == whole or whole in here.parents
    return (whole.parent if inside else Path()) / f"inspect-{whole.name or 'clips'}"


def _written(
    folder: Folder, looks: dict[int, Look], settings: InspectSettings, output: Path, *,
    default_frames: bool,
) -> dict[str, Any]:  # fmt: skip
    """Write the report and its page, print its sums and where they are."""
    import json
    from datetime import date

    from motifocal.cli.output.inspect_tables import print_report
    from motifocal.files.atomic import write_text
    from motifocal.inspection.page import write_page
    from motifocal.inspection.report import make_report

    with phase("comparing clips and writing the report"):
        report = make_report(folder, looks, settings, made=date.today(),
                             default_frames=default_frames)  # fmt: skip
        write_text(output / REPORT, json.dumps(report, indent=1, allow_nan=False) + "\n")
        page = write_page(report, output)
    print_report(report)
    click.echo(output / REPORT)
    click.echo(page)
    return report
