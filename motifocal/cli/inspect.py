"""`motifocal inspect`: report the content and the faults of a folder of clips."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import ANY_PATH, NEW_LOCATION, LocalPath, output_option
from motifocal.cli.options.frames import FAMILIES, frame_options, request_of
from motifocal.cli.options.scale import (
    between_option,
    check_table,
    part_of,
    scale_options,
    table_option,
    workers_of,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, phase, quiet_option, tracked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motifocal.data.workers.items import Part, Workers
    from motifocal.inspection.entries import Folder
    from motifocal.inspection.finding import InspectSettings
    from motifocal.inspection.finished import Finished
    from motifocal.inspection.run import InspectedClip
    from motifocal.inspection.table import Between

REPORT, PAGE, FINDINGS = "inspect.json", "inspect.html", "findings.jsonl"
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
@output_option("Folder for the report; run again to resume.  [default: inspect-NAME, not in "
               "CLIPS]",
               metavar="DIR", required=False, type=NEW_LOCATION)
@frame_options(size="480x832", frames=81)
@click.option("--family", type=click.Choice(FAMILIES),
              help="The model family, whose autoencoder decides which lengths and sizes are "
              "possible; others are refused.")
@click.option("--model", metavar="FOLDER",
              type=LocalPath(" `hf download OWNER/NAME --local-dir FOLDER` fetches a model.",
                             exists=True, file_okay=False),
              help="The diffusers or Motifocal model folder that will be trained: report captions "
              "that its text encoder truncates.")
@click.option("--heat-size", type=click.IntRange(0), metavar="PIXELS", default=256,
              show_default=True,
              help="Measure motion on frames whose shorter side is reduced to at most this. 0: at "
              "the training size, several times slower.")
@click.option("--workers", type=click.IntRange(1),
              help="Clips processed at the same time.  [default: the number of cores]")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              default=300.0, show_default=True,
              help="Time limit for one clip, plus a second for each megabyte; after that it is "
              "given up.")
@click.option("--fail-on", type=click.Choice(LEVELS), default="error", show_default=True,
              help="Exit code 1 if a fault of this level or a worse one is found.")
@heatmap_options
@table_option
@between_option
@scale_options
@quiet_option
def inspect(clips: Path, output: Path | None, family: str | None, model: Path | None,
            heat_size: int, workers: int | None, time_limit: float, fail_on: str,
            ray: str | None, shard: tuple[int, int], table: str | None,
            between: tuple[Between, ...], **options: Any) -> None:
    # fmt: on
    """Check every clip of CLIPS before a model is trained on it.

    CLIPS is a folder of videos, with or without captions in the format of any common trainer, or a
    table of captions. The report says for each clip which frames will be trained on, how much of
    them moves, and what is wrong: damage, cuts, stills, duplicates, sizes, rates, captions. DIR
    gets inspect.html for you and inspect.json for scripts. CLIPS itself is only read. A second run
    only checks new and changed files.
    """
    from motifocal.data.workers.processes import Processes
    from motifocal.inspection.finding import InspectSettings
    from motifocal.motion.flow import usable_cores

    source = click.get_current_context().get_parameter_source("frames")
    check_table(table)
    if between and table is None:
        raise click.UsageError("--between goes with --table, whose column selected it decides")
    if table is not None and shard[1] > 1:
        raise click.UsageError("--table goes without --shard: the table is of all clips, and is "
                               "written by the same command once all parts are done")
    trainer, request = request_of(options, family)
    settings = InspectSettings(trainer, request, settings_of(options), heat_size)
    inputs = ReportInputs(clips, settings, model, table, between, source is ParameterSource.DEFAULT)
    who = workers_of(ray, workers, Processes(workers or usable_cores()))
    part, folder, state = part_of(shard), None, None
    if clips.suffix.lower() == ".toml":  # names a folder elsewhere
        folder = inputs.folder()
    output = _output(output, folder.path if folder else clips if clips.is_dir() else clips.parent)
    lock_output(output, part.word)
    if part.word is None:
        # Before clips are listed: what changes meanwhile makes the next run another.
        state, finished = inputs.before(output)
        if finished is not None:
            _end(finished, fail_on)
            return
    folder = folder or inputs.folder()
    inspected = _inspected(folder, inputs, output, who, time_limit, part)
    if part.word:
        for _ in inspected:
            pass
        click.echo(output / part.file(FINDINGS))
        return
    by_place = {clip.place: clip for clip in inspected}
    _end(_written(folder, by_place, inputs, output, state), fail_on)


@dataclass(frozen=True)
class ReportInputs:
    """What decides the report: the clips, and the options that change what is said of them."""

    clips: Path
    settings: InspectSettings
    model: Path | None
    table: str | None
    between: tuple[Between, ...]
    default_frames: bool

    def folder(self) -> Folder:
        """List the clips, with the faults that no clip has to be opened for."""
        announce(f"listing {self.clips}")
        from motifocal.inspection.checks.collisions import mark_collisions
        from motifocal.inspection.entries import gather, mark_unread

        folder = gather(self.clips)
        if self.model is not None:
            from motifocal.generate.text_limit import limit_of_folder

            if (limit := limit_of_folder(self.model)) is not None:
                mark_unread(folder.entries, limit)
        mark_collisions(folder, self.settings.trainer)
        return folder

    def state(self, output: Path) -> str | None:
        """Hash the clips and all that is asked; None where that cannot be told."""
        from motifocal import __version__
        from motifocal.inspection.finished import run_state

        between = [(limit.column, limit.low, limit.high) for limit in self.between]
        deciding = {"version": __version__, "settings": self.settings.digest(),
                    "table": self.table, "between": between, "default": self.default_frames}
        return run_state(self.clips, output, deciding, [self.model] if self.model else [])

    def written(self, output: Path) -> list[Path]:
        """List the files that a run writes."""
        names = [REPORT, PAGE, *([f"clips.{self.table}"] if self.table else [])]
        return [output / name for name in names]

    def before(self, output: Path) -> tuple[str | None, Finished | None]:
        """Return the state, and what an earlier run said if nothing has changed since."""
        from motifocal.inspection.finished import read_finished

        with phase(f"looking for changes in {self.clips}"):
            state = self.state(output)
            return state, read_finished(output, state, self.written(output))


def _inspected(
    folder: Folder, inputs: ReportInputs, output: Path, workers: Workers, seconds: float, part: Part
) -> Iterator[InspectedClip]:
    """Look at the clips of a part, with progress on stderr."""
    from motifocal.inspection.run import inspect_entries

    count = sum(entry.path is not None and part.holds(entry.name) for entry in folder.entries)
    inspected = inspect_entries(folder.entries, inputs.settings, output, workers=workers,
                                seconds=seconds, part=part)
    return tracked(inspected, "looking at clips", count)


def _end(finished: Finished, fail_on: str) -> None:
    """Print what was found, and end with exit code 1 where something is as bad as `fail_on`."""
    click.echo(finished.text, nl=False)
    if set(finished.levels) & set(LEVELS[: LEVELS.index(fail_on) + 1]) and fail_on != "never":
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
    folder: Folder, inspected: dict[int, InspectedClip], inputs: ReportInputs, output: Path,
    state: str | None,
) -> Finished:
    """Write the report, its page and its table; return what is said of them."""
    import json
    from datetime import date

    from motifocal.cli.output.inspect_tables import report_text
    from motifocal.files.atomic import write_text
    from motifocal.inspection.finished import Finished, can_be_said_again, write_finished
    from motifocal.inspection.page import write_page
    from motifocal.inspection.report import make_report

    with phase("comparing clips and writing the report"):
        report = make_report(folder, inspected, inputs.settings, made=date.today(),
                             default_frames=inputs.default_frames)  # fmt: skip
        write_text(output / REPORT, json.dumps(report, indent=1, allow_nan=False) + "\n")
        write_page(report, output)
        chosen = _write_table(report, inspected, inputs, output)
    written = inputs.written(output)
    text = report_text(report) + chosen + "".join(f"{path}\n" for path in written)
    finished = Finished(text, tuple(sorted({clip["level"] for clip in report["clips"]})))
    lasting = can_be_said_again(folder.entries, inspected)
    write_finished(output, state if lasting else None, finished, written)
    return finished


def _write_table(
    report: dict[str, Any], inspected: dict[int, InspectedClip], inputs: ReportInputs, output: Path
) -> str:
    """Write the table, if asked for; return what is said of the clips that it selects."""
    if inputs.table is None:
        return ""
    from motifocal.inspection.table import write_clip_table

    chosen = write_clip_table(output / f"clips.{inputs.table}", report, inspected, inputs.between)
    return f"selected {chosen} of {len(report['clips'])} clips\n" if inputs.between else ""
